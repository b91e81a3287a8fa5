"""The problem: its margin, what fits a model, and what its tables take."""

from fractions import Fraction
from itertools import product as tuples
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.arithmetic.matrices import Matrix
from checker.budget import Cost, number, product
from checker.errors import Rejected, ResourceLimit
from checker.model.architecture import Architecture
from checker.model.forward import work
from checker.problem import MAX_WEIGHTS, Problem, choices_of
from checker.problem.labels import Task
from checker.problem.problem_file import Position, ProblemFile
from tests.support.layer_cases import layer_case
from tests.support.problems import of_case, problem_of
from tests.support.tiny import model_bytes, near_correct, zero_tensors


@given(st.fractions(-100, 100), st.integers(-60, 10))
def test_the_margin_is_rounded_up(margin: Fraction, exponent: int) -> None:
    problem = problem_of(model_bytes(zero_tensors(1, 1, 1, 1)), (margin.numerator, margin.denominator))
    assert problem.margin_upper(exponent) == (margin / Fraction(2) ** exponent).__ceil__()


def test_another_margin_shares_what_does_not_depend_on_it() -> None:
    """Tables and attention weights are made once, whichever margin asks first; the budget is one."""
    problem = problem_of(model_bytes(near_correct(np.random.default_rng(0), 3, 2)), (1, 3))
    other = problem.at((-5, 1))
    assert (problem.margin, other.margin) == ((1, 3), (-5, 1))
    assert other.circuits is problem.circuits and other.attention is problem.attention
    assert other.one_layer(40) is problem.one_layer(40) and other.budget is problem.budget
    assert [each.margin_upper(-1) for each in (problem, other, problem.at((-1, 3)))] == [1, -10, 0]


def sized(v: int = 3, n_ctx: int = 3, outputs: int = 3, **given: Any) -> Any:
    """Weights of which only sizes and the architecture matter."""
    fields = {"pool": "none", "mask": "causal", "blocks": 1, "heads": 2, "readout_layers": 0, **given}
    architecture = Architecture("none", (1, 1), norms=(), normalization="none", eps=(0, 1), **fields)
    tensors = {"unembed.b_U": Matrix([[0] * outputs], 0)}
    sizes = {"d_vocab": v, "n_ctx": n_ctx, "d_model": 1, "d_head": 1}
    return SimpleNamespace(sizes=sizes, architecture=architecture, tensors=tensors, entry="{}")


def asks(
    tokens: list[Any], label: str = "last", of: tuple[int, ...] | None = None, readout: int | None = None
) -> ProblemFile:
    """Of each position its tokens, or a dictionary from these to their weights."""
    positions = [Position(list(x), tuple(x.values()) if isinstance(x, dict) else None) for x in tokens]
    return ProblemFile(tuple(positions), Task(label, {}, of), readout)


def problem(stated: ProblemFile | int, budget: int = 1 << 40, **given: Any) -> Problem:
    return Problem(sized(**given), stated, (0, 1), budget)


def refused(stated: ProblemFile | int, path: str, **given: Any) -> None:
    with pytest.raises(Rejected, match="wrong-task") as caught:
        problem(stated, **given)
    assert caught.value.path == path


def test_the_task_that_is_named_alone_is_that_of_its_model() -> None:
    assert problem(3).choices == [{0: 1, 1: 1, 2: 1}] * 3
    assert problem(3).normal == problem(asks([range(3)] * 3, "max")).normal
    assert (problem(3).digest, problem(3).text) == (None, "max-of-3")
    for stated in (0, 2, 4):
        refused(stated, "k")
    for other in ({"pool": "mean"}, {"outputs": 4}, {"outputs": 2}):
        refused(3, "k", **other)


def test_positions_and_tokens_are_those_of_the_model() -> None:
    assert [problem(asks([[0]] * k)).k for k in (1, 2, 3)] == [1, 2, 3]
    refused(asks([]), "inputs")
    refused(asks([[0]] * 4), "inputs")
    assert choices_of(Position([2, 0], (5, 7)), 3) == {0: 7, 2: 5}
    assert choices_of(Position([2, 0, 1], (5, 0, 0)), 3) == {2: 5}
    assert choices_of(Position([1, 2], None), 3) == {1: 1, 2: 1}
    for tokens, weights, path in [
        ([], None, "tokens"),
        ([0, 3], None, "tokens"),
        ([-1, 2], None, "tokens"),
        ([0, 0], None, "tokens"),
        ([0, 1], (1,), "weights"),
        ([0, 1], (1, 2, 3), "weights"),
        ([0, 1], (1, -1), "weights"),
        ([0, 1], (0, 0), "weights"),
    ]:
        with pytest.raises(Rejected) as caught:
            choices_of(Position(tokens, weights), 3)
        assert caught.value.path == path
        refused(ProblemFile((Position([0], None), Position(tokens, weights)), asks([]).task, None), f"inputs[1].{path}")


def test_so_many_weights_stand_in_the_normal_form() -> None:
    assert MAX_WEIGHTS == 1 << 24
    for k, v in ((1, MAX_WEIGHTS), (2, MAX_WEIGHTS // 2)):
        assert problem(asks([[0]] * k), 1 << 60, v=v).total == 1
        refused(asks([[0]] * k), "inputs", v=v + 1)


def test_a_total_has_as_many_digits_as_can_be_stated() -> None:
    most = 10**4000
    for first, second in ((10**2000, 10**2000), (most, 1), (1, most), (most - 1, 2)):
        refused(asks([{0: first}, {0: second}]), "inputs")
    assert problem(asks([{0: most - 1}, {0: 1}])).total == most - 1
    assert problem(asks([{0: 2, 1: 3}, {2: 7}])).total == 35


def test_logits_are_read_at_a_position_or_pooled() -> None:
    tokens = [[0]] * 3
    for readout, expected in ((None, 2), (0, 0), (1, 1), (2, 2)):
        asked = problem(asks(tokens, readout=readout))
        assert (asked.readout, asked.query_position) == (expected, expected)
    for readout in (-1, 3):
        refused(asks(tokens, readout=readout), "readout")
    pooled = problem(asks(tokens), pool="sum")
    assert (pooled.readout, pooled.query_position) == (None, 2)
    for readout in (0, 1, 2):
        refused(asks(tokens, readout=readout), "readout", pool="mean")


def test_labels_read_increasing_positions() -> None:
    tokens = [[0, 1]] * 3
    assert problem(asks(tokens)).of == (0, 1, 2)
    for of in ((0,), (2,), (0, 2), (0, 1, 2)):
        assert problem(asks(tokens, of=of)).of == of
    wrong: list[tuple[int, ...]] = [(), (1, 0), (1, 1), (-1, 1), (1, 3), (3,)]
    for places in wrong:
        refused(asks(tokens, of=places), "label.of")


def test_what_inputs_and_labels_take() -> None:
    """Bytes of tokens and of weights; a token of a problem that names its task is not stated."""
    assert problem(asks([[0, 1], [2], [0, 1, 2]])).budget.held == 160 * 6 + 40 * 9
    assert problem(3).budget.held == 40 * 9
    with pytest.raises(ResourceLimit, match="over-budget"):
        problem(asks([[0]]), 1 << 20, v=MAX_WEIGHTS)
    asked = problem(asks([[0, 1]] * 3))
    before = asked.budget.spent
    assert [sorted(table) for table in asked.label_tables()] == [[0, 1]] * 3
    assert asked.budget.spent - before == 12 * 2 + 12 * 4 + 12 * 4


@pytest.mark.parametrize(("numbers", "readout"), [*tuples([(2, 3, 1), (1, 1, 3), (3, 2, 2)], [0, 1, 2, None])])
def test_passes_are_prefixes_and_inputs(numbers: tuple[int, ...], readout: int | None) -> None:
    """Of all positions up to that which is read, where attention is causal; else every input at every position."""
    tokens = [list(range(n)) for n in numbers]
    pool = "none" if readout is not None else "sum"
    prefixes = [prod(numbers[: p + 1]) for p in range(3 if readout is None else readout + 1)]
    assert problem(asks(tokens, readout=readout), pool=pool).passes == sum(prefixes) + prod(numbers)
    assert problem(asks(tokens, readout=readout), mask="full", pool=pool).passes == 3 * prod(numbers)


def test_max_of_k_is_the_uniform_task_of_one_head() -> None:
    found = problem_of(model_bytes(zero_tensors(3, 3, 1, 1)))
    assert found.is_max_of_k
    weights, every = found.weights, [range(3)] * 3
    for stated, expected in [
        (asks(every, "max"), True),
        (asks(every, "max", readout=2), True),
        (asks([{0: 1, 1: 1, 2: 1}] * 3, "max", (0, 1, 2)), True),
        (asks(every, "min"), False),
        (asks(every, "max", readout=1), False),
        (asks(every, "max", (0, 1)), False),
        (asks(every[:2], "max"), False),
        (asks([*every[:2], [0, 1]], "max"), False),
        (asks([*every[:2], {0: 1, 1: 2, 2: 1}], "max"), False),
        (asks([{0: 2, 1: 2, 2: 2}] * 3, "max"), False),
    ]:
        assert Problem(weights, stated, (0, 1), 1 << 40).is_max_of_k == expected
    assert not Problem(weights._replace(entry="{}"), asks(every, "max"), (0, 1), 1 << 40).is_max_of_k


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_what_tables_of_a_layer_take(activation: str) -> None:
    """All values at all positions and tokens, and for each query all weights; by their precision."""
    asked = of_case(layer_case(0, activation=activation))
    places, asked_for, heads, bits = 3 + 2 + 2, 2, asked.weights.architecture.heads, 40
    features = 3 + (2 if activation == "relu" else 0)
    each = work(asked.weights, 3, bits)
    memory = places * heads * (asked_for * (180 + 2 * number(bits)) + features * number(bits))
    cost = asked.layer_cost(bits)
    assert cost == Cost(cost.what, (places + places) * each, memory, (bits, "layer"))
    assert asked.unit == product(asked.total.bit_length(), asked.total.bit_length())


def test_a_task_in_words() -> None:
    tokens = [[0, 1, 2]] * 3
    assert problem(asks(tokens)).text == "last in 3 positions"
    assert problem(asks(tokens, of=(0, 2))).text == "last of 2 in 3 positions"
    args = {"states": 1, "start": 0, "next": [[0, 0, 0]], "output": [1]}
    for of, words in (
        (None, "automaton of 1 states in 3 positions"),
        ((1,), "automaton of 1 states reading 1 of 3 positions"),
    ):
        assert problem(asks(tokens)._replace(task=Task("automaton", args, of))).text == words
    largest = asks(tokens)._replace(task=Task("nth-largest", {"n": 2}, None))
    assert problem(largest).text == "nth-largest 2 in 3 positions"
    assert problem(largest).digest != problem(asks(tokens)).digest
