"""True accuracy against the exact oracle and the binomial distribution; the paper's measures against its figures."""

from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest

from certgen import Model, load_model, prove
from certgen.length import proof_length
from certgen.measures import accuracy as accuracy_module
from certgen.measures import area_under_frontier, brute_force_length, flops, true_accuracy, unexplained_dimension
from certgen.measures.accuracy import at_most, clopper_pearson, sampled_wrong, wrong_answers
from certgen.models.circuits import Circuits
from certgen.strategies import STRATEGIES
from tests.support.oracle import truth
from tests.support.tiny import near_correct, random_tensors, tiny_model, zero_tensors

# Accuracy


@pytest.mark.parametrize("margin", [0, Fraction(1, 8), Fraction(5, 2)])
@pytest.mark.parametrize(("seed", "v", "k"), [(0, 4, 3), (1, 3, 2), (2, 5, 1), (3, 2, 4)])
def test_counted_accuracy_is_the_truth(seed: int, v: int, k: int, margin: Fraction, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    for tensors in (random_tensors(rng, v, k, 3, 2), near_correct(rng, v, k, biases=True)):
        path = tiny_model(tmp_path / "model.safetensors", tensors)
        found, expected = true_accuracy(load_model(path), margin), truth(path, margin)
        assert found.how == "exact"
        assert found.low == found.accuracy == found.high
        assert found.accuracy <= Fraction(expected.correct, expected.total) < found.accuracy + 1e-15


def test_ties_are_wrong(tmp_path: Path) -> None:
    """All logits are equal, which exact arithmetic tells from nearly equal."""
    model = load_model(tiny_model(tmp_path / "model.safetensors", zero_tensors(3, 2, 2, 1)))
    found = true_accuracy(model)
    assert (found.accuracy, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.how == "exact"
    circuits = Circuits(model, Fraction(0))
    sequences = np.array([[a, b] for a in range(3) for b in range(3)])
    assert wrong_answers(circuits, sequences) == 9


@pytest.mark.parametrize("margin", [0, Fraction(1, 8)])
def test_single_sequences_agree_with_the_count(margin: Fraction, tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "model.safetensors", random_tensors(np.random.default_rng(5), 4, 3, 3, 2))
    sequences = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    expected = truth(path, margin)
    wrong = wrong_answers(Circuits(load_model(path), Fraction(margin)), sequences)
    assert wrong == expected.total - expected.correct


def test_a_sample_is_seeded_and_covers_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_model(tmp_path / "model.safetensors", random_tensors(np.random.default_rng(5), 4, 3, 3, 2)))
    exact = true_accuracy(model)
    monkeypatch.setattr(accuracy_module, "MOST_COUNTED", 1)
    monkeypatch.setattr(accuracy_module, "SAMPLE", 10_000)
    sampled = true_accuracy(model)
    assert sampled == true_accuracy(model)
    assert sampled.how == "sampled n=10000, 99%"
    assert sampled.low < exact.accuracy < sampled.high
    assert sampled.low < sampled.accuracy < sampled.high < sampled.low + 0.03


def test_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_model(tmp_path / "model.safetensors", random_tensors(np.random.default_rng(5), 4, 3, 3, 2))
    circuits = Circuits(load_model(path), Fraction(0))
    found = sampled_wrong(circuits, 1_000)
    monkeypatch.setattr(accuracy_module, "CHUNK", 1_000)
    assert sampled_wrong(circuits, 1_000) == found


@pytest.mark.parametrize(("successes", "size"), [(0, 7), (1, 7), (3, 7), (7, 7), (12, 40)])
def test_limits_of_a_sample_are_exact(successes: int, size: int) -> None:
    """At the limits the tails have half a percent each, in exact arithmetic."""

    def tail(p: float, counts: range) -> float:
        x = Fraction(p)
        return float(sum(comb(size, i) * x**i * (1 - x) ** (size - i) for i in counts))

    low, high = clopper_pearson(successes, size, 0.99)
    assert low == 0 if successes == 0 else tail(low, range(successes, size + 1)) == pytest.approx(0.005, rel=1e-9)
    assert high == 1 if successes == size else tail(high, range(successes + 1)) == pytest.approx(0.005, rel=1e-9)
    assert at_most(successes, size, 0.3) == pytest.approx(tail(0.3, range(successes + 1)))


def test_limits_of_a_large_sample() -> None:
    low, high = clopper_pearson(340, 1 << 18, 0.99)
    assert low < 340 / (1 << 18) < high
    assert high - low == pytest.approx(2 * 2.5758 * np.sqrt(340) / (1 << 18), rel=0.02)


# Unexplained dimension


@pytest.fixture(scope="module")
def paper_sizes(shipped: Path) -> Model:
    """max-of-4 over 64 tokens, d_model = d_head = 32."""
    return load_model(shipped)


DIMENSIONS = {
    "brute-force": 64**5,
    "cubic": 3 * 64**2 + 2 * 4 * 64,
    "sub-cubic/max-diff-exact/mean-query+diff/exact-EQKE": 128 + 4096 + 64 + 4096,
    "sub-cubic/global-max-diff-exact/mean-query+diff/svd": 2 + 128 + 64 + 4096,
    "sub-cubic/max-diff/upper-envelope/max-diff-exact": 2048 + 2 + 256 + 64 + 4096,
    "sub-cubic/mean-query+max-diff/mean-query+diff/max-diff-subproduct": 64 + 2048 + 2 + 128 + 64 + 64 + 4096,
    "sub-cubic/svd-query+max-diff/mean-query+diff/mean+max-diff": 64 + 2048 + 2 + 128 + 64 + 64 + 64 + 4096,
}


@pytest.mark.parametrize("strategy", DIMENSIONS)
def test_unexplained_dimension(strategy: str, paper_sizes: Model) -> None:
    assert unexplained_dimension(paper_sizes, strategy) == DIMENSIONS[strategy]


def test_every_strategy_has_an_unexplained_dimension(paper_sizes: Model) -> None:
    largest = {name: unexplained_dimension(paper_sizes, name) for name in STRATEGIES}
    assert max(largest, key=lambda name: largest[name]) == "brute-force"
    own = [name for name, strategy in STRATEGIES.items() if strategy.cost_class.startswith(("separable", "exact"))]
    assert own and {largest[name] for name in own} == {largest["cubic"]}


# FLOPs

FIGURES = {  # with max-diff-exact and mean-query+diff
    "svd": 4_711_817,
    "max-diff": 3_505_448,
    "max-diff-subproduct": 2_747_238,
    "max-diff-subproduct-recursive": 2_216_934,
    "mean+max-diff": 3_513_767,
    "mean+max-diff-subproduct": 2_772_195,
    "mean+max-diff-subproduct-recursive": 2_229_221,
    "mean-recursive+max-diff-subproduct-recursive": 2_243_651,
    "exact-EQKE": 2_528_583,
    "max-diff-exact": 3_761_480,
}
EXACT = "sub-cubic/max-diff-exact/mean-query+diff"


@pytest.mark.parametrize("error", FIGURES)
def test_flops_of_the_paper(error: str, paper_sizes: Model) -> None:
    assert flops(paper_sizes, f"{EXACT}/{error}") == FIGURES[error]
    saved = FIGURES[error] - 256_096
    assert flops(paper_sizes, f"sub-cubic/mean-query+max-diff/mean-query+diff/{error}") == saved
    dropped = "sub-cubic/max-diff-exact/drop-average-query-per-output-logit-reasoning"
    assert flops(paper_sizes, f"{dropped}/{error}") == FIGURES[error] - 36_288


def test_flops_of_the_cubic_proof(paper_sizes: Model) -> None:
    assert flops(paper_sizes, "cubic") == 35_181_664


def test_flops_that_are_not_known(paper_sizes: Model, tmp_path: Path) -> None:
    known = {name for name in STRATEGIES if flops(paper_sizes, name) is not None}
    assert len(known) == 101  # the paper's family, and the cubic proof
    assert not any("upper-envelope" in name for name in known)
    tensors = random_tensors(np.random.default_rng(0), 3, 2, 3, 2)
    assert flops(load_model(tiny_model(tmp_path / "model.safetensors", tensors)), "cubic") is None


# The area under the frontier


@pytest.mark.parametrize(
    ("proofs", "truth", "area"),
    [
        ([], 1.0, 0.0),
        ([(10, 1.0)], 1.0, 1.0),  # the truth for the price of reading
        ([(100, 1.0)], 1.0, 2 / 3),
        ([(100, 0.5), (1_000, 0.8)], 0.8, (0.5 / 0.8 + 1) / 3),
        ([(1_000, 0.8), (100, 0.5)], 0.8, (0.5 / 0.8 + 1) / 3),  # in any order
        ([(100, 0.5), (1_000, 0.2)], 1.0, 1 / 3),  # a longer proof that is worse
        ([(100, 0.9)], 0.6, 2 / 3),  # a bound above an estimate
        ([(10_000, 1.0), (10**9, 1.0)], 1.0, 0.0),  # no shorter than brute force
        ([(1, 0.5)], 1.0, 0.5),
    ],
)
def test_area_under_the_frontier(proofs: list[tuple[float, float]], truth: float, area: float) -> None:
    """From reading at 10 to brute force at 10,000: three decades."""
    assert area_under_frontier(proofs, 10, 10_000, truth) == pytest.approx(area)


def test_no_area_without_a_width_or_a_truth() -> None:
    assert area_under_frontier([(10, 1.0)], 10, 10, 1.0) is None
    assert area_under_frontier([(10, 1.0)], 10, 5, 1.0) is None
    assert area_under_frontier([(20, 0.0)], 10, 100, 0.0) is None


def test_brute_force_takes_about_as_long_as_is_said(tmp_path: Path) -> None:
    """Within a factor of 4, where sequences outnumber the entries of tables."""
    path = tiny_model(tmp_path / "model.safetensors", near_correct(np.random.default_rng(0), v=5, k=7))
    prove(load_model(path), "brute-force").save(tmp_path / "model.cert.json")
    assert 1 / 4 < proof_length(path, tmp_path / "model.cert.json").total / brute_force_length(5, 7) < 4
