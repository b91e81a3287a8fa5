"""A final LayerNorm in the rules about regions: what they grant is true, and readings that look natural grant more."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pytest

from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure, sqrt_enclosure
from checker.arithmetic.matrices import Matrix
from checker.lemmas.ahead import Ahead
from checker.model import final_norm, one_layer
from checker.model.weights import Weights
from tests.rules.test_region_counts import truth
from tests.second_verifier.regions import holds
from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros
from tests.support.any_problem import max_of_k
from tests.support.layer_cases import by_label, layer_case, said
from tests.support.region_hints import region_steps

MARGIN = 3
Parts = Iterable[Iterable[Ball]]
honest_divisor, honest_unembedding, honest_constant = final_norm.divisor, final_norm.unembedding, Ahead.constant


def normed(seed: int, **given: Any) -> Case:
    """The bias of the LayerNorm and b_U are large enough to decide."""
    case = layer_case(seed, **{"normalization": "LN", "norms": ["final"], "eps": "1/2", **given})
    sizes = {"ln_final.b": 3.0, "unembed.b_U": 3.0} | {f"blocks.0.attn.W_{name}": 1 / 16 for name in "QKV"}
    tensors = {name: x * sizes.get(name, 1) for name, x in case.tensors.items()}
    return Case(tensors, case.entry, case.problem, MARGIN)


def cancelling() -> Case:
    """A head that takes away what it reads: nothing is left of inputs of one token, and b_U decides all."""
    given = architecture(normalization="LNPre", norms=["final"], eps="1/16")
    sizes = {"d_vocab": 2, "d_model": 2, "n_ctx": 2, "n_heads": 1, "d_head": 1, "d_vocab_out": 2}
    tensors = zeros(given, sizes, W_E=[[1, -1], [-1, 1]], W_V=[1, 0], W_O=[-1, 1], b_U=[1, 0])
    return Case(tensors, given, max_of_k(2, 2))


def granted(case: Case, bits: int = 40) -> list[dict[str, Any]]:
    return region_steps(case.data, case.problem, by_label(case, 2), bits, margin=case.margin)


@cache
def cases() -> list[Case]:
    return [*[normed(seed) for seed in range(6)], cancelling()]


def true_gaps() -> bool:
    """Of all these models."""
    return all(holds(case, granted(case)[1]["conclusion"]) for case in cases())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("norms", "eps"), [(["final"], "0"), (["final"], "2"), (["pre", "final"], "1/100000")], ids=str
)
def test_what_is_granted_is_true(norms: list[str], eps: str, seed: int) -> None:
    """Gaps of the divided logits, and no more inputs than are correct."""
    case = normed(seed, norms=norms, eps=eps, heads=1 + seed % 3, normalization="LN" if seed % 4 else "LNPre")
    steps = granted(case, 60)
    assert said(case, steps) == ("", "")
    assert holds(case, steps[1]["conclusion"])
    true = truth(case)
    assert all(n <= true[label, q.bit_length() - 1] for label, q, _, n, _ in steps[2]["conclusion"]["counts"])


def test_some_inputs_are_proved() -> None:
    """Of several models, and of none more than are correct."""
    counts = [sum(count[3] for count in granted(case)[2]["conclusion"]["counts"]) for case in cases()]
    assert sum(n > 0 for n in counts) > 2
    assert all(n <= sum(truth(case).values()) for n, case in zip(counts, cases(), strict=True))


# Readings


def spreads(parts: Parts) -> list[list[int]]:
    """d std of every row of every part."""
    found = []
    for part in parts:
        rows = [ball.centre for ball in part]
        found.append([sqrt_enclosure(sum((len(x) * e - sum(x)) ** 2 for e in x), len(x), 0).high for x in rows])
    return found


def eps_of(eps: tuple[int, int], d: int, bits: int) -> int:
    """d^2 eps in the unit of squares."""
    return (eps[0] * d * d << 2 * bits) // eps[1]


def with_divisor(least: Callable[..., int], most: Callable[..., int]) -> Callable[[pytest.MonkeyPatch], None]:
    """Squares of its ends, from the spreads and from d^2 eps."""

    def divisor(eps: tuple[int, int], parts: Parts, bits: int) -> Enclosure:
        balls = [list(part) for part in parts]
        found, own = spreads(balls), eps_of(eps, len(balls[0][0].centre), bits)
        return Enclosure(*[sqrt_enclosure(end(found, own), 1, 0).low for end in (least, most)])

    return lambda patch: patch.setattr(one_layer, "divisor", divisor)


def eps_only(found: list[list[int]], eps: int) -> int:
    return eps


def largest(found: list[list[int]], eps: int) -> int:
    return sum(map(max, found)) ** 2 + eps


def with_unembedding(change: Callable[[Weights], Weights]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(one_layer, "unembedding", lambda weights: honest_unembedding(change(weights)))


def without(name: str, value: int = 0) -> Callable[[Weights], Weights]:
    """A tensor of zeros, or of ones."""

    def change(weights: Weights) -> Weights:
        blank = Matrix([[value] * len(row) for row in weights.tensors[name].rows], 0)
        return weights._replace(tensors={**weights.tensors, name: blank})

    return change


def not_centred(patch: pytest.MonkeyPatch) -> None:
    def unembedding(weights: Weights) -> tuple[Matrix, Matrix]:
        w, U = weights.tensors["ln_final.w"], weights.tensors["unembed.W_U"]
        d = len(U.rows)
        rows = [[d * x * y for y in row] for x, row in zip(w.rows[0], U.rows, strict=True)]
        return Matrix(rows, w.exponent + U.exponent), honest_unembedding(weights)[1]

    patch.setattr(one_layer, "unembedding", unembedding)


def margin_not_multiplied(patch: pytest.MonkeyPatch) -> None:
    def constant(ahead: Ahead, *args: Any) -> int:
        margin, ahead.margin = ahead.margin, 0
        found = honest_constant(ahead, *args)
        ahead.margin = margin
        return found + margin

    patch.setattr(Ahead, "constant", constant)


def one_end_for_both_signs(end: int) -> Callable[[pytest.MonkeyPatch], None]:
    def divisor(eps: tuple[int, int], parts: Parts, bits: int) -> Enclosure:
        of_both = honest_divisor(eps, parts, bits)[end]
        return Enclosure(of_both, of_both)

    return lambda patch: patch.setattr(one_layer, "divisor", divisor)


READINGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "least divisor from the smallest row": with_divisor(lambda found, eps: min(map(min, found)) ** 2 + eps, largest),
    "largest divisor of the direct path alone": with_divisor(eps_only, lambda found, eps: max(found[0]) ** 2 + eps),
    "variances added": with_divisor(eps_only, lambda found, eps: sum(max(row) ** 2 for row in found) + eps),
    "eps dropped": with_divisor(eps_only, lambda found, eps: sum(map(max, found)) ** 2),
    "eps for its root": with_divisor(lambda found, eps: 4 * eps, largest),
    "the largest divisor for both signs": one_end_for_both_signs(1),
    "the least divisor for both signs": one_end_for_both_signs(0),
    "margin not multiplied": margin_not_multiplied,
    "b_U left out": with_unembedding(without("unembed.b_U")),
    "bias of the LayerNorm left out": with_unembedding(without("ln_final.b")),
    "weights of the LayerNorm left out": with_unembedding(without("ln_final.w", 1)),
    "not centred": not_centred,
}


@pytest.mark.parametrize("name", READINGS)
def test_natural_readings_grant_what_is_false(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one of the models of which the checker grants only what is true."""
    READINGS[name](monkeypatch)
    assert not true_gaps()


def test_all_gaps_are_true_without_them() -> None:
    assert true_gaps()
