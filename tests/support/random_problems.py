"""Random problems, what the checker says of a certificate in memory, and the plain truth about a model."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from certgen.certificate.statement import Certificate
from certgen.models.model_file import Model
from certgen.problem import MaxOfK, Problem, Task
from certgen.problem.problem_file import parse_problem
from checker.certificate import decode_certificate
from checker.kernel import Verdict, verify
from checker.model.weights import read_weights
from tests.support.random_models import plain_logits

BUDGET = 1 << 40


def problem_of(fields: dict[str, Any]) -> Problem | MaxOfK:
    return parse_problem(json.dumps(fields).encode(), "problem.json")


def random_problem(rng: np.random.Generator, v: int, n_ctx: int, outputs: int, pools: bool) -> Problem | MaxOfK:
    k = int(rng.integers(1, n_ctx + 1))
    entries = []
    for _ in range(k):
        entry: dict[str, Any] = {"tokens": rng.permutation(v)[: rng.integers(1, v + 1)].tolist()}
        if rng.random() < 0.3:
            entry["weights"] = [1, *rng.integers(0, 4, len(entry["tokens"]) - 1).tolist()]
        entries.append(entry)
    labels: list[dict[str, Any]] = [
        {"name": "sum-mod", "modulus": outputs},
        {"name": "contains", "token": int(rng.integers(v))},
        {"name": "automaton", "states": 2, "start": 0, "next": rng.integers(0, 2, (2, v)).tolist(), "output": [0, 1]},
    ]
    labels += [{"name": name} for name in ("max", "min", "first", "last", "majority")] if outputs >= v else []
    labels += [{"name": "argmax"}] if outputs >= k else []
    label = labels[rng.integers(len(labels))]
    if rng.random() < 0.4:
        label["of"] = sorted(rng.permutation(k)[: rng.integers(1, k + 1)].tolist())
    readout = {} if pools or rng.random() < 0.3 else {"readout": int(rng.integers(k))}
    return problem_of({"inputs": entries, "label": label, **readout})


def checked(model: Model, certificate: Certificate, budget: int = BUDGET) -> Verdict:
    """The verdict of the checker; its refusal is raised."""
    return verify(decode_certificate(certificate.to_bytes()), read_weights(model.file_bytes), budget)


class Truth(NamedTuple):
    """Weights of inputs that are correct, wrong, and too close to tell in float64."""

    correct: int
    wrong: int
    close: int


def truth(model: Model, task: Task, margin: Fraction) -> Truth:
    """By the definition, one input after another."""
    sums = [0, 0, 0]
    tokens, weights = task.inputs(0, task.number)
    for row, weight, label in zip(tokens.tolist(), weights.tolist(), task.labels(tokens).tolist(), strict=True):
        logits = plain_logits(model, row, task.readout)
        lead = min((logits[label] - logits[y] for y in range(len(logits)) if y != label), default=1.0) - float(margin)
        sums[0 if lead > 1e-9 else 1 if lead < -1e-9 else 2] += weight
    return Truth(*sums)
