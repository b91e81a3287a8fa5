"""The accuracy of a model, to compare a certified bound with: counted where that is possible, sampled otherwise.

This is a measurement in float64 and no proof; only a certificate proves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from certgen.counts.branching import Decided, count_correct
from certgen.counts.cells import queries_of
from certgen.counts.evaluation import Question, choose_setting, conclude, evaluate_pieces, gaps
from certgen.counts.numerators import DEFAULT_PRECISION, Precision, full_precision
from certgen.counts.sampling import random_inputs
from certgen.counts.work import evaluation_work, work
from certgen.models.circuits import Circuits
from certgen.models.model_file import Model
from certgen.problem import MaxOfK, Problem, max_of_k
from certgen.progress import quiet

MOST_COUNTED = 1 << 26  # sequences; about ten seconds
MOST_COUNTED_WORK = 1 << 23  # thousands of multiply-adds; some twenty seconds
SAMPLE, SMALLEST_SAMPLE = 1 << 18, 1 << 12
CHUNK = 1 << 12  # sequences evaluated at once: k v floats each
SEED = 0
CONFIDENCE = 0.99
BISECTIONS = 50


@dataclass(frozen=True)
class Accuracy:
    """A fraction of the inputs, and limits of it. `how` is "exact", or says how it was estimated."""

    accuracy: float
    low: float
    high: float
    how: str


def true_accuracy(model: Model, margin: str | Fraction = "0", problem: Problem | MaxOfK | None = None) -> Accuracy:
    """The fraction of all inputs, by weight, whose answer wins by more than `margin` logits.

    `problem` is what the model is asked, max-of-k unless given. Up to 2^26 sequences of max-of-k, or some 10^10
    multiply-adds of another model or problem, it is counted: low = high = accuracy, unless some inputs are too close to
    a tie, which `how` tells; they count as wrong in `accuracy` and `low`, as right in `high`. Beyond that it is
    estimated from 2^18 random inputs (always the same ones; fewer of a large model), with the exact (Clopper-Pearson)
    interval of 99 % confidence. Cost: seconds. Raises UserError for a model that is malformed, or not made for this.
    """
    task = max_of_k(model) if problem is None else problem.bound_to(model)
    question = Question(model, task, Fraction(margin))
    if not question.is_classic:
        return evaluated(question)
    circuits = Circuits(model, Fraction(margin))
    if circuits.v**circuits.k <= MOST_COUNTED:
        return counted(circuits)
    return sampled(sampled_wrong(circuits, SAMPLE), SAMPLE)


def sampled(wrong: int, size: int) -> Accuracy:
    """What a sample says of which so many are wrong."""
    low, high = clopper_pearson(wrong, size, CONFIDENCE)
    return Accuracy(1 - wrong / size, 1 - high, 1 - low, f"sampled n={size}, 99%")


def counted(circuits: Circuits) -> Accuracy:
    """Every sequence decided, with more precision if some are too close to tell."""
    total = circuits.v**circuits.k
    tally = Decided(0, 0, total)
    for precision in (DEFAULT_PRECISION, full_precision(circuits)):
        if tally.undecided:
            tally = count_all(circuits, precision)
    return exact(tally)


def exact(tally: Decided) -> Accuracy:
    """What a count of all says."""
    total = tally.correct + tally.wrong + tally.undecided
    how = "exact" if not tally.undecided else f"exact but for {tally.undecided} too close to a tie"
    right = rounded_down(tally.correct, total)  # as bounds are: a bound that is the truth is all of it
    return Accuracy(right, right, right if not tally.undecided else (tally.correct + tally.undecided) / total, how)


def evaluated(question: Question) -> Accuracy:
    """The same for a model and a problem of any kind."""
    model, task = question.model, question.task
    setting = choose_setting(question)
    if evaluation_work(model, task) <= MOST_COUNTED_WORK:
        counts = conclude(question, evaluate_pieces(question, setting, quiet), setting.base).counts
        correct, wrong = (sum(count[entry] for count in counts) for entry in (-2, -1))
        return exact(Decided(correct, wrong, task.total - correct - wrong))
    size = min(SAMPLE, max(SMALLEST_SAMPLE, MOST_COUNTED_WORK // (task.k * work(model, task.k, 0))))
    tokens = random_inputs(task, size, np.random.default_rng(SEED))
    chunks = [tokens[start : start + CHUNK] for start in range(0, size, CHUNK)]
    return sampled(sum(int((~(gaps(question, chunk, setting).gap > 0)).sum()) for chunk in chunks), size)


def rounded_down(correct: int, total: int) -> float:
    """The largest float64 that is at most correct / total."""
    nearest = correct / total
    return nearest if Fraction(nearest) <= Fraction(correct, total) else math.nextafter(nearest, -math.inf)


def count_all(circuits: Circuits, precision: Precision) -> Decided:
    tallies = []
    for m in range(circuits.v):
        for q in queries_of(circuits.k, m):
            tallies.append(count_correct(circuits, q, m, precision))
    return Decided(*map(sum, zip(*tallies, strict=True)))


def sampled_wrong(circuits: Circuits, size: int) -> int:
    """How many of `size` random sequences are answered wrong."""
    rng = np.random.default_rng(SEED)
    chunks = [min(CHUNK, size - start) for start in range(0, size, CHUNK)]
    return sum(wrong_answers(circuits, rng.integers(0, circuits.v, (n, circuits.k))) for n in chunks)


def wrong_answers(circuits: Circuits, sequences: npt.NDArray[np.int64]) -> int:
    """How many of the sequences [n, k] are answered wrong; a tie is wrong. Cost n k v."""
    EUPU, EVOU, PVOU = circuits.float_tables
    query, rows = sequences[:, -1], np.arange(len(sequences))
    scores = -circuits.token_gaps[query[:, None], sequences] - circuits.position_gaps[query]
    attention = np.exp(scores - scores.max(axis=1, keepdims=True))
    attention /= attention.sum(axis=1, keepdims=True)
    logits = EUPU[query] + attention @ PVOU
    for p in range(circuits.k):
        logits += attention[:, p, None] * EVOU[sequences[:, p]]
    answer = sequences.max(axis=1)
    right = logits[rows, answer].copy()
    logits[rows, answer] = -np.inf
    return int(np.count_nonzero(~(logits.max(axis=1) + circuits.float_margin < right)))


def clopper_pearson(successes: int, size: int, confidence: float) -> tuple[float, float]:
    """Limits of the probability of success, each missed with probability at most (1 - confidence) / 2.

    The low limit is where as many successes, or more, would be that improbable; the high limit where as few would be.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else crossing(lambda p: 1 - at_most(successes - 1, size, p) < tail)
    high = 1.0 if successes == size else crossing(lambda p: at_most(successes, size, p) > tail)
    return low, high


def at_most(successes: int, size: int, p: float) -> float:
    """The probability of at most this many successes in `size` independent trials."""
    i = np.arange(successes + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])
    log_choices = log_factorials[size] - log_factorials[i] - log_factorials[size - i]
    return float(np.exp(log_choices + i * np.log(p) + (size - i) * np.log1p(-p)).sum())


def crossing(below: Callable[[float], bool]) -> float:
    """Where in (0, 1) `below` turns from true to false, by bisection."""
    left, right = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (left + right) / 2
        left, right = (middle, right) if below(middle) else (left, middle)
    return (left + right) / 2
