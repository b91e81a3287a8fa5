"""Tiny models of one attention layer that are often, not always, right: any heads, an MLP, LayerNorm, any task.

    case = fitted_case(3, MIN, heads=2, activation="relu")
    case.write(folder / "model")

All weights are normal but the unembedding, which least squares fit to the labels.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from certgen.models.architecture import Architecture
from certgen.models.forward import evaluate
from tests.support.any_case import Case
from tests.support.any_model import architecture, axes_of
from tests.support.any_problem import Inputs, Json
from tests.support.tiny import short

RIDGE = 0.03
LARGE = 4.0  # a fitted logit


def fitted_case(seed: int, problem: Json, v: int = 4, outputs: int = 4, d: int = 8, **given: Any) -> Case:
    """The model with the problem, at margin 0."""
    rng, form = np.random.default_rng(seed), architecture(**{"attn_scale_squared": "2", **given})
    sizes = {"d_vocab": v, "d_model": d, "n_ctx": len(problem["inputs"]), "n_heads": form["heads"], "d_head": 2}
    sizes |= {"d_mlp": 2, "d_vocab_out": outputs}
    tensors = {
        name: short(rng.normal(scale=0.7, size=[sizes[axis] for axis in axes])) for name, axes in axes_of(form).items()
    }
    plain = tensors | {"unembed.W_U": np.eye(d), "unembed.b_U": np.zeros(d)}
    inputs = list(Inputs(problem))
    tokens, labels = np.array([x for x, _, _ in inputs]), np.array([label for _, _, label in inputs])
    model: Any = SimpleNamespace(tensors=plain, architecture=Architecture(**form), is_default=False)
    found = evaluate(model, tokens, Inputs(problem).readout(False), 20).logits
    features = np.append(found, np.ones((len(found), 1)), axis=1)
    wanted = LARGE * (labels[:, None] == np.arange(outputs))
    weights = np.linalg.solve(features.T @ features + RIDGE * np.eye(d + 1), features.T @ wanted)
    fitted = {"unembed.W_U": short(weights[:d]), "unembed.b_U": short(weights[d])}
    return Case({**tensors, **fitted}, form, problem)
