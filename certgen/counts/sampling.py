"""Random inputs of a problem, each as probable as it weighs."""

from __future__ import annotations

import numpy as np

from certgen.models.forward import IntArray
from certgen.problem import Task


def random_inputs(task: Task, size: int, rng: np.random.Generator) -> IntArray:
    """`size` inputs [size, k], with repetitions."""
    columns = []
    for row, tokens in zip(task.space.rows, task.space.choices, strict=True):
        total = sum(row)
        shares = np.array([row[token] / total for token in tokens])
        columns.append(rng.choice(tokens, size=size, p=shares / shares.sum()))
    return np.stack(columns, axis=1)
