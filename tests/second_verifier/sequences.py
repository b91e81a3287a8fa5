"""pure_sequences, enumerate_sequences and branch_sequences look at sequences one by one; count_cubic counts some.

Whether a sequence is correct is decided. The arguments `exponent` and `bits` say how closely a verifier must look at
least, and have no effect.
"""

from math import comb
from typing import Any

from tests.second_verifier.one_head import OneHead
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated

Args = dict[str, Any]
Derived = dict[str, Any]


def cells(one: OneHead, m: int, q: int) -> int:
    """The n of a pair as a mask."""
    return sum(1 << n for n in one.ns(m, q))


def counted(setting: Setting, m: int, q: int) -> int:
    one = setting.model.one_head
    return sum(one.is_correct(x, setting.margin) for x in one.sequences(m, q))


def pure_sequences(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one = setting.model.one_head
    pure = [(m, q, (*[m] * (one.k - 1), q)) for m, q in one.pairs()]
    return {"counts": [[m, 1 << q, 1, int(one.is_correct(x, setting.margin)), 0] for m, q, x in pure]}


def enumerate_sequences(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one = setting.model.one_head
    return {"counts": [[m, 1 << q, cells(one, m, q), counted(setting, m, q), 0] for m, q in one.pairs()]}


def branch_sequences(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one, masks = setting.model.one_head, args["queries"]
    require(len(masks) == one.v, "wrong-shape", "args.queries")
    for m, mask in enumerate(masks):
        require(0 <= mask < 1 << (m + 1), "wrong-shape", f"args.queries[{m}]")
    counts = []
    for m, mask in enumerate(masks):
        for q in (q for q in range(m + 1) if mask >> q & 1):
            correct = counted(setting, m, q)
            counts.append([m, 1 << q, cells(one, m, q), correct, len(one.sequences(m, q)) - correct])
    return {"counts": counts}


def count_cubic(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    """What is accepted is correct, so it is counted."""
    one, counts = setting.model.one_head, []
    for m, rows in enumerate(premises[0].fact["masks"]):
        for q, masks in enumerate(rows):
            if masks:
                ns = range(1, len(masks) + 1)
                sizes = [mask.bit_count() ** n * comb(one.k - 1, n) for n, mask in zip(ns, masks, strict=True)]
                counts.append([m, 1 << q, sum(1 << n for n in ns), sum(sizes), 0])
    return {"counts": counts}
