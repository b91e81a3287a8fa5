"""Inputs that a model of any kind provably gets wrong: found in float64, decided in ball arithmetic."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import flint
import numpy as np

from certgen.counts.evaluation import MOST_BITS, PIECE, Question, Setting, choose_setting, gaps, leads
from certgen.counts.sampling import random_inputs
from certgen.counts.work import evaluation_work, work
from certgen.models.forward import IntArray
from certgen.progress import Track

MOST_WORK = 1 << 24  # thousands of multiply-adds, about half a minute; beyond, a sample is looked at
SEED = 0
BITS = 256
LATER = 4  # times as many candidates are kept as are wanted: some turn out to be too close to tell


class WrongInput(NamedTuple):
    """logit_output - logit_label is at least `ahead`, which is more than minus the margin."""

    ahead: float
    tokens: tuple[int, ...]
    label: int
    output: int


class Found(NamedTuple):
    """Those that are wrong by most, and how many inputs were looked at: all, or a random sample."""

    inputs: list[WrongInput]
    seen: int


def wrong_inputs(question: Question, limit: int, track: Track) -> Found:
    """Up to `limit` inputs, those that are wrong by most first; each with its most successful wrong output.

    An exact tie is wrong, too, but no ball arithmetic shows it. Cost: the evaluation of every input, or of a sample.
    """
    model, task = question.model, question.task
    everything = evaluation_work(model, task) <= MOST_WORK
    seen = task.number if everything else max(PIECE, MOST_WORK // (task.k * work(model, task.k, 0)))
    sample = None if everything else np.unique(random_inputs(task, seen, np.random.default_rng(SEED)), axis=0)
    seen = task.number if sample is None else len(sample)
    setting = choose_setting(question)
    worst: list[tuple[float, tuple[int, ...]]] = []
    for start in track(range(0, seen, PIECE), "wrong inputs"):
        tokens = task.inputs(start, start + PIECE).tokens if sample is None else sample[start : start + PIECE]
        worst = heapq.nlargest(LATER * limit, [*worst, *candidates(question, tokens, setting)])
    found: list[WrongInput] = []
    for _, candidate in worst:
        if len(found) < limit and (wrong := decided(question, candidate)) is not None:
            found.append(wrong)
    return Found(sorted(found, reverse=True), seen)


def candidates(question: Question, tokens: IntArray, setting: Setting) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Inputs that float64 does not call right, with how far they are wrong; what overflows comes last."""
    found = gaps(question, tokens, setting)
    for index in np.flatnonzero(~((found.gap > 0) & (found.bits <= MOST_BITS))).tolist():
        gap = float(found.gap[index])
        yield -gap if np.isfinite(gap) else -np.inf, tuple(tokens[index].tolist())


def decided(question: Question, tokens: tuple[int, ...]) -> WrongInput | None:
    """The input if it is surely wrong."""
    (label,) = question.task.labels(np.array([tokens])).tolist()
    with flint.ctx.workprec(BITS):
        ahead = leads(question, list(tokens), label)
        margin = flint.arb(question.margin.numerator) / question.margin.denominator
        wrong = [(float((-lead - margin).lower()), y + (y >= label)) for y, lead in enumerate(ahead) if lead < 0]
    if not wrong:
        return None
    least, output = max(wrong)
    return WrongInput(least, tokens, label, output)
