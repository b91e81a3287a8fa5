"""Tables of one layer: put together for every input, they are its logits."""

from fractions import Fraction
from typing import Any

import pytest
from flint import arb, fmpq

from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure, Power
from checker.errors import Rejected
from checker.model import one_layer
from checker.model.one_layer import OneLayer, features
from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros
from tests.support.any_oracle import Balls, precision
from tests.support.any_problem import Inputs
from tests.support.layer_cases import layer_case
from tests.support.problems import of_case

BITS = 40
PATHS: list[dict[str, Any]] = [
    {},
    {"heads": 3},
    {"heads": 2, "mask": "full"},
    {"heads": 2, "activation": "relu"},
    {"activation": "silu", "mask": "full"},
    {"heads": 2, "normalization": "LN", "norms": ["pre"], "eps": "1/7"},
    {"heads": 2, "normalization": "LNPre", "norms": ["final"], "eps": "1"},
    {"heads": 2, "normalization": "LN", "norms": ["pre", "final"], "eps": "1/3"},
]


def weight(power: Power) -> Fraction:
    """Of attention, up to 2^14 units in the last place."""
    assert power.high - power.low < 1 << 14
    return Fraction(power.low) / Fraction(2) ** power.shift


@pytest.mark.parametrize("given", PATHS, ids=str)
def test_features_of_every_input_are_its_logits(given: dict[str, Any]) -> None:
    """Within the radii. With a final LayerNorm the logits are those times a number, which is within `scale`."""
    case = layer_case(1, **given)
    layer, readout = of_case(case).one_layer(BITS), 1
    unit = Fraction(1, 1 << BITS)
    assert (layer.readout, layer.bits, layer.words) == (readout, BITS, 1)
    assert layer.neurons == len(layer.out.rows) == (2 if "activation" in given else 0)
    with precision(200):
        for tokens, _, _ in list(Inputs(case.problem))[::3]:
            logits = case.oracle.model_of(200).logits(tokens, readout)
            q = tokens[readout]
            sums, slack = list(map(Fraction, layer.direct(q).centre)), Fraction(layer.direct(q).radius + 1)
            for head, values in enumerate(layer.values):
                seen = [p for p, row in enumerate(layer.weights(q)[head]) if row]
                assert seen == list(range(3 if given.get("mask") == "full" else readout + 1))
                weights = [weight(layer.weights(q)[head][p][tokens[p]]) for p in seen]
                balls = [values[p][tokens[p]] for p in seen]
                for y in range(len(sums)):
                    sums[y] += sum(w * x.centre[y] for w, x in zip(weights, balls, strict=True)) / sum(
                        weights, Fraction(0)
                    )
                slack += max(x.radius + (max(map(abs, x.centre)) >> BITS - 16) for x in balls)
            outputs = len(logits)
            total = [x * unit for x in sums]
            for j, out in enumerate(layer.out.rows):
                bent = getattr(Balls(), layer.act.name)(arb(fmpq(*total[outputs + j].as_integer_ratio())))
                total[:outputs] = [
                    x + Fraction(float(bent)) * w * Fraction(2) ** layer.out.exponent
                    for x, w in zip(total, out, strict=False)
                ]
                slack += 4 * sum(map(abs, out)) * Fraction(2) ** layer.out.exponent * slack
            bias = [x * Fraction(2) ** layer.bias.exponent for x in layer.bias.rows[0]]
            low, high = (Fraction(end) * unit for end in layer.scale)
            near = float(slack * unit) + 2**-30
            if low == high == 1:
                for x, b, logit in zip(total, bias, logits, strict=False):
                    assert abs(float(x + b) - float(logit)) <= near
            else:  # the logits are (features + scale * bias) / scale, for one number within its range
                scales = [
                    float(x) / (float(logit) - float(b)) for x, b, logit in zip(total, bias, logits, strict=False)
                ]
                assert max(scales) - min(scales) < 1e-6 * max(scales)
                assert float(low) * (1 - 1e-6) <= scales[0] <= float(high) * (1 + 1e-6)
            assert near < 1e-3


@pytest.mark.parametrize(
    "given",
    [
        {"blocks": 2},
        {"blocks": 0},
        {"readout_layers": 1},
        {"normalization": "LN", "norms": ["post"]},
        {"activation": "relu", "normalization": "LN", "norms": ["pre"]},
        {"activation": "relu", "normalization": "LN", "norms": ["final"]},
    ],
    ids=str,
)
def test_other_models_are_refused(given: dict[str, Any]) -> None:
    asked = of_case(layer_case(0, **given))
    with pytest.raises(Rejected, match="wrong-problem"):
        asked.one_layer(BITS)


def test_a_model_that_pools_is_refused() -> None:
    asked = of_case(layer_case(0))
    with pytest.raises(Rejected, match="wrong-problem"):
        OneLayer(asked.weights, asked.choices, None, BITS)
    assert [OneLayer(asked.weights, asked.choices, 0, bits).words for bits in (63, 64, 128)] == [1, 2, 3]


def test_matrices_of_one_row() -> None:
    """Where everything has one dimension: two of the token, three by V, five by O; read by U and by a neuron."""
    given = architecture(activation="relu")
    sizes = {"d_vocab": 1, "d_model": 1, "n_ctx": 1, "n_heads": 1, "d_head": 1, "d_mlp": 1, "d_vocab_out": 2}
    ones = {"W_E": 2, "W_V": 3, "W_O": 5, "W_U": [[1, 7]], "W_in": 11, "W_out": 13}
    case = Case(zeros(given, sizes, **ones), given, {"inputs": [{"tokens": [0]}], "label": {"name": "last"}})
    layer = of_case(case).one_layer(BITS)
    assert [row[0][0].centre for row in layer.values] == [[30 << BITS, 210 << BITS, 330 << BITS]]
    assert layer.direct(0).centre == [2 << BITS, 14 << BITS, 22 << BITS]
    assert layer.neurons == 1
    assert layer.out.rows == [[x << -layer.out.exponent for x in (13, 91)]]


def test_features_are_as_doubtful_as_the_most_doubtful() -> None:
    maps: Any = [lambda x, radius=radius: Ball([radius, *x.centre], radius + x.radius) for radius in (3, 9, 1)]
    assert features(Ball([7], 2), maps) == Ball([3, 7, 9, 7, 1, 7], 11)


def test_the_residual_of_a_query_has_the_rounding_of_a_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    """One unit, in what a final LayerNorm divides by; then the means of each head."""
    asked = of_case(layer_case(1, heads=2, normalization="LNPre", norms=["final"], eps="1"))
    found: list[list[Ball]] = []

    def divisor(eps: object, parts: list[Any], bits: int) -> Enclosure:
        found.extend([list(part) for part in parts])
        return Enclosure(1, 2)

    monkeypatch.setattr(one_layer, "divisor", divisor)
    layer = OneLayer(asked.weights, asked.choices, 1, BITS)
    assert layer.scale == (1, 2)
    own = [layer.forward.embedded(1, q) for q in asked.choices[1]]
    assert [ball.radius for ball in found[0]] == [ball.radius + 1 for ball in own]
    assert list(map(len, found)) == [2, 5, 5]
