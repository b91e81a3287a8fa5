"""What prove writes, check-cert verifies: every strategy, on weights of every kind of floating point."""

import warnings
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import certgen.certificate.statement
from certgen import load_model, prove
from certgen.certificate import proof
from certgen.certificate.proof import budget_options, needed_budget
from certgen.errors import UserError
from certgen.models.circuits import Circuits
from certgen.strategies import STRATEGIES
from checker.budget import allowed
from checker.certificate import decode_certificate
from checker.cli import estimate
from checker.decode import MAX_BYTES, MAX_DIGITS
from checker.kernel import verify
from checker.model.weights import FORMATS, read_weights
from tests.support.generators import KINDS, Sizes, margins, tensors_of
from tests.support.tiny import AXES, Tensors, near_correct, random_tensors, tiny_model

LARGEST = {"F64": 1.7e308, "F32": 3.3e38, "F16": 65504.0, "BF16": 3.3e38}


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest number of a format, or nearly; its largest instead of infinity. Small ones become subnormal or 0."""
    within = np.clip(np.nan_to_num(values), -LARGEST[dtype], LARGEST[dtype])
    with np.errstate(under="ignore"):
        match dtype:
            case "F64":
                return within
            case "F16":
                return within.astype(np.float16).astype(float)
            case "F32":
                return within.astype(np.float32).astype(float)
        bits = within.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
        return bits.view(np.float32).astype(float)


def offset(rng: np.random.Generator, tensors: Tensors) -> None:
    """A number added to every entry: then a mean has more digits than the entries have."""
    name = rng.choice(["embed.W_E", "embed.W_E", *AXES])
    tensors[name] = tensors[name] + rng.choice([-1, 1]) * 2.0 ** rng.integers(-8, 12)


def scaled(rng: np.random.Generator, tensors: Tensors) -> None:
    """Down to subnormal numbers of some format, or up; one tensor, or one entry."""
    name = rng.choice([*AXES])
    factor = 2.0 ** rng.choice([-1070, -140, -24, -16, -8, 8, 30])
    if rng.integers(2):
        tensors[name] = tensors[name] * factor
    else:
        tensors[name].flat[rng.integers(tensors[name].size)] *= factor


def deficient(rng: np.random.Generator, tensors: Tensors) -> None:
    """Rank one, zero, or two equal rows."""
    name = rng.choice(["embed.W_E", "blocks.0.attn.W_Q", "blocks.0.attn.W_K", "unembed.W_U"])
    rows = tensors[name].reshape(-1, tensors[name].shape[-1])
    match rng.integers(3):
        case 0:
            rows[:] = np.outer(rows[:, 0], rows[0])
        case 1:
            rows[:] = 0
        case 2:
            rows[-1] = rows[0]


def any_model(path: Path, seed: int) -> Path:
    """Sizes down to 1; one format for all tensors, or one for each."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice([*KINDS[:-1]]))
    sizes = Sizes(
        *(int(rng.integers(2 if kind == "ramp" and i > 1 else 1, most)) for i, most in enumerate((6, 5, 7, 5)))
    )
    tensors = {name: np.array(values) for name, values in tensors_of(kind, sizes, seed).items()}
    with np.errstate(all="ignore"):
        for _ in range(rng.integers(4)):
            (offset, scaled, deficient)[rng.integers(3)](rng, tensors)
    single = str(rng.choice([*FORMATS]))
    mixed = bool(rng.integers(2))
    dtypes = {name: str(rng.choice([*FORMATS])) if mixed else single for name in AXES}
    return tiny_model(path, {name: rounded(values, dtypes[name]) for name, values in tensors.items()}, dtypes)


def accepted(path: Path, strategy: str, margin: Fraction = Fraction(0)) -> int:
    """How many sequences the checker finds proved, as check-cert does; a Refusal if it finds a fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        certificate = prove(load_model(path), strategy, margin=margin)
    decoded = decode_certificate(certificate.to_bytes())
    return verify(decoded, read_weights(path.read_bytes()), 1 << 34).correct


def check_many(tmp_path: Path, examples: int) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(seed=st.integers(0, 2**32 - 1), margin=st.just(Fraction(0)) | margins())
    def verified(seed: int, margin: Fraction) -> None:
        path = any_model(tmp_path / "model.safetensors", seed)
        rng = np.random.default_rng(seed)
        for strategy in rng.choice([*STRATEGIES], 3):
            seen["proved something"] += accepted(path, str(strategy), margin) > 0
            seen[str(strategy).rpartition("/")[2]] += 1

    verified()
    assert seen["proved something"] >= examples


def test_every_certificate_is_verified(tmp_path: Path) -> None:
    check_many(tmp_path, 12)


@pytest.mark.slow
def test_every_certificate_is_verified_many(tmp_path: Path) -> None:
    check_many(tmp_path, 2000)


# Means, which the checker rounds to the unit of the numbers in the file


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
@pytest.mark.parametrize("strategy", ["sub-cubic/mean-query+max-diff/mean-query+diff/svd", "separable-by-max/svd"])
def test_singular_values_of_short_numbers_with_an_offset(tmp_path: Path, dtype: str, strategy: str) -> None:
    """The rounded mean of the embeddings is off by as much as they differ."""
    tensors = near_correct(np.random.default_rng(1), v=4, k=2)
    tensors["embed.W_E"] = rounded(tensors["embed.W_E"] + (256 if dtype == "BF16" else 2048), dtype)
    accepted(tiny_model(tmp_path / "m", tensors, dtype), strategy)


@pytest.mark.parametrize("dtype", FORMATS)
def test_singular_values_of_subnormal_numbers(tmp_path: Path, dtype: str) -> None:
    smallest = np.float64(2.0) ** {"F64": -1074, "F32": -149, "F16": -24, "BF16": -133}[dtype]
    tensors = near_correct(np.random.default_rng(2), v=4, k=2)
    tensors["embed.W_E"] = np.random.default_rng(2).integers(0, 4, size=tensors["embed.W_E"].shape) * smallest
    accepted(tiny_model(tmp_path / "m", tensors, dtype), "sub-cubic/mean-query+max-diff/mean-query+diff/svd")


@pytest.mark.parametrize("dtype", FORMATS)
def test_every_table_is_the_very_integers_of_the_checker(tmp_path: Path, dtype: str) -> None:
    """Zeros, subnormal numbers and the largest ones included: units decide how a mean is rounded."""
    tensors = near_correct(np.random.default_rng(3), v=3, k=2)
    tensors["unembed.W_U"] = rounded(tensors["unembed.W_U"] * 2.0**-140, dtype)
    tensors["blocks.0.attn.W_V"][:] = LARGEST["F16"]
    tensors["blocks.0.attn.W_V"] = rounded(tensors["blocks.0.attn.W_V"], dtype)
    tensors["blocks.0.attn.b_O"][:] = 0
    path = tiny_model(tmp_path / "m", tensors, dtype)
    circuits = Circuits(load_model(path), Fraction(0))
    for name, matrix in read_weights(path.read_bytes()).tensors.items():
        table = circuits.weight(name.rpartition(".")[2])
        assert (np.atleast_2d(table.integers).tolist(), table.exponent) == (matrix.rows, matrix.exponent)


def test_sums_beyond_the_largest_float(tmp_path: Path) -> None:
    tensors = near_correct(np.random.default_rng(4), v=3, k=2)
    tensors["embed.W_E"][:, 0] = tensors["pos_embed.W_pos"][:, 0] = 1.7e308
    accepted(tiny_model(tmp_path / "m", tensors), "sub-cubic/svd-query+max-diff/upper-envelope/max-diff-exact")


# More sequences than float64 can count


@pytest.mark.parametrize("strategy", ["adaptive", "cubic"])
def test_numbers_of_sequences_beyond_float64(tmp_path: Path, strategy: str) -> None:
    path = tiny_model(tmp_path / "m", random_tensors(np.random.default_rng(5), v=2, k=1030, d=1, h=1))
    accepted(path, strategy)


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if not name.startswith("sub-cubic/")])
def test_one_token_or_one_position(tmp_path: Path, strategy: str) -> None:
    for v, k in ((1, 1), (1, 3), (3, 1)):
        accepted(tiny_model(tmp_path / "m", random_tensors(np.random.default_rng(6), v, k, d=1, h=1)), strategy)


# What no checker would read


def test_a_file_name_that_is_not_unicode(tmp_path: Path) -> None:
    """The checker takes any text, but other readers of the statement do not take half of a character."""
    path = tiny_model(tmp_path / "gr\udcf6n.safetensors", near_correct(np.random.default_rng(7), v=2, k=2))
    certificate = prove(load_model(path), "cubic")
    assert certificate.subject[0].name == "gr\\xf6n.safetensors"
    certificate.to_bytes().decode("ascii").encode().decode("unicode_escape").encode()  # no half of a character


@pytest.mark.parametrize(("v", "k"), [(2, 13288), (1, 13288), (13288, 1), (100, 2000)])
def test_numbers_that_no_certificate_can_hold(tmp_path: Path, v: int, k: int) -> None:
    path = tiny_model(tmp_path / "m", random_tensors(np.random.default_rng(8), v, k, d=1, h=1))
    with pytest.raises(UserError, match="certificate"):
        prove(load_model(path), "cubic")
    assert 1 << 13287 < 10**MAX_DIGITS <= 1 << 13288


def test_a_certificate_too_large_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert certgen.certificate.statement.MAX_BYTES == MAX_BYTES
    certificate = prove(
        load_model(tiny_model(tmp_path / "m", near_correct(np.random.default_rng(9), v=2, k=2))), "cubic"
    )
    monkeypatch.setattr(certgen.certificate.statement, "MAX_BYTES", len(certificate.to_bytes()) - 1)
    with pytest.raises(UserError, match="check-cert reads at most"):
        certificate.save(tmp_path / "c.json.gz")
    assert not (tmp_path / "c.json.gz").exists()


def test_the_budget_that_a_check_needs(tmp_path: Path) -> None:
    """As check-cert counts it, or a little more."""
    files = (0, 1, 10**4, 10**9)
    assert [min(proof.LEAST + size * size // proof.PART, proof.MOST) for size in files] == list(map(allowed, files))
    model = load_model(tiny_model(tmp_path / "m", near_correct(np.random.default_rng(9), v=2, k=2)))
    certificate = prove(model, "brute-force")
    assert needed_budget(prove(model, "cubic"), model) == 0
    size = certificate.save(tmp_path / "c.json")
    needed = estimate(str(tmp_path / "m"), str(tmp_path / "c.json"), None)[1]["operations"]
    assert isinstance(needed, int) and needed <= needed_budget(certificate, model) <= 2 * proof.LEAST
    assert budget_options(certificate, model, size, packed=False) == []
    claim = certificate.predicate.claim.model_copy(update={"total": 1 << 30})
    larger = certificate.model_copy(update={"predicate": certificate.predicate.model_copy(update={"claim": claim})})
    assert needed_budget(larger, model) > 1 << 30
    assert budget_options(larger, model, size, packed=True) == [f"--budget={needed_budget(larger, model)}"]
