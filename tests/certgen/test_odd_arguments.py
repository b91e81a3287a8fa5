"""Arguments that no example has: numbers and sizes out of all bounds, names that begin with a hyphen."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from certgen.certificate.proof import require_expressible
from certgen.certificate.statement import Certificate
from certgen.errors import UserError, did_you_mean
from certgen.files import as_argument
from certgen.models.exercises import max_of_k
from certgen.models.training import Recipe, train
from certgen.proving import read_margin, read_target
from certgen.strategies import STRATEGIES
from tests.support.random_models import random_model, saved
from tests.support.random_problems import problem_of


@pytest.mark.parametrize("number", ["1e-99999999", "1e999999999", "9" * 5000, Decimal("1e-999999"), "1e" + "9" * 50])
def test_a_number_too_long_for_a_certificate_is_refused_at_once(number: str | Decimal) -> None:
    for read in (read_margin, read_target):
        with pytest.raises(UserError, match="has more than 4,000 digits"):
            read(number)


def test_a_query_too_large_for_a_certificate_is_refused_at_once(tmp_path: Path) -> None:
    """Sets of queries are bit masks; of other tokens there are no sets, however large they are."""
    model = random_model(np.random.default_rng(1), v=13_300, blocks=0, n_ctx=2, pool="none", readout_layers=0)
    path = saved(model, tmp_path / "model.safetensors")
    for tokens, readout in (([0, 13_299], 0), ([13_287], 0), ([13_286], None), ([13_299], 1)):
        inputs = [{"tokens": tokens}, {"tokens": [1]}]
        label = {"name": "contains", "token": 1}
        stated = problem_of({"inputs": inputs, "label": label, "readout": 1 if readout is None else readout})
        task = stated.bound_to(path)
        if readout == 0:
            with pytest.raises(UserError, match="holds sets of at most 13,287 tokens"):
                require_expressible(path, task)
        else:
            require_expressible(path, task)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(max_of_k(2, 10**9)),
        Recipe(max_of_k(2), d_model=10**7, d_head=10**7),
        Recipe(max_of_k(2), d_mlp=10**8, activation="relu"),
    ],
)
def test_a_model_that_no_file_holds_is_not_trained(recipe: Recipe) -> None:
    with pytest.raises(UserError, match="more than a model file holds"):
        train(recipe, [1])


@pytest.mark.parametrize(
    ("recipe", "seeds"), [(Recipe(max_of_k(2), batch_size=10**11), 1), (Recipe(max_of_k(2, 10**5)), 9)]
)
def test_a_step_that_no_memory_holds_is_refused(recipe: Recipe, seeds: int) -> None:
    with pytest.raises(UserError, match="numbers at once"):
        train(recipe, range(seeds))


def test_a_name_that_begins_with_a_hyphen_is_no_option() -> None:
    assert as_argument(Path("-m.safetensors")) == "./-m.safetensors"
    assert as_argument("a-b") == "a-b"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("CUBIC", "did you mean cubic?"),
        ("sub-cubic", "did you mean sub-cubic/"),
        ("sub-cubic/*", "did you mean sub-cubic/"),
        ("cubik", "did you mean cubic?"),
    ],
)
def test_a_family_and_capitals_lead_to_a_name(word: str, hint: str) -> None:
    assert hint in did_you_mean(word, STRATEGIES, "certgen strategies")


def test_a_certificate_of_another_shape_is_refused_with_the_place(tmp_path: Path, certificates: Path) -> None:
    path = tmp_path / "c.json"
    text = (certificates / "accept" / "tiny--adaptive.cert.json").read_text()
    path.write_text(
        text.replace('"formatVersion": 1', '"formatVersion": "1"').replace('"formatVersion":1', '"formatVersion":"1"')
    )
    with pytest.raises(UserError, match=r"at predicate\.formatVersion: "):
        Certificate.load(path)
    path.write_text(text.replace('"premises"', '"premise"', 1))
    with pytest.raises(UserError, match=r"at predicate\.steps\[0\]\.premises: "):
        Certificate.load(path)
