"""What a model is trained for: tasks, formats, and the problem file that says the same."""

from typing import Any

import numpy as np
import pytest
import torch

from certgen.errors import UserError
from certgen.models.exercises import Exercise, exercise, max_of_k
from tests.support.sized import sizes

NINE = ("max", "min", "nth-largest", "argmax", "sum-mod", "contains", "first", "last", "majority")
FIELDS: dict[str, dict[str, int | None]] = {
    "nth-largest": {"n": 2},
    "sum-mod": {"modulus": 7},
    "contains": {"token": 3},
}
GIVEN: dict[str, int | None] = {"n": None, "modulus": None, "token": None}
FORMAT = "BOS n SEP n SEP n ANS"


def named(task: str, layout: str | None = None) -> Exercise:
    return exercise(task, 5, None if layout else 3, layout, GIVEN | FIELDS.get(task, {}))


def test_a_format_is_a_problem() -> None:
    made = named("max", FORMAT)
    assert made.problem.model_dump() == {
        "inputs": [
            {"tokens": [5]},
            {"tokens": "0-4"},
            {"tokens": [6]},
            {"tokens": "0-4"},
            {"tokens": [6]},
            {"tokens": "0-4"},
            {"tokens": [7]},
        ],
        "label": {"name": "max", "of": [1, 3, 5]},
    }
    assert (made.k, made.d_vocab, made.outputs, made.is_max_of_k) == (7, 8, 5, False)
    plain = max_of_k(3, 5)
    assert plain.problem.model_dump() == {"inputs": [{"tokens": "0-4"}] * 3, "label": {"name": "max"}}
    assert (plain.k, plain.d_vocab, plain.outputs, plain.is_max_of_k) == (3, 5, 5, True)
    assert exercise("max", 5, 3, "n n n", GIVEN) == plain and not named("min").is_max_of_k


@pytest.mark.parametrize("layout", [None, FORMAT])
@pytest.mark.parametrize(
    ("task", "outputs"),
    [*zip(NINE, (5, 5, 5, None, 7, 2, 5, 5, 5), strict=True)],
)
def test_a_model_has_an_output_for_each_answer(task: str, outputs: int | None, layout: str | None) -> None:
    """None: one for each position, fixed ones included."""
    made = named(task, layout)
    assert made.outputs == (made.k if outputs is None else outputs)
    asked = made.problem.bound_to(sizes(made.k, made.d_vocab, made.outputs))  # refused if an answer had no output
    tokens = made.random_inputs(200, torch.Generator().manual_seed(0))
    for position, row in enumerate(asked.weights):
        assert set(tokens[:, position].tolist()) == set(np.flatnonzero(row))
    assert made.labels(tokens.view(2, 100, -1)).flatten().tolist() == asked.labels(tokens.numpy()).tolist()


@pytest.mark.parametrize(
    ("task", "layout", "title"),
    [
        ("max", None, "max-of-3"),
        ("max", FORMAT, "max-of-3-in-7"),
        ("sum-mod", "n n SUM", "sum-mod-7-of-2-in-3"),
        ("argmax", None, "argmax-of-3"),
    ],
)
def test_titles(task: str, layout: str | None, title: str) -> None:
    assert named(task, layout).title == title


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("max", 5, None, None, {}), "neither --k nor --format is given"),
        (("max", 5, 2, "n n n", {}), "--k is 2, and --format has n 3 times"),
        (("max", 5, None, "BOS n sep n", {}), "--format: cannot read 'sep'"),
        (("max", 5, None, "BOS N", {}), "has no n"),
        (("max", 5, None, "", {}), "has no n"),
        (("max", 5, 3, None, {"n": 1}), "--n has no meaning for --task max"),
        (("sum-mod", 5, 3, None, {"modulus": 2, "token": 0}), "--token has no meaning for --task sum-mod"),
        (("sum-mod", 5, 3, None, {}), "--task sum-mod needs --modulus"),
        (("nth-largest", 5, 3, None, {"n": 4}), "--n is 4, .*\nchoose it from 1 to 3"),
        (("nth-largest", 5, None, "A n B", {"n": 2}), "--n is 2, .*\nchoose it from 1 to 1"),
        (("contains", 5, 3, None, {"token": 5}), "--token is 5, .*\nchoose it from 0 to 4"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: Any, message: str) -> None:
    task, d_vocab, k, layout, given = arguments
    with pytest.raises(UserError, match=message) as refused:
        exercise(task, d_vocab, k, layout, GIVEN | given)
    assert refused.value.hint
