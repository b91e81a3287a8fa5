"""The oracle itself, against two other ways to know the truth."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import mpmath
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.generators import Sizes, TinyModel, models, tensors_of
from tests.support.oracle import Oracle, Truth
from tests.support.quick_and_slow import quick_and_slow
from tests.support.tiny import tiny_model, zero_tensors


def test_oracle_decides_ties_exactly(workspace: Path) -> None:
    """Two tokens, uniform attention: logit_y = number of positions that hold y, so with k = 2 half is a tie."""
    path = tiny_model(
        workspace / "tie", zero_tensors(2, 2, 2, 2, W_E=np.eye(2), W_V=np.eye(2), W_O=np.eye(2), W_U=np.eye(2))
    )
    oracle = Oracle(path)  # logits add the direct path of the query, one more vote for it
    assert oracle.truth(0) == Truth(
        correct=3, clear=3, ties=0, total=4
    )  # wrong: (1, 0), the query outvotes the maximum
    path = tiny_model(workspace / "tie", zero_tensors(2, 2, 1, 1, W_E=[[0], [1]], W_V=[[2]], W_O=[[1]], W_U=[[0, 1]]))
    # logit_1 - logit_0 is q + 2 * mean(x): (0, 0) tie, (0, 1) 2, (1, 0) 1, (1, 1) 3
    assert Oracle(path).truth(0) == Truth(3, 3, 1, 4)
    assert Oracle(path).truth(1) == Truth(2, 2, 1, 4)
    assert Oracle(path).truth(Fraction(1) - Fraction(1, 10**60)).correct == 3
    assert Oracle(path).truth(3) == Truth(0, 0, 1, 4)


@quick_and_slow(60)
def test_oracle_agrees_with_rational_arithmetic_when_attention_is_uniform(run: settings, workspace: Path) -> None:
    tied = 0

    @run
    @given(seed=st.integers(0, 2**32 - 1), v=st.integers(2, 4), k=st.integers(1, 4), numerator=st.integers(0, 6))
    def agree(seed: int, v: int, k: int, numerator: int) -> None:
        nonlocal tied
        tensors = tensors_of("lattice", Sizes(v, k, 3, 2), seed)
        for name in ("blocks.0.attn.W_Q", "blocks.0.attn.b_Q"):
            tensors[name] = np.zeros_like(tensors[name])
        exact = {name.rpartition(".")[2]: np.vectorize(Fraction, otypes=[object])(x) for name, x in tensors.items()}
        W_V, W_O = exact["W_V"][0], exact["W_O"][0]
        margin, correct, ties = Fraction(numerator, k), 0, 0
        for x in product(range(v), repeat=k):
            residual = [exact["W_E"][t] + exact["W_pos"][p] for p, t in enumerate(x)]
            z = sum(r @ W_V + exact["b_V"][0] for r in residual) / Fraction(k)
            logits = (residual[-1] + z @ W_O + exact["b_O"]) @ exact["W_U"] + exact["b_U"]
            lead = max(logits[y] + margin - logits[max(x)] for y in range(v) if y != max(x))
            correct, ties = correct + (lead < 0), ties + (lead == 0)
        truth = Oracle(tiny_model(workspace / "uniform", tensors)).truth(margin)
        assert (truth.correct, truth.ties) == (correct, ties)
        tied += ties > 0

    agree()
    assert tied > 5


@quick_and_slow(25)
def test_oracle_agrees_with_a_forward_pass(run: settings, workspace: Path) -> None:
    """Against mpmath with 100 digits; a comparison closer than 1e-60 is left out."""

    @run
    @given(
        model=models(("normal", "near", "ramp"), most_tokens=3, longest=3),
        margin=st.sampled_from([0, Fraction(1, 3), 2]),
    )
    def agree(model: TinyModel, margin: Fraction) -> None:
        with mpmath.workdps(100):
            W = {name.rpartition(".")[2]: mpmath.matrix(np.atleast_2d(np.squeeze(x, 0) if x.ndim == 3 else x).tolist())
                 for name, x in model.tensors.items()}  # fmt: skip
            v, k, h = W["W_E"].rows, W["W_pos"].rows, W["W_Q"].cols
            row = lambda matrix, i: matrix[i, :]  # noqa: E731
            correct = total = 0
            for x in product(range(v), repeat=k):
                residual = [row(W["W_E"], t) + row(W["W_pos"], p) for p, t in enumerate(x)]
                query = residual[-1] * W["W_Q"] + W["b_Q"]
                scores = [(query * (r * W["W_K"] + W["b_K"]).T)[0] / mpmath.sqrt(h) for r in residual]
                weights = [mpmath.exp(s) for s in scores]
                z = sum((w / sum(weights) * (r * W["W_V"] + W["b_V"]) for w, r in zip(weights, residual, strict=True)),
                        mpmath.zeros(1, h))  # fmt: skip
                logits = (residual[-1] + z * W["W_O"] + W["b_O"]) * W["W_U"] + W["b_U"]
                offset = mpmath.mpf(Fraction(margin).numerator) / Fraction(margin).denominator
                lead = max((logits[y] + offset - logits[max(x)] for y in range(v) if y != max(x)), default=-1)
                assume(abs(lead) > mpmath.mpf(10) ** -60)
                correct, total = correct + (lead < 0), total + 1
        truth = Oracle(model.write(workspace / "forward")).truth(margin)
        assert (truth.correct, truth.ties, truth.total) == (correct, 0, total)

    agree()
