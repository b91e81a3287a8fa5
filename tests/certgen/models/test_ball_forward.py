"""The function in ball arithmetic: its balls hold what the definition says, and more precision makes them smaller."""

import flint
import numpy as np
import pytest

from certgen.models.ball_forward import BallForward
from tests.support.random_models import plain_logits, random_model


@pytest.mark.parametrize("seed", range(40))
def test_every_architecture_is_the_function_of_its_definition(seed: int) -> None:
    model = random_model(np.random.default_rng(seed), size=0.6)
    readout = None if model.architecture.pool != "none" else seed % 3
    for tokens in ([0, 1, 2], [3, 3, 0]):
        with flint.ctx.workprec(200):
            balls = BallForward(model).logits(tokens, readout)
        assert [float(ball) for ball in balls] == pytest.approx(
            plain_logits(model, tokens, readout), rel=1e-9, abs=1e-9
        )
        assert max(float(ball.rad()) for ball in balls) < 1e-40


def test_what_divides_by_zero_may_be_anything() -> None:
    model = random_model(np.random.default_rng(2), blocks=0, normalization="LNPre", norms=("final",), eps="0")
    model.tensors["embed.W_E"][0] = 0
    model.tensors["pos_embed.W_pos"][:] = 0
    assert not any(ball.is_finite() for ball in BallForward(model).logits([0, 0], None))
