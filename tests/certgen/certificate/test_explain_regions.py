"""certgen explain about proofs by regions: numbers that are made up come back in the right places."""

import copy
import io
import re
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.console import Console

from certgen.certificate.consistency import task_of
from certgen.certificate.explain import explain
from certgen.certificate.explain_looks import most
from certgen.certificate.region_facts import members, region_facts
from certgen.certificate.statement import Certificate
from certgen.certificate.words import in_brief, scaled_down, scaled_up
from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.models.model_file import Model
from certgen.problem import Problem
from certgen.regions.automata import LabelStates
from certgen.regions.looking import drawn, looks
from tests.certgen.certificate.test_explain import spoil
from tests.support.edits import Edit, Statement, drop, edited, put, to_bytes
from tests.support.random_models import random_model, saved
from tests.support.region_statements import UNIT, Entries, each_wrong, largest_of_two, statement, up_to
from tests.support.runs import Run


def told(made: Statement, model: Model | None = None, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(explain(Certificate.model_validate(made), model))
    return console.file.getvalue()  # type: ignore[attr-defined]


def sentences(text: str) -> str:
    return " ".join(text.split())


def table(text: str, title: str) -> list[list[str]]:
    """The cells of the table with this title, without its head."""
    rows = re.findall(r"^│(.*)│$", text[text.index(title) :].partition("└")[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("│")] for row in rows]


GAPS = "How far wrong outputs stay behind at least (logits)"
HEADS = "Added to the nearest wrong output at most"
NEURONS = "What enters each neuron, by number of regions"
LOST = "Where the bound is lost, by answer and query"


def behind(label: int, query: int, number: int) -> int:
    """Every wrong output, but in the region of answer 2 and query 0 by no more than half a logit."""
    return -UNIT // 2 if (label, query, number) == (2, 0, 1) else -UNIT * (label + query + number + 1)


# What is said


def test_settled_regions_are_told_in_a_sentence() -> None:
    text = told(largest_of_two(behind))
    assert (
        "6 regions, each of all inputs with one answer and one query. In each of them every wrong output stays behind,"
        " by at least 0.5 logits: nearest is 1, where 2 is right and the query is 0. " in sentences(text)
    )
    assert "region_gaps (from 0): no wrong output gets ahead in 6 of 6 regions" in text
    assert "regions (from the weights): 6 regions\n" in text
    assert table(text, GAPS) == [
        ["0", "1", "1", "1", "1"],
        ["1", "2", "3", "0", "2"],
        ["2", "3", "5", "1", "0.5"],
    ]
    assert LOST not in text and "slack" not in text and "get ahead" not in text.partition("2. ")[2]


def test_what_heads_add_to_the_nearest_wrong_output() -> None:
    """Bounds of the heads, and what is left of the gap: rounded up, however they add up."""
    text = told(largest_of_two(behind, shares=(3, -1)))
    assert table(text, HEADS) == [
        ["0", "0", "1", "-0.750", "0.250", "-0.500", "-1"],
        ["1", "0", "0", "-1.5", "0.500", "-1", "-2"],
        ["2", "0", "1", "-0.375", "0.125", "-0.250", "-0.500"],
    ]
    assert "by head 0 in 6 of 6 regions, by head 1 in 0." in sentences(text)


def test_many_heads_and_many_neurons_are_summed_up() -> None:
    neurons = [x for j in range(14) for x in (-UNIT * (j > 2), UNIT)]
    text = told(largest_of_two(behind, shares=(1, 2, 0, 3, -1, -2), ranges=lambda label, query: neurons))
    head = text[text.index(HEADS) :].splitlines()[2]
    assert re.findall(r"head \d|others", head) == ["head 0", "head 1", "head 3", "others"], "those that hold back most"
    assert table(text, HEADS)[0][3:] == ["-0.250", "-0.500", "-0.750", "0.750", "-0.250", "-1"]
    assert max(map(len, text.splitlines())) <= 80
    rows = table(text, NEURONS)
    assert len(rows) == 13 and rows[-1][:6] == ["2 others", "12", "0", "0", "0", "1"]
    assert rows[1] == ["3", "0", "0", "6", "-1", "1", "bent", "bent", "bent"]
    assert "14 neurons in 6 regions: on for every input in 18 cases, off in 0, bent in 66, where lines" in sentences(
        text
    )


def test_neurons_are_on_off_or_bent() -> None:
    """0 is on where a range starts, off where it ends; a region that is of one kind makes an answer of that kind."""
    kinds = {(0, 0): [0, 5], (1, 0): [-5, 0], (1, 1): [-1, 1], (2, 0): [-9, -1], (2, 1): [-9, 0], (2, 2): [-UNIT, -1]}
    text = told(largest_of_two(behind, ranges=lambda label, query: kinds[label, query]))
    assert table(text, NEURONS) == [["0", "1", "4", "1", "-1", "0.01954", "on", "1 off, 1 bent", "off"]]
    assert "1 neuron in 6 regions: on for every input in 1 case" in text
    assert "regions (from the weights): 6 regions, ranges of 1 neuron in each" in text


def test_regions_that_are_counted_and_inputs_left_open() -> None:
    """Where a wrong output may get ahead its gap is negative, and the answer and query are told with it."""
    made = largest_of_two(lambda label, query, number: UNIT // 4 if (label, number) == (2, 1) else -UNIT)
    counts = ("predicate", "steps", 2, "conclusion", "counts")
    made = edited(made, put(*counts, 5, 3, value=1), put(*counts, 3, 3, value=0), drop(*counts, 4))
    claimed = 9 - 2 - 1 - 1
    made = edited(made, put("predicate", "claim", "correct", value=claimed))
    text = told(edited(made, put("predicate", "steps", 3, "conclusion", "correct", value=claimed)))
    said = sentences(text)
    assert "In 3 of them every wrong output stays behind, by at least 1 logits: nearest is 1, where 0 is" in said
    assert "In 3 regions some wrong output may get ahead. Left open: 4 sequences (44.445%)." in said
    assert table(text, GAPS)[2] == ["2", "3", "5", "1", "-0.25", "4"]
    assert table(text, LOST) == [
        ["2", "2", "3", "2 (66.667%)", "1"],
        ["2", "1", "1", "1 (100.000%)", "1"],
        ["2", "0", "1", "1 (100.000%)", "1"],
    ]


def test_pairs_without_a_region_and_inputs_outside_of_their_regions() -> None:
    """Here answer 1 has none, and the regions of answer 2 have the inputs with a single 2 only."""
    single = up_to(2, 3, 0b111, each_wrong(2, 3)) | {"next": [[0, 1, -1], [1, -1, -1]]}
    groups, regions = [up_to(0, 3, 1, [0b110]), single], [(0, 0), (2, 0), (2, 1), (2, 2)]
    correct = {(0, 0): 1, (2, 0): 1, (2, 1): 1, (2, 2): 2}
    inputs: Entries = [{"tokens": "0-2"}] * 2
    text = told(statement(groups, regions, behind, inputs=inputs, outputs=3, correct=correct, total=9))
    assert "4 regions, about 4 pairs of answer and query; for 3 of them one region has all inputs." in sentences(text)
    assert table(text, GAPS)[:2] == [["0", "1", "1", "1, 2", "1", "0"], ["1", "0", "3", "", "", "3"]]
    assert table(text, LOST) == [
        ["1", "1", "2", "2 (100.000%)", "no region"],
        ["2", "2", "3", "1 (33.334%)", "in part without a region"],
        ["1", "0", "1", "1 (100.000%)", "no region"],
    ]


def test_what_is_not_watched_is_not_said_to_stay_behind() -> None:
    groups = [up_to(0, 3, 1, [0b010])]
    inputs: Entries = [{"tokens": "0-2"}] * 2
    text = told(statement(groups, [(0, 0)], behind, inputs=inputs, outputs=3, correct={(0, 0): 0}, total=9))
    assert (
        "1 region, each of all inputs with one answer and one query. In it every wrong output that is watched there "
        in sentences(text)
    )


def test_two_groups_that_watch_different_outputs_are_taken_together() -> None:
    groups = [up_to(0, 2, 1, [0b010]), up_to(0, 2, 1, [0b100])]
    inputs: Entries = [{"tokens": "0-1"}] * 2
    text = told(statement(groups, [(0, 0)], behind, inputs=inputs, outputs=3, correct={(0, 0): 1}, total=4))
    assert "2 regions, about 1 pair of answer and query; for all of them one region has all" in sentences(text)
    assert "every wrong output that is watched there stays behind, by at least 1 logits: nearest is" in sentences(text)
    assert table(text, GAPS)[0] == ["0", "2", "1", "1", "1", "0"]


def test_many_answers_are_summed_up() -> None:
    """The twelve where some wrong output is nearest, in their order."""
    text = told(largest_of_two(lambda label, query, number: -UNIT * (20 - label), v=14))
    rows = table(text, GAPS)
    assert [row[0] for row in rows] == [*map(str, range(2, 14)), "others"]
    assert rows[-1] == ["others", "3", "4", "", "19"]
    assert [row[0] for row in table(text, HEADS)] == [*map(str, range(2, 14))]


def test_one_query_is_not_named() -> None:
    groups = [up_to(label, 3, 0b001, each_wrong(label, 3)) for label in range(3)]
    regions, correct = [(0, 0), (1, 0), (2, 0)], {(0, 0): 1, (1, 0): 1, (2, 0): 1}
    inputs: Entries = [{"tokens": "0-2"}, {"tokens": [0]}]
    text = told(statement(groups, regions, behind, inputs=inputs, outputs=3, correct=correct, total=3))
    assert "3 regions, each of all inputs with one answer. In each of them every wrong output stays behind" in (
        sentences(text)
    )
    assert "where 2 is right. " in sentences(text)
    assert table(text, HEADS)[2] == ["2", "1", "-0.125", "-0.375", "-0.500"]


def test_weights_are_told_as_weights() -> None:
    inputs = [{"tokens": "0-2", "weights": [1, 2, 3]}] * 2
    correct = {(0, 0): 1, (1, 0): 2, (1, 1): 2 * 3, (2, 0): 3, (2, 1): 6, (2, 2): 0}
    text = told(largest_of_two(behind, inputs=inputs, correct=correct, total=36))
    assert "Left open: a weight of 18 (50.000%)." in sentences(text)
    assert [row[2] for row in table(text, GAPS)] == ["1", "8", "27"]
    assert table(text, LOST) == [["2", "2", "18", "18 (100.000%)", "in part without a region"]]


def test_bounds_are_rounded_in_the_direction_of_the_claim() -> None:
    assert [scaled_down(n, 8) for n in (1, -1, 100, 256 * 99999)] == ["0.003906", "-0.003907", "0.3906", "99990"]
    assert [scaled_up(n, 8) for n in (1, -1, 100)] == ["0.003907", "-0.003906", "0.3907"]
    assert [in_brief(n, 8) for n in (1, -1, 100, -1000, 10**6)] == ["0.004", "-0.003", "0.391", "-3.90", "3910"]
    assert scaled_down(1 << 9000, 8) == "7.273E+2706" and scaled_down(1, 4096).startswith("9.57"), "no float holds them"


# How parts of an automaton are told apart


def test_parts_and_their_weights() -> None:
    """Inputs of answer 2 by the number of twos; the one in which the part has no input is left out."""
    group = up_to(2, 3, 0b111, [0b11]) | {"next": [[0, 1, -1], [1, 2, -1], [2, 2, -1]], "parts": [-1, 1, 0]}
    regions = [(2, 0), (2, 1), (2, 2)]
    inputs: Entries = [{"tokens": "0-2", "weights": [1, 1, 5]}, {"tokens": "0-2"}]
    made = statement([group], regions, behind, inputs=inputs, outputs=3, correct={(2, 2): 7}, total=21)
    facts = made["predicate"]["steps"][1]
    facts["conclusion"]["gaps"].append([-1])
    facts["conclusion"]["regions"]["ranges"].append([])
    facts["args"]["hints"].append([[-1]])
    (found,) = region_facts(Certificate.model_validate(made))
    assert [(one.query, one.weight) for one in found.regions] == [(0, 5), (1, 5), (2, 5), (2, 2)]
    assert found.pairs[2, 2] == (7, 7) and found.pairs[2, 0] == (5, 0) and found.pairs[0, 0] == (1, 0)
    assert list(members(0b10110)) == [1, 2, 4] and list(members(0)) == []


def test_a_readout_that_is_not_the_last_position() -> None:
    """The query stands there."""
    made = largest_of_two(behind)
    made["predicate"]["task"]["readout"] = 0
    made["predicate"]["task"]["inputs"] = [{"tokens": "0-2", "weights": [1, 1, 4]}, {"tokens": "0-2"}]
    made["predicate"]["claim"]["total"] = 18
    (found,) = region_facts(Certificate.model_validate(made))
    assert [(one.label, one.query, one.weight) for one in found.regions] == [
        *[(0, 0, 1), (1, 0, 1), (1, 1, 2), (2, 0, 1), (2, 1, 1), (2, 2, 12)]
    ]
    assert {pair: proved.total for pair, proved in found.pairs.items()} == {
        (one.label, one.query): one.weight for one in found.regions
    }


# Certificates that do not fit together

FACTS = ("predicate", "steps", 1, "conclusion")
GROUP = (*FACTS, "regions", "groups", 0)
HINTS = ("predicate", "steps", 1, "args", "hints")
MISFITS: dict[str, tuple[Edit, str]] = {
    "a state too large": (put(*GROUP, "next", 0, 0, value=2), "no automaton"),
    "a state below -1": (put(*GROUP, "next", 0, 0, value=-2), "no automaton"),
    "a part below -1": (put(*GROUP, "parts", 0, value=-2), "no automaton"),
    "parts": (put(*GROUP, "parts", value=[0]), "no automaton"),
    "no states": (put(*GROUP, "parts", value=[]), "no automaton"),
    "a symbol": (put(*GROUP, "symbols", 0, value=3), "no automaton"),
    "symbols": (drop(*GROUP, "symbols", 0), "no automaton"),
    "a short row": (drop(*GROUP, "next", 1, 2), "no automaton"),
    "no query": (put(*GROUP, "queries", value=0), "no automaton"),
    "a query": (put(*GROUP, "queries", value=8), "no automaton"),
    "a label": (put(*GROUP, "label", value=3), "no automaton"),
    "an empty class": (put(*GROUP, "rivals", 0, value=0), "no automaton"),
    "an output": (put(*GROUP, "rivals", 0, value=1 << 4000), "no automaton"),
    "gaps": (drop(*FACTS, "gaps", 0), "is not about the 6 regions"),
    "ranges": (drop(*FACTS, "regions", "ranges", 0), "is not about the 6 regions"),
    "hints": (drop(*HINTS, 0), "is not about the 6 regions"),
    "a class less": (drop(*FACTS, "gaps", 0, 0), "another number of neurons or classes"),
    "a neuron more": (put(*FACTS, "regions", "ranges", 1, value=[1, 2]), "another number of neurons or classes"),
    "a hint less": (drop(*HINTS, 0, 0), "another number of neurons or classes"),
    "a mean more": (put(*HINTS, 1, 0, value=[1, 2]), "another length"),
    "no mean": (put(*HINTS, 0, 0, value=[]), "no number for a head"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_does_not_fit_together_is_an_error_in_one_line(what: str) -> None:
    edit, reason = MISFITS[what]
    with pytest.raises(UserError, match=r"^the certificate does not fit together: .*step 1 ") as caught:
        told(edited(largest_of_two(behind), edit))
    assert reason in caught.value.message


def test_automata_too_large_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certgen.certificate.region_facts.MOST_STEPS", 20)
    with pytest.raises(UserError, match="automata are too large"):
        told(largest_of_two(behind))


def test_a_proof_without_regions_or_classes_is_told() -> None:
    """An empty list of groups; groups that watch nothing; no step that counts."""
    empty = largest_of_two(behind)
    for place in ("groups", "ranges"):
        empty = edited(empty, put(*FACTS, "regions", place, value=[]))
    empty = edited(empty, put(*FACTS, "gaps", value=[]), put(*HINTS, value=[]))
    assert "0 regions" in told(empty)
    nothing = [put(*FACTS, "regions", "groups", number, "rivals", value=[]) for number in range(3)]
    made = edited(largest_of_two(behind), *nothing, put(*FACTS, "gaps", value=[[]] * 6), put(*HINTS, value=[[]] * 6))
    assert table(told(made), GAPS)[0] == ["0", "1", "1", "", ""]
    assert HEADS not in told(made)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 64))
def test_spoilt_certificates_are_told_or_refused(seed: int) -> None:
    random = Random(seed)
    made = copy.deepcopy(largest_of_two(behind, shares=(1, 2), ranges=lambda label, query: [-1, 1]))
    for _ in range(random.randint(1, 3)):
        spoil(made["predicate"]["steps"][random.choice([0, 1, 1, 1, 2])], random)
    try:
        certificate = Certificate.model_validate(made)
    except ValidationError:
        return
    try:
        explain(certificate)
    except UserError as error:
        assert error.message.startswith("the certificate does not fit together: ")


# Where heads look


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """One attention layer with two heads for the largest of two of three tokens."""
    given = {"blocks": 1, "heads": 2, "activation": "none", "normalization": "none", "pool": "none"}
    made = random_model(np.random.default_rng(5), v=3, n_ctx=2, size=1.5, mask="full", readout_layers=0, **given)
    for name, width in (("W_U", 3), ("b_U", 3)):
        made.tensors[f"unembed.{name}"] = np.resize(made.tensors[f"unembed.{name}"], (*[4] * (name == "W_U"), width))
    d = made.tensors["embed.W_E"].shape[1]
    made.tensors["unembed.W_U"] = np.ones((d, 3))
    return saved(made, tmp_path_factory.mktemp("model") / "two-heads.safetensors")


def asked(model: Model, *weights: list[int]) -> Question:
    inputs = [{"tokens": "0-2", "weights": list(row)} for row in weights]
    problem = Problem.model_validate({"inputs": inputs, "label": {"name": "max"}})
    return Question(model, problem.bound_to(model), Fraction(0))


def attention(model: Model, tokens: list[int]) -> np.ndarray:
    """[head, position] at the last position, by the definition."""
    w = model.tensors
    x = [w["embed.W_E"][t] + w["pos_embed.W_pos"][p] for p, t in enumerate(tokens)]
    found = []
    for head in range(2):
        Q, K = ([z @ w[f"blocks.0.attn.W_{n}"][head] + w[f"blocks.0.attn.b_{n}"][head] for z in x] for n in "QK")
        scores = np.array([Q[-1] @ key for key in K]) / float(Fraction(model.architecture.attn_scale_squared)) ** 0.5
        found.append(np.exp(scores) / np.exp(scores).sum())
    return np.array(found)


def test_attention_is_averaged_by_position_and_by_token(model: Model) -> None:
    """Over inputs of one answer, each as often as its weight says."""
    question = asked(model, [1, 1, 0], [1, 3, 0])
    zero, one = looks(question, [0, 1], number=20_000)
    assert zero.positions == pytest.approx(attention(model, [0, 0]))
    assert zero.tokens[:, 0] == pytest.approx(1) and zero.tokens[:, 1:] == pytest.approx(0)
    shares = [(3 / 7, attention(model, [0, 1])), (1 / 7, attention(model, [1, 0])), (3 / 7, attention(model, [1, 1]))]
    assert one.positions == pytest.approx(sum(share * own for share, own in shares), abs=0.02)
    on_one = 3 / 7 * shares[0][1][:, 1] + 1 / 7 * shares[1][1][:, 0] + 3 / 7
    assert one.tokens[:, 1] == pytest.approx(on_one, abs=0.02)
    assert one.tokens.sum(axis=1) == pytest.approx(1)


def test_inputs_are_drawn_by_their_weights(model: Model) -> None:
    """Only those with the answer; weights that no float holds are no obstacle."""
    huge = 10**400
    task = asked(model, [huge, 2 * huge, 0], [1, 1, 2]).task
    inputs = drawn(LabelStates(task), 1, np.random.default_rng(0), 3000)
    kinds, often = np.unique(inputs, axis=0, return_counts=True)
    assert kinds.tolist() == [[0, 1], [1, 0], [1, 1]]
    assert often / 3000 == pytest.approx([1 / 5, 2 / 5, 2 / 5], abs=0.04)


def test_with_the_model_it_is_told_where_heads_look(model: Model) -> None:
    text = told(largest_of_two(behind, shares=(1, 2), sha256=model.sha256), model)
    assert "on average over 256 inputs of each answer, drawn at random. A sample, not a part of the proof." in (
        sentences(text)
    )
    rows = table(text, "Tokens looked at, by answer")
    assert [row[0] for row in rows] == ["0", "1", "2"] and rows[0] == ["0", "0 100%", "0 100%"]
    heads = table(text, "Attention on average")
    assert [row[0] for row in heads] == ["0", "1"] and all(row[1].endswith("%") for row in heads)
    assert most(np.array([0.5, 0.04, 0.46])) == "0 50%, 2 46%" and most(np.full(30, 1 / 30)) == "spread out"


def test_the_answer_is_a_token_in_some_tasks_only(model: Model) -> None:
    made = largest_of_two(behind, shares=(1, 2), sha256=model.sha256)
    made["predicate"]["task"]["label"] = {
        "name": "automaton",
        "states": 1,
        "start": 0,
        "next": [[0] * 3],
        "output": [0],
    }
    text = told(made, model)
    assert "the answer ┃" not in text and "Attention on average" in text
    assert "Tokens looked at" not in text, "the only answer has been told"


def test_another_model_or_a_proof_without_regions_is_an_error(model: Model, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "c.cert.json"
    path.write_bytes(to_bytes(largest_of_two(behind)))
    done = run("explain", path, "--model", model.path)
    assert done.code == 2 and "is not the model that the certificate is about" in done.err
    path.write_bytes(to_bytes(largest_of_two(behind, shares=(1, 2), sha256=model.sha256)))
    done = run("explain", path, "--model", model.path)
    assert done.code == 0 and "Attention on average" in done.out
    other = edited(largest_of_two(behind, sha256=model.sha256), put("predicate", "steps", 1, "rule", value="total"))
    other["predicate"]["steps"] = [
        {"rule": "evaluate_inputs", "premises": [], "args": {"bits": [64]}, "conclusion": {"counts": []}},
        {"rule": "total", "premises": [0], "args": {}, "conclusion": {"correct": 0, "wrong": 0}},
    ]
    path.write_bytes(to_bytes(edited(other, put("predicate", "claim", "correct", value=0))))
    done = run("explain", path, "--model", model.path)
    assert done.code == 2 and "no regions in this proof" in done.err
    assert task_of(Certificate.model_validate(other)).k == 2
