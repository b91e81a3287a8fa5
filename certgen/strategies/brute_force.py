"""brute-force: every input evaluated. The certificate is short, checking it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from certgen.bounds.float32 import require_float32
from certgen.certificate.arguments import EvaluateArgs
from certgen.certificate.facts import Float32Accuracy, Tally
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import infer
from certgen.counts.branching import count_correct, require_enumerable
from certgen.counts.cells import cells_of_pair, pairs_of
from certgen.counts.evaluation import Part, Question, Setting, choose_setting, conclude, evaluate_pieces
from certgen.counts.numerators import DEFAULT_PRECISION, full_precision, lane_args
from certgen.counts.work import CHECKED_A_SECOND, SEARCHED_A_SECOND, UNASKED, about, evaluation_work, lasting
from certgen.errors import UserError
from certgen.models.circuits import Circuits
from certgen.progress import Track

Search: TypeAlias = Callable[[Question, Setting, Track], list[Part]]  # all inputs, part by part
MOST_WORK = UNASKED << 6  # thousands of multiply-adds


def brute_force(circuits: Circuits, track: Track) -> Certificate:
    """Count the correct sequences of every pair (q, m); more precision if some are too close to tell.

    Cost up to v^k evaluations of v logits, in numpy.
    """
    v, k = circuits.v, circuits.k
    require_enumerable(circuits)
    pairs = list(pairs_of(v, k))
    precision = DEFAULT_PRECISION
    tallies = [count_correct(circuits, q, m, precision) for q, m in track(pairs, "brute-force")]
    if any(tally.undecided for tally in tallies):
        precision = full_precision(circuits)
        tallies = [count_correct(circuits, q, m, precision) for q, m in track(pairs, "closer")]
    counts = [
        [m, 1 << q, cells_of_pair(k, q, m), tally.correct, 0] for (q, m), tally in zip(pairs, tallies, strict=True)
    ]
    args = lane_args(circuits, precision)
    proof = Proof(circuits.model, circuits.margin)
    step = proof.add(infer("enumerate_sequences", Tally(counts=counts), args))
    return proof.certificate("brute-force", [step])


def evaluate_all(
    question: Question, track: Track, search: Search = evaluate_pieces, float32: bool = False
) -> Certificate:
    """Evaluate every input, for a model and a task of any kind; with `float32` for what float32 programs answer. Cost:
    `evaluation_work`, in numpy."""
    require_affordable(question, MOST_WORK)
    if float32:
        require_float32(question.model)
    setting = choose_setting(question, float32)
    bits, counts = conclude(question, search(question, setting, track), setting.base)
    proof, args = Proof(question.model, question.margin, question.task), EvaluateArgs(bits=bits)
    if float32:
        correct, wrong = (sum(count[entry] for count in counts) for entry in (-2, -1))
        proof.add(infer("float32_inputs", Float32Accuracy(correct=correct, wrong=wrong), args))
        return proof.concluded("brute-force")
    step = proof.add(infer("evaluate_inputs", Tally(counts=counts), args))
    return proof.certificate("brute-force", [step])


def require_affordable(question: Question, most: int, otherwise: str = "") -> None:
    """UserError if evaluating every input takes more than `most` thousands of multiply-adds; `otherwise` is a hint."""
    model, task = question.model, question.task
    needed = evaluation_work(model, task)
    if needed > most:
        search, check = lasting(needed, SEARCHED_A_SECOND), lasting(needed, CHECKED_A_SECOND)
        raise UserError(
            f"{task.text}: {about(task.number)} inputs are too many to evaluate each one: some {about(1000 * needed)} "
            f"multiply-adds, {search} to search and {check} to check",
            otherwise or "choose a smaller problem: fewer positions, or fewer tokens at a position",
        )
