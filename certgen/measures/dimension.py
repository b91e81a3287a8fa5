"""Unexplained dimension, the paper's measure of what a proof does not compress (arXiv 2406.11779)."""

from __future__ import annotations

from certgen.measures.family import member
from certgen.models.model_file import Model
from certgen.problem import Task
from certgen.strategies import STRATEGIES


def unexplained_dimension(model: Model, strategy: str, task: Task | None = None) -> int:
    """How many numbers the proof looks at one by one. Cost: none, it follows from the sizes.

    For brute force all logits of all inputs of the task, v^(k+1) of max-of-k. 3 v^2 + 2 k v for the cubic proof: EVOU,
    EUPU and the scores of tokens, PVOU and the scores of positions. For the sub-cubic family v^2 + v for the value
    path, and what the treatments of the direct path and of the score error leave; the treatment of the attention adds
    nothing. Strategies that are not the paper's (cost classes other than these) read the same tables as the cubic
    proof, and count the same.
    """
    v, d, k = model.d_vocab, model.d_model, model.n_ctx
    if STRATEGIES[strategy].cost_class == "brute-force":
        return int(v ** (k + 1)) if task is None else task.number * model.d_vocab_out
    parts = member(strategy)
    if parts is None:
        return 3 * v * v + 2 * k * v
    direct = {
        "global-max-diff-exact": 2,
        "max-diff-exact": 2 * v,
        "mean-query+max-diff": v + v * d + 2,
        "svd-query+max-diff": v + v * d + 2,
        "max-diff": v * d + 2,
    }[parts.direct]
    if parts.error == "svd":
        scores = 2 * v
    elif parts.error == "max-diff-exact":
        scores = 4 * v
    elif parts.error == "exact-EQKE":
        scores = v * v
    else:
        scores = 2 * v + 2 * d + (v if parts.error.startswith("mean") else 0)
    return direct + scores + v + v * v
