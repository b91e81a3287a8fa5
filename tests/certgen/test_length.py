"""Proof length: counted operations against the closed formulas of docs/length.md, and totals on real certificates."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from certgen import load_model, prove
from certgen.counting_integers import limbs
from certgen.errors import UserError
from certgen.length import Meter, proof_length
from certgen.length import length_of as length_in_memory
from checker.arithmetic.matrices import Matrix, add, matmul
from checker.arithmetic.packing import members
from checker.cli import check
from checker.facts import Tally, UpperTable
from checker.lemmas.groups import Block, Group, Part
from checker.lemmas.spreads import product_spreads, row_spreads
from checker.model.weights import read_weights
from checker.problem.cells import sequences_of_pair
from checker.rules.direct_path_centred_spread import direct_path_centred_spread
from checker.rules.score_exact import score_exact
from checker.rules.separable_counts import separable_counts
from checker.rules.value_path_spread import value_path_spread
from tests.support.problems import max_of_k
from tests.support.random_models import random_model, saved
from tests.support.random_problems import checked, problem_of
from tests.support.tiny import near_correct, random_tensors, tiny_model


def counted(meter: Meter, rows: int, columns: int, seed: int = 0) -> Matrix:
    """A matrix of small counting integers."""
    entries = np.random.default_rng(seed).integers(-9, 10, size=(rows, columns)).tolist()
    return Matrix([[meter.integer(x) for x in row] for row in entries], 0)


def length_of(meter: Meter, work: Callable[[], object]) -> int:
    before = meter.length
    work()
    return meter.length - before


@pytest.mark.parametrize(("a", "b", "c"), [(1, 1, 1), (2, 3, 4), (7, 5, 2)])
def test_matrix_operations(a: int, b: int, c: int) -> None:
    meter = Meter()
    left, right, other = counted(meter, a, b), counted(meter, b, c, 1), counted(meter, a, b, 2)
    assert length_of(meter, lambda: matmul(left, right)) == 2 * a * b * c
    assert length_of(meter, lambda: add(left, other)) == 3 * a * b
    assert length_of(meter, lambda: row_spreads(left)) == a * (2 * (b - 1) + 1)
    assert length_of(meter, lambda: product_spreads(left, right)) == b * (2 * (c - 1) + 1) + 3 * a * b


@pytest.mark.parametrize(("v", "d"), [(2, 1), (3, 4), (6, 2)])
def test_rules_of_one_limb(v: int, d: int, tmp_path: Path) -> None:
    tensors = {
        name: np.sign(values) * (np.abs(values) > 0.5)
        for name, values in random_tensors(np.random.default_rng(v), v, 2, d, 2).items()
    }
    meter = Meter()
    path = tiny_model(tmp_path / "model.safetensors", tensors, "F16")
    problem = max_of_k(read_weights(path.read_bytes(), meter.read))
    assert (
        problem.circuits.EVOU.rows and problem.circuits.query_residual.rows
    )  # made on first use, before the measurement
    assert length_of(meter, lambda: value_path_spread(problem, (), {})) == v * (2 * (v - 1) + 1) + v - 1

    centre = UpperTable(0, (tuple(meter.integer(1) for _ in range(d)),))
    expected = d + 3 * v * d + d * (2 * (v - 1) + 1) + 3 * v * d
    assert length_of(meter, lambda: direct_path_centred_spread(problem, (), {"centre": centre})) == expected


@pytest.mark.parametrize(("v", "queries"), [(4, 0b1000), (4, 0b1010), (6, 0b101001)])
def test_each_pool_of_a_settled_group_costs_the_same(v: int, queries: int, tmp_path: Path) -> None:
    """One class, a block for each query, m among them. No choice reaches m, so that none are counted."""
    meter, m, k = Meter(), v - 1, 5
    blocks = tuple(Block(1 << q, (), (Part(-1, (), ()),)) for q in members(queries))
    tensors = near_correct(np.random.default_rng(v), v, k, sharpness=4.0, noise=0.0)
    path = tiny_model(tmp_path / "model.safetensors", tensors, "F16")
    problem = max_of_k(read_weights(path.read_bytes(), meter.read))
    scores = score_exact(problem, (), {})
    pools = [[0b1111], [0b0001, 0b1110], [0b0001, 0b0110, 0b1000], [0b0001, 0b0010, 0b0100, 0b1000]]
    args: dict[str, Any] = {"exponent": -6, "bits": 8}

    def derive(groups: list[Group]) -> Tally:
        return separable_counts(problem, (scores,), {**args, "groups": groups})

    lengths = []
    for partition in pools:
        group = Group(m, tuple(partition), (((1 << v) - 1 ^ 1 << m,),), blocks)
        derive([group])  # tables are made on first use
        lengths.append(length_of(meter, partial(derive, [group])))
        counts = derive([group]).counts
        assert [count.correct for count in counts] == [sequences_of_pair(problem, q, m) for q in members(queries)]
    b = len(blocks)
    assert np.diff(lengths).tolist() == [2 * v * (v - 1) + b * (5 * v + m + 2)] * 3


def test_long_operands_cost_their_limbs() -> None:
    meter = Meter()
    long, short = meter.integer(1 << 300), meter.integer(3)
    assert length_of(meter, lambda: long + short) == 5
    assert length_of(meter, lambda: long * long) == 25
    assert length_of(meter, lambda: 7 * long) == 5
    assert length_of(meter, lambda: long // short) == 5
    assert length_of(meter, lambda: long < short) == 5
    assert length_of(meter, lambda: long >> 200) == 5
    assert length_of(meter, lambda: 1 << meter.integer(640)) == 11
    assert length_of(meter, lambda: short**4) == 3  # 3 * 3, 9 * 9, and the product with 1
    assert all(type(x) is meter.integer for x in (long + 1, 1 + long, long * 2, 2 - long, long // 7, 7 % long, -long))


@pytest.mark.parametrize("strategy", ["cubic", "brute-force", "sub-cubic/max-diff-exact/upper-envelope/svd", "exact"])
def test_counting_changes_no_verdict(strategy: str, tmp_path: Path) -> None:
    tensors = random_tensors(np.random.default_rng(3), 4, 3, 3, 2)
    path = tiny_model(tmp_path / "model.safetensors", tensors)
    certificate = tmp_path / "model.cert.json"
    prove(load_model(path), strategy).save(certificate)
    check(str(path), str(certificate))
    measured = proof_length(path, certificate)
    assert measured.model == sum(
        limbs(int(x)) for matrix in read_weights(path.read_bytes()).tensors.values() for row in matrix.rows for x in row
    )
    assert measured.derivation > measured.certificate > 0
    assert proof_length(path, certificate) == measured


def test_a_refused_certificate_has_no_length(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "model.safetensors", random_tensors(np.random.default_rng(3), 3, 2, 2, 2))
    certificate = tmp_path / "model.cert.json"
    prove(load_model(path), "cubic").save(certificate)
    text = certificate.read_text()
    certificate.write_text(text.replace('"formatVersion": 1', '"formatVersion": 2'))
    with pytest.raises(UserError, match="only a proof has a length"):
        proof_length(path, certificate)


@pytest.mark.parametrize("seed", range(12))
def test_proofs_about_any_model_have_a_length(seed: int, tmp_path: Path) -> None:
    """Counting finds the same verdict as checking does, and more inputs make a longer proof."""
    model = saved(random_model(np.random.default_rng(seed), size=0.6), tmp_path / "model.safetensors")
    lengths = []
    for tokens in ("0-1", "0-3"):
        problem = problem_of({"inputs": [{"tokens": tokens}] * 2, "label": {"name": "contains", "token": 1}})
        certificate = prove(model, problem=problem)
        checked(model, certificate)
        lengths.append(length_in_memory(model.file_bytes, certificate.to_bytes()))
    fewer, more = lengths
    assert fewer.model == more.model
    assert fewer.derivation < more.derivation
