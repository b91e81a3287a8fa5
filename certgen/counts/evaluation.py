"""Every input decided, as the checker will do it: in float64 where that tells, in ball arithmetic where it does not.

What the checker can decide depends on the number of bits that it keeps. So for each input the number is found that
suffices; then the numbers that cost least altogether are chosen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import flint
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from certgen.counts.cells import any_cell
from certgen.counts.work import passes, work
from certgen.models.ball_forward import BallForward
from certgen.models.forward import FLOAT_BITS, FloatArray, IntArray, evaluate
from certgen.models.model_file import Model
from certgen.problem import Task
from certgen.problem.inputs import Weights
from certgen.progress import Track

PIECE = 1 << 13  # inputs at a time: bounds the memory, not the result
MOST_OPEN = 1 << 10  # inputs of a part that are decided in ball arithmetic
MOST_UNRESOLVED = 32  # inputs that may turn out to be as good as tied before others are given up sooner
PRECISIONS = (192, 768, 3_072)  # bits of the ball arithmetic, tried one after another
BASES = (16, 20, 24, 28, 32, 40, 48, 56, 63, 96, 128, 192, 256, 512)
FLOAT32_BASE = 48  # with fewer, what a unit rounds is not small beside what float32 does
MOST_BITS = 4_096  # of the format
SPARE_BITS = 1
SAMPLE = 256
SEED = 0
PERTURBED_BITS = 36  # weights are moved by at most 2^-36 of their size
SAFE_BITS = 8


@dataclass(frozen=True, eq=False)
class Question:
    """A model, what it is asked, and by how much the answer has to win."""

    model: Model
    task: Task
    margin: Fraction

    @property
    def is_classic(self) -> bool:
        """Is it what every strategy is for: max-of-k by one layer with one head?"""
        return self.model.is_default and self.task.is_max_of_k

    @cached_property
    def balls(self) -> BallForward:
        return BallForward(self.model)


class Setting(NamedTuple):
    """The fewest bits to think of: with more, the radius in units hardly shrinks. What float64 errors amount to, and
    whether answers are those of float32 programs."""

    base: int
    noise: float
    float32: bool = False


class Gaps(NamedTuple):
    """Per input how far the right logit is ahead of the best other one and the margin; `bits` that suffice to decide.

    `bits` is infinite for an input that float64 cannot decide, or that float32 programs may answer differently. A model
    with one output is ahead by infinity.
    """

    gap: FloatArray
    bits: FloatArray


def gaps(question: Question, tokens: IntArray, setting: Setting) -> Gaps:
    """For inputs `tokens` [n, k]. None gets fewer bits than the setting's base."""
    found = evaluate(question.model, tokens, question.task.readout, setting.base, setting.float32)
    rows, labels, margin = np.arange(len(tokens)), question.task.labels(tokens), float(question.margin)
    with np.errstate(all="ignore"):
        right = found.logits[rows, labels]
        others = found.logits.copy()
        others[rows, labels] = -np.inf
        gap = right - others.max(axis=1) - margin
        noise = np.minimum(found.noise, setting.noise) + found.moved
        sure = np.abs(gap) - 2 * noise - math.ldexp(abs(margin), -FLOAT_BITS)
        bits = needed_bits(np.log2(sure), found.radius, setting.base)
    return Gaps(gap, np.where((sure > 0) & np.isfinite(found.radius), bits, np.inf))


def needed_bits(log_gap: FloatArray, radius: FloatArray, base: int) -> FloatArray:
    """The fewest bits at which twice the radius, which is in units of 2^-bits, is below the gap 2^log_gap."""
    bits: FloatArray = np.maximum(np.ceil(np.log2(2 * radius + 4) - log_gap) + SPARE_BITS, base)
    return bits


def choose_setting(question: Question, float32: bool = False) -> Setting:
    """From some of the inputs."""
    number = question.task.number
    step = max(1, number // SAMPLE)
    tokens = np.concatenate([question.task.inputs(i, i + 1).tokens for i in range(0, number, step)][:SAMPLE])
    found = evaluate(question.model, tokens, question.task.readout, MOST_BITS)
    finite, noise = np.isfinite(found.radius), measured_noise(question, tokens, found.logits)
    for base in BASES[BASES.index(FLOAT32_BASE) :] if float32 else BASES:
        radius = evaluate(question.model, tokens, question.task.readout, base).radius
        if (radius <= 1.25 * found.radius)[finite].all():
            return Setting(base, noise, float32)
    return Setting(BASES[-1], noise, float32)


def measured_noise(question: Question, tokens: IntArray, logits: FloatArray) -> float:
    """What float64 errors may amount to, from what small changes of all weights do.

    The radius bounds them too, but in deep models it is far too large, as it lets all errors add up. This is no bound,
    only safe enough: a wrong guess is a certificate that the checker refuses.
    """
    rng, scale = np.random.default_rng(SEED), 2.0**-PERTURBED_BITS
    moved = {
        name: array * (1 + rng.uniform(-scale, scale, array.shape)) for name, array in question.model.tensors.items()
    }
    others = evaluate(dataclasses.replace(question.model, tensors=moved), tokens, question.task.readout).logits
    with np.errstate(invalid="ignore"):  # infinite logits have no difference
        change = np.abs(others - logits)
    return (
        float(change[np.isfinite(change)].max(initial=0.0)) * 2.0 ** (PERTURBED_BITS - FLOAT_BITS + SAFE_BITS) + 1e-300
    )


class Region(NamedTuple):
    """Inputs of one label and query: by needed bits the weight of those correct and wrong, and their number."""

    label: int
    query: int
    decided: dict[int, tuple[int, int, int]]


class Part(BaseModel):
    """Some inputs, region by region: each that occurs, even if nothing is decided there.

    `open` are the numbers of inputs that float64 does not decide; of `given_up` more it is not known which they are, or
    they are open for float32.
    """

    regions: list[Region]
    open: list[int]
    given_up: int = 0


def evaluate_part(question: Question, start: int, stop: int, setting: Setting) -> Part:
    """The inputs `start` <= i < `stop`."""
    tokens, weights = question.task.inputs(start, stop)
    gap, bits = gaps(question, tokens, setting)
    needed = np.minimum(bits, MOST_BITS + 1).astype(np.int64)
    keys = np.stack([question.task.labels(tokens), tokens[:, question.task.query_position], needed], axis=1)
    groups, place, numbers = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    sums: Weights = np.zeros((len(groups), 2), weights.dtype)
    np.add.at(sums, (place.reshape(-1), (gap <= 0).astype(np.int64)), weights)
    regions: dict[tuple[int, int], Region] = {}
    for (label, query, most), (right, wrong), number in zip(
        groups.tolist(), sums.tolist(), numbers.tolist(), strict=True
    ):
        region = regions.setdefault((label, query), Region(label, query, {}))
        if most <= MOST_BITS:
            region.decided[most] = right, wrong, number
    unsure = (start + np.flatnonzero(bits > MOST_BITS).astype(object)).tolist()
    tried = 0 if setting.float32 else MOST_OPEN
    return Part(regions=list(regions.values()), open=unsure[:tried], given_up=len(unsure[tried:]))


class Conclusion(NamedTuple):
    """What the checker is told: numbers of bits, and for each label and query that occur the weight decided."""

    bits: list[int]
    counts: list[list[int]]


def evaluate_pieces(question: Question, setting: Setting, track: Track) -> list[Part]:
    """All inputs. Cost: `evaluation_work`."""
    pieces = range(0, question.task.number, PIECE)
    return [evaluate_part(question, start, start + PIECE, setting) for start in track(pieces, "brute-force")]


def conclude(question: Question, parts: Iterable[Part], base: int) -> Conclusion:
    """Decide what float64 left open, choose the numbers of bits, and add up. Undecided is what no bits decide."""
    parts = list(parts)
    occurring = [region for part in parts for region in part.regions]
    tables = [
        ((region.label, region.query), needed, decided)
        for region in occurring
        for needed, decided in region.decided.items()
    ]
    given_up = sum(part.given_up for part in parts)
    unresolved = 0
    for index in [index for part in parts for index in part.open]:
        precisions = PRECISIONS if unresolved < MOST_UNRESOLVED else PRECISIONS[:1]
        (tokens,), (weight,) = question.task.inputs(index, index + 1)
        verdict = decide_in_balls(question, tokens.tolist(), precisions)
        found = math.inf if verdict is None else bits_for(question, tokens, verdict.log_gap, base)
        if verdict is None or found > MOST_BITS:
            unresolved += 1
        else:
            side = (int(weight), 0, 1) if verdict.correct else (0, int(weight), 1)
            label, query = question.task.labels(tokens[None]).item(), tokens[question.task.query_position].item()
            tables.append(((label, query), int(found), side))
    bits = choose_bits(question, tables, unresolved + given_up, base)
    counts = {region: [0, 0] for region in sorted({(region.label, region.query) for region in occurring})}
    for region, needed, (correct, wrong, _) in tables:
        if needed <= bits[-1]:
            counts[region][0] += correct
            counts[region][1] += wrong
    every_n = any_cell(question.task.k)
    return Conclusion(bits, [[label, 1 << query, every_n, *decided] for (label, query), decided in counts.items()])


class Verdict(NamedTuple):
    """Is an input correct, and the binary logarithm of how far it is from the limit."""

    correct: bool
    log_gap: float


def decide_in_balls(question: Question, tokens: list[int], precisions: Sequence[int]) -> Verdict | None:
    """None if no precision decides, as in a tie."""
    label = int(question.task.labels(np.array([tokens]))[0])
    for precision in precisions:
        with flint.ctx.workprec(precision):
            ahead = leads(question, tokens, label)
            if all(lead > 0 for lead in ahead):
                least = min((lead.abs_lower() for lead in ahead), default=flint.arb(1))
                return Verdict(True, float(least.log()) / math.log(2))
            behind = [lead.abs_lower() for lead in ahead if lead < 0]
            if behind:
                return Verdict(False, float(max(behind).log()) / math.log(2))
    return None


def leads(question: Question, tokens: list[int], label: int) -> list[flint.arb]:
    """How far the right logit is ahead of each other one and the margin, in the precision of the context."""
    logits = question.balls.logits(tokens, question.task.readout)
    margin = flint.arb(question.margin.numerator) / question.margin.denominator
    return [logits[label] - logit - margin for y, logit in enumerate(logits) if y != label]


def bits_for(question: Question, tokens: npt.NDArray[np.int64], log_gap: float, base: int) -> float:
    """Bits that decide an input whose gap is known; infinite if there are none."""
    best = math.inf
    for rung in (base, 64, 256, 1_024, MOST_BITS):  # near ties may need so many bits that the radius is known better
        if base <= rung < best:
            radius = evaluate(question.model, tokens[None], question.task.readout, rung).radius
            best = min(best, float(needed_bits(np.array([log_gap]), radius, rung)[0]))
    return best


def choose_bits(
    question: Question, tables: Sequence[tuple[object, int, tuple[int, int, int]]], tied: int, base: int
) -> list[int]:
    """One number of bits for all inputs, or a smaller one for most and a larger one for the rest: what costs less.

    Trying again never costs more than the first pass, as check-cert counts work.
    """
    number: dict[int, int] = {}
    for _, needed, (_, _, inputs) in tables:
        number[needed] = number.get(needed, 0) + inputs
    if not number:
        return [base]
    model, task = question.model, question.task
    positions = passes(model, task)

    def again(bits: int) -> int:
        return task.k * (tied + sum(inputs for needed, inputs in number.items() if needed > bits))

    choices = [([bits], positions * (bits + 32)) for bits in [max(number)]]
    for bits in sorted(number)[:-1]:
        if again(bits) * work(model, task.k, max(number)) <= positions * work(model, task.k, bits):
            choices.append(([bits, max(number)], positions * (bits + 32) + again(bits) * (max(number) + 32)))
    return min(choices, key=lambda choice: choice[1])[0]
