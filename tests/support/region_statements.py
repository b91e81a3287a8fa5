"""Statements about regions, made up: the largest of two tokens, every number in a step as a test wants it.

Numbers are in units of 2^-8, so that 256 is one logit.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tests.support.edits import Statement

BITS = 8
UNIT = 1 << BITS


def up_to(label: int, v: int, queries: int, rivals: Sequence[int]) -> dict[str, Any]:
    """All inputs with this maximum: some token is the label, none larger."""
    symbols = [(t > label) - (t < label) + 1 for t in range(v)]
    following = [[0, 1, -1], [1, 1, -1]]
    return {
        **{"label": label, "queries": queries, "rivals": list(rivals), "symbols": symbols},
        **{"next": following, "parts": [-1, 0]},
    }


def each_wrong(label: int, outputs: int) -> list[int]:
    """Every wrong output a class of its own, as bit masks."""
    return [1 << y for y in range(outputs) if y != label]


Entries = Sequence[dict[str, Any]]  # of a problem's inputs
Gap = Callable[[int, int, int], int]  # label, query, number of the class


def statement(
    groups: Sequence[dict[str, Any]],
    regions: Sequence[tuple[int, int]],
    gap: Gap,
    *,
    inputs: Entries,
    outputs: int,
    correct: dict[tuple[int, int], int],
    total: int,
    shares: Sequence[int] = (1,),
    ranges: Callable[[int, int], list[int]] = lambda label, query: [],
    sha256: str = "0" * 64,
) -> Statement:
    """A certificate about these (label, query) of groups of one part. Head i adds shares[i] / 4 of each gap."""
    v = len(groups[0]["symbols"])
    gaps, hints, all_ranges = [], [], []
    for group in groups:
        for query in (q for q in range(v) if group["queries"] >> q & 1):
            if (group["label"], query) not in regions:
                continue
            label = group["label"]
            own = ranges(label, query)
            row = [gap(label, query, number) for number in range(len(group["rivals"]))]
            gaps.append(row)
            hints.append([[0] * (len(own) // 2) + [x * share // 4 for share in shares] for x in row])
            all_ranges.append(own)
    facts = {"bits": BITS, "groups": list(groups), "ranges": all_ranges}
    counts = [[label, 1 << query, 3, number, 0] for (label, query), number in correct.items()]
    proved = sum(correct.values())
    steps: list[dict[str, Any]] = [
        {"rule": "regions", "premises": [], "args": {"bits": BITS, "groups": list(groups), "hints": []}},
        {"rule": "region_gaps", "premises": [0], "args": {"hints": hints}},
        {"rule": "region_counts", "premises": [1], "args": {"hints": [[[] for _ in row] for row in gaps]}},
        {"rule": "total", "premises": [2], "args": {}},
    ]
    conclusions: list[dict[str, Any]] = [
        facts,
        {"regions": facts, "gaps": gaps},
        {"counts": counts},
        {"correct": proved, "wrong": 0},
    ]
    for step, conclusion in zip(steps, conclusions, strict=True):
        step["conclusion"] = conclusion
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "made-up.safetensors", "digest": {"sha256": sha256}}],
        "predicateType": "urn:compact-proofs:accuracy-certificate:v1",
        "predicate": {
            **{"formatVersion": 1, "task": {"inputs": list(inputs), "label": {"name": "max"}}},
            "model": {"d_vocab": v, "d_model": 4, "n_ctx": 2, "d_head": 2, "d_vocab_out": outputs, "tensors": {}},
            **{"semantics": "exact-real", "margin": "0", "claim": {"correct": proved, "wrong": 0, "total": total}},
            **{"strategy": "regions", "steps": steps},
        },
    }


def largest_of_two(gap: Gap, v: int = 3, **more: Any) -> Statement:
    """Every pair of v tokens; for each maximum and query one region, and all of it is proved."""
    queries = {label: (2 << label) - 1 for label in range(v)}
    groups = [up_to(label, v, queries[label], each_wrong(label, v)) for label in range(v)]
    regions = [(label, query) for label in range(v) for query in range(label + 1)]
    correct = {(label, query): label + 1 if query == label else 1 for label, query in regions}
    usual: dict[str, Any] = {"inputs": [{"tokens": f"0-{v - 1}"}] * 2, "outputs": v, "correct": correct, "total": v * v}
    return statement(groups, regions, gap, **(usual | more))
