"""total, evaluate_inputs and expected_loss: about any problem."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

from flint import arb

from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated
from tests.support.any_oracle import Irrational, Undefined, precision, rational

Args = dict[str, Any]
MOST_BITS = 1 << 12  # beyond this a comparison is left open
BITS_OF_LOSSES = 1 << 13


def total(setting: Setting, premises: list[Stated], args: Args) -> Any:
    covered: dict[tuple[int, int], int] = {}
    sums = [0, 0]
    for i, premise in enumerate(premises):
        for j, (label, queries, ns, correct, wrong) in enumerate(premise.fact["counts"]):
            at = f"premises[{i}].counts[{j}]"
            fits = 0 <= label < setting.outputs and 0 < queries < 1 << setting.vocabulary
            fits = fits and 0 < ns < 1 << setting.positions and correct >= 0 and wrong >= 0
            require(fits, "no-such-region", at)
            for q in range(queries.bit_length()):
                if queries >> q & 1:
                    require(not covered.get((label, q), 0) & ns, "region-covered-twice", at)
                    covered[label, q] = covered.get((label, q), 0) | ns
            sums[0] += correct
            sums[1] += wrong
    return {"correct": sums[0], "wrong": sums[1]}


def is_correct(setting: Setting, tokens: tuple[int, ...], label: int) -> bool | None:
    """Decided where rational numbers or enough precision do; else None, as where the logits are not defined."""
    if setting.outputs == 1:
        return True
    readout = setting.inputs.readout(setting.model.oracle.pooled)
    known, key = setting.model.known, (tokens, readout, label, setting.margin)
    if key not in known:
        known[key] = decided(setting, tokens, readout, label)
    return known[key]


def decided(setting: Setting, tokens: tuple[int, ...], readout: int | None, label: int) -> bool | None:
    oracle, margin = setting.model.oracle, rational(setting.margin)
    try:
        return all(lead + margin < 0 for lead in oracle.leads(tokens, readout, label))
    except (Irrational, Undefined):  # some position; balls say whether the logits depend on it
        bits = 64
    while bits <= MOST_BITS:
        with precision(bits):
            leads = oracle.leads(tokens, readout, label, bits)
            if all(lead + margin < 0 for lead in leads):
                return True
            if any(lead + margin > 0 for lead in leads) and all(lead.is_finite() for lead in leads):
                return False
        bits *= 4
    return None


def evaluate_inputs(setting: Setting, premises: list[Stated], args: Args) -> Any:
    """Whatever the bits, which say how closely a verifier must look."""
    readout = setting.inputs.readout(setting.model.oracle.pooled)
    sums: dict[tuple[int, int], list[int]] = {}
    for tokens, weight, label in setting.inputs:
        require(0 <= label < setting.outputs, "wrong-task", "task.label")
        entry = sums.setdefault((label, tokens[-1 if readout is None else readout]), [0, 0])
        correct = is_correct(setting, tokens, label)
        if correct is not None:
            entry[0 if correct else 1] += weight
    every_n = (1 << setting.positions) - 1
    return {"counts": [[label, 1 << q, every_n, *counts] for (label, q), counts in sorted(sums.items())]}


def expected_loss(setting: Setting, premises: list[Stated], args: Args) -> Any:
    margins = [premise.margin for premise in premises]
    ladder = all(a < b for a, b in pairwise(margins))
    require(ladder and setting.margin in margins, "not-a-ladder", "premises")
    n = len(premises)
    correct = [max(0, *(p.fact["correct"] for p in premises[i:])) for i in range(n)] + [0]
    wrong = [max(0, *(p.fact["wrong"] for p in premises[: i + 1])) for i in range(n)]
    require(correct[0] >= setting.total, "loss-unbounded", "premises")
    require(len(args["losses"]) == n, "wrong-shape", "args.losses")
    losses = [Fraction(loss, 1 << args["bits"]) for loss in args["losses"]]
    for i, (loss, margin) in enumerate(zip(losses, margins, strict=True)):
        require(is_loss(loss, margin, setting.outputs), "loss-too-small", f"args.losses[{i}]")
    mean = sum((losses[i] * (correct[i] - correct[i + 1]) for i in range(n)), Fraction(0)) / setting.total
    at = margins.index(setting.margin)
    entries = [{"margin": str(margin), "correct": correct[i], "wrong": wrong[i]} for i, margin in enumerate(margins)]
    return {"correct": correct[at], "wrong": wrong[at], "profile": entries, "mean_loss": mean}


def is_loss(loss: Fraction, margin: Fraction, outputs: int) -> bool:
    """exp(-loss) + (outputs - 1) exp(-loss - margin) <= 1."""
    if loss < 0 or loss + margin < 0:
        return False
    if outputs == 1:
        return True
    with precision(BITS_OF_LOSSES):
        first, second = ((-arb(rational(x))).exp() for x in (loss, loss + margin))
        return bool(first + (outputs - 1) * second <= 1)
