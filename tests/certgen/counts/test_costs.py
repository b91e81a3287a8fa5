"""Expected lengths of proofs against measured ones."""

from fractions import Fraction
from pathlib import Path

import pytest

from certgen import load_model
from certgen.bounds.scores import SCORE_ERRORS
from certgen.counts.costs import of_tables
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.refinement import Search
from certgen.counts.units import Branched, UnitsOfMaximum
from certgen.models.circuits import Circuits
from certgen.progress import quiet
from certgen.strategies.adaptive import Proofs
from tests.support.generators import Sizes, tensors_of
from tests.support.tiny import tiny_model


def proofs_of(path: Path) -> Proofs:
    """A search at its start."""
    circuits = Circuits(load_model(path), Fraction(0))
    step = SCORE_ERRORS["exact-EQKE"](circuits)
    scores = SeparableSearch(circuits, step.conclusion)
    search = Search([UnitsOfMaximum(Maximum(scores, m)) for m in range(circuits.v)])
    tables = of_tables(circuits, branched=False), of_tables(circuits, branched=True)
    return Proofs(circuits, step, search, quiet, circuits.v**circuits.k, tables)


def ratio(proofs: Proofs, number: int) -> float:
    return proofs.expected(number) / proofs.length(number)


@pytest.mark.parametrize(("v", "k"), [(8, 4), (6, 6)])
def test_small_models(v: int, k: int, tmp_path: Path) -> None:
    """Within 12 % where all is counted; branching, which is for the last few sequences, leaves half of these here."""
    proofs = proofs_of(tiny_model(tmp_path / "model.safetensors", tensors_of("near", Sizes(v, k, 8, 8), 1), "F32"))
    stages = proofs.search.stages
    while not any(isinstance(unit, Branched) for unit in stages[-1].chosen) and proofs.search.refine():
        pass
    for number in (0, len(stages) // 2, len(stages) - 2):
        assert ratio(proofs, number) == pytest.approx(1, abs=0.12)
    while len(stages) < 30 and proofs.search.refine():
        pass
    assert ratio(proofs, len(stages) - 1) == pytest.approx(1, abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["4", "5", "10", "20", "10-vocab-128"])
def test_trained_models(kind: str, shipped: Path) -> None:
    """Within 5 %, from the coarsest proof to one of three times its length."""
    proofs = proofs_of(shipped.with_name(f"max-of-{kind}-seed-123.safetensors"))
    coarsest = proofs.expected(0)
    for growth in (1, 1.5, 3):
        assert ratio(proofs, proofs.last_within(growth * coarsest)) == pytest.approx(1, abs=0.05)
