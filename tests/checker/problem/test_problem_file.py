"""Problem files: the label of every input, weights, digests; and what is refused, in a certificate and as --problem."""

import json
import random
from functools import partial, reduce
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checker.cli import check
from checker.errors import Malformed, Refusal, Rejected
from checker.jobs import outcome_of
from checker.kernel import Verdict
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import MAX_TOKENS, ProblemFile, decode_problem
from tests.support.any_case import LABELS, Case, any_case, any_label, certificate, derived
from tests.support.any_model import architecture, zeros
from tests.support.any_problem import Inputs, Json, label_of, max_of_k
from tests.support.checking import outcome

SIZES = {"d_vocab": 3, "d_model": 3, "n_ctx": 4, "d_vocab_out": 6}
BUDGET = 1 << 32


def says_token(pool: str = "none") -> Case:
    """Says the token at the readout; three positions of three tokens, the last token is right."""
    given = architecture(blocks=0, pool=pool)
    tensors = zeros(given, SIZES, W_E=np.eye(3), W_U=np.eye(3, 6))
    return Case(tensors, given, {"inputs": [{"tokens": "0-2"}] * 3, "label": {"name": "last"}})


def problem_of(stated: Json, case: Case | None = None) -> Problem:
    case = case or says_token()
    return Problem(read_weights(case.data), decode_problem(stated, ""), (0, 1), BUDGET)


def nothing(case: Case, stated: Any) -> list[list[int]]:
    """Of each region of this problem nothing; no region if it is none."""
    try:
        found = derived(Case(case.tensors, case.entry, stated), [8])
    except Refusal:
        return []
    return [[*count[:3], 0, 0] for count in found]


def with_problem(stated: Any, folder: Path, case: Case | None = None) -> Verdict | Refusal:
    """What check-cert says to a certificate that is about this problem and claims nothing."""
    case = case or says_token()
    statement = certificate(case, [8], nothing(case, stated), task=stated)
    return outcome(case.write(folder / "model.safetensors"), statement)


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_those_of_plain_definitions(name: str) -> None:
    """Every input of random labels, of all and of some positions."""
    rng, left = random.Random(name), 12
    while left:
        stated = any_label(rng, 3, 4)
        if stated["name"] == name:
            problem = problem_of({"inputs": [{"tokens": "0-2"}] * 4, "label": stated})
            for x in product(range(3), repeat=4):
                step = lambda state, at, problem=problem: problem.label.step(state, *at)  # noqa: E731
                state = reduce(step, enumerate(x), problem.label.start)
                assert problem.label.output(state) == label_of(stated, x), (stated, x)
            left -= 1


def test_a_range_of_one_token_and_as_many_tokens_as_there_may_be() -> None:
    label = {"name": "last"}
    one = decode_problem({"inputs": [{"tokens": "7-7"}], "label": label}, "")
    assert isinstance(one, ProblemFile) and list(one.positions[0].tokens) == [7]
    assert MAX_TOKENS == 4_194_304
    assert decode_problem({"inputs": [{"tokens": f"1-{MAX_TOKENS}"}], "label": label}, "")
    for wrong in (7, ["name"], "name"):
        with pytest.raises(Malformed, match="wrong-type"):
            decode_problem(wrong, "")


@pytest.mark.parametrize("seed", range(40))
def test_weights_and_readout_of_any_problem(seed: int) -> None:
    case = any_case(seed)
    problem, inputs = problem_of(case.problem, case), Inputs(case.problem)
    assert problem.total == inputs.total
    assert [dict(row) for row in problem.choices] == inputs.weights
    assert problem.readout == inputs.readout(case.oracle.pooled)


LAST: Json = {"name": "last"}
THREE: list[Json] = [{"tokens": "0-2"}] * 3


def stated(label: Json = LAST, inputs: list[Json] = THREE, **others: Any) -> Json:
    return {"inputs": inputs, "label": label, **others}


def entry(**fields: Any) -> Json:
    """A problem whose middle position is this."""
    return stated(inputs=[THREE[0], fields, THREE[0]])


def automaton(**fields: Any) -> Json:
    good = {"name": "automaton", "states": 2, "start": 0, "next": [[0, 1, 1], [1, 1, 0]], "output": [2, 0]}
    return stated({name: value for name, value in (good | fields).items() if value is not ...})


MALFORMED: list[tuple[Any, str, str]] = [
    ([], "wrong-type", ""),
    ({"label": LAST}, "missing-field", ""),
    ({"inputs": THREE}, "missing-field", ""),
    (stated(more=1), "unknown-field", ""),
    (stated(readout=True), "wrong-type", "readout"),
    (stated(readout=None), "wrong-type", "readout"),
    (stated(readout="2"), "wrong-type", "readout"),
    ({"inputs": {}, "label": LAST}, "wrong-type", "inputs"),
    (entry(), "missing-field", "inputs[1]"),
    (entry(tokens=[1], weight=[1]), "unknown-field", "inputs[1]"),
    (entry(tokens=[True]), "wrong-type", "inputs[1].tokens[0]"),
    (entry(tokens=["1"]), "wrong-type", "inputs[1].tokens[0]"),
    (entry(tokens=1), "wrong-type", "inputs[1].tokens"),
    (entry(tokens="2-1"), "bad-range", "inputs[1].tokens"),
    (entry(tokens="0-"), "bad-range", "inputs[1].tokens"),
    (entry(tokens="-1-2"), "bad-range", "inputs[1].tokens"),
    (entry(tokens="00-1"), "bad-range", "inputs[1].tokens"),
    (entry(tokens="0-1\n"), "bad-range", "inputs[1].tokens"),
    (entry(tokens="0-\u0661"), "bad-range", "inputs[1].tokens"),
    (entry(tokens=[0], weights=[True]), "wrong-type", "inputs[1].weights[0]"),
    (entry(tokens=[0], weights="1"), "wrong-type", "inputs[1].weights"),
    (entry(tokens=[0], weights=None), "wrong-type", "inputs[1].weights"),
    (entry(tokens=f"0-{MAX_TOKENS}"), "too-large", "inputs"),
    (entry(tokens="0-999999999"), "too-large", "inputs"),
    (stated({"name": "median"}), "unsupported", "label.name"),
    (stated({}), "wrong-type", "label.name"),
    (stated({"name": "max", "n": 1}), "unknown-field", "label"),
    (stated({"name": "max", "of": 1}), "wrong-type", "label.of"),
    (stated({"name": "max", "of": [True]}), "wrong-type", "label.of[0]"),
    (stated({"name": "max", "of": None}), "wrong-type", "label.of"),
    (stated({"name": "nth-largest"}), "missing-field", "label"),
    (stated({"name": "nth-largest", "n": 0}), "out-of-range", "label.n"),
    (stated({"name": "nth-largest", "n": True}), "wrong-type", "label.n"),
    (stated({"name": "sum-mod", "modulus": 0}), "out-of-range", "label.modulus"),
    (stated({"name": "contains", "token": -1}), "out-of-range", "label.token"),
    (automaton(states=0), "out-of-range", "label.states"),
    (automaton(start=-1), "out-of-range", "label.start"),
    (automaton(output=...), "missing-field", "label"),
    (automaton(next=[[0, 1, True], [0, 0, 0]]), "wrong-type", "label.next[0][2]"),
    (automaton(next=[0, 1]), "wrong-type", "label.next[0]"),
    ({"name": "max-of-k"}, "missing-field", ""),
    ({"name": "min-of-k", "k": 4}, "unsupported", "name"),
    ({"name": "max-of-k", "k": True}, "wrong-type", "k"),
]

REJECTED: list[tuple[Json, str, str]] = [
    (stated(inputs=[]), "wrong-task", "inputs"),
    (stated(inputs=THREE * 2), "wrong-task", "inputs"),
    (stated(readout=-1), "wrong-task", "readout"),
    (stated(readout=3), "wrong-task", "readout"),
    (entry(tokens=[]), "wrong-task", "inputs[1].tokens"),
    (entry(tokens=[-1]), "wrong-task", "inputs[1].tokens"),
    (entry(tokens=[0, 3]), "wrong-task", "inputs[1].tokens"),
    (entry(tokens=[1, 0, 1]), "wrong-task", "inputs[1].tokens"),
    (entry(tokens="1-3"), "wrong-task", "inputs[1].tokens"),
    (entry(tokens="0-1", weights=[1]), "wrong-task", "inputs[1].weights"),
    (entry(tokens="0-1", weights=[1, 1, 1]), "wrong-task", "inputs[1].weights"),
    (entry(tokens="0-1", weights=[0, 0]), "wrong-task", "inputs[1].weights"),
    (entry(tokens="0-1", weights=[3, -1]), "wrong-task", "inputs[1].weights"),
    (stated({"name": "max", "of": []}), "wrong-task", "label.of"),
    (stated({"name": "max", "of": [1, 0]}), "wrong-task", "label.of"),
    (stated({"name": "max", "of": [1, 1]}), "wrong-task", "label.of"),
    (stated({"name": "max", "of": [-1]}), "wrong-task", "label.of"),
    (stated({"name": "max", "of": [3]}), "wrong-task", "label.of"),
    (stated({"name": "nth-largest", "n": 4}), "wrong-task", "label.n"),
    (stated({"name": "nth-largest", "n": 2, "of": [0]}), "wrong-task", "label.n"),
    (automaton(states=3), "bad-automaton", "label"),
    (automaton(states=1), "bad-automaton", "label"),
    (automaton(start=2), "bad-automaton", "label"),
    (automaton(output=[1]), "bad-automaton", "label"),
    (automaton(next=[[0, 1, 1], [1, 1]]), "bad-automaton", "label"),
    (automaton(next=[[0, 1, 1], [1, 1, 1, 1]]), "bad-automaton", "label"),
    (automaton(next=[[0, 1, 1]]), "bad-automaton", "label"),
    (automaton(next=[[0, 1, 1], [1, 1, -1]]), "bad-automaton", "label.next"),
    (automaton(next=[[0, 1, 1], [1, 1, 2]]), "bad-automaton", "label.next"),
    ({"name": "max-of-k", "k": 3}, "wrong-task", "k"),
    ({"name": "max-of-k", "k": -1}, "wrong-task", "k"),
]


def ids(cases: list[tuple[Any, str, str]]) -> list[str]:
    return [f"{code} at {path} {number}" for number, (_, code, path) in enumerate(cases)]


@pytest.mark.parametrize(("value", "code", "path"), MALFORMED, ids=ids(MALFORMED))
def test_malformed(value: Any, code: str, path: str, tmp_path: Path) -> None:
    refused = with_problem(value, tmp_path)
    assert isinstance(refused, Refusal)
    assert (refused.exit_code, refused.code) == (3, code), str(refused)
    assert refused.path == ".".join(["predicate.task", *[path] * bool(path)])


@pytest.mark.parametrize(("value", "code", "path"), REJECTED, ids=ids(REJECTED))
def test_rejected(value: Json, code: str, path: str, tmp_path: Path) -> None:
    refused = with_problem(value, tmp_path)
    assert isinstance(refused, Rejected), str(refused)
    assert (refused.code, refused.path) == (code, f"predicate.task.{path}")


@pytest.mark.parametrize(
    "label",
    [
        {"name": "sum-mod", "modulus": 7},
        automaton(output=[2, 6])["label"],
        automaton(output=[-1, 0])["label"],
        automaton(output=[1 << 200, 0])["label"],
    ],
    ids=str,
)
def test_labels_that_are_no_outputs_are_refused(label: Json, tmp_path: Path) -> None:
    """-1 is not the last output. Only where an input has them: 6 of modulus 7 needs 2 + 2 + 2."""
    refused = with_problem(stated(label), tmp_path)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.path) == ("wrong-task", "predicate.steps[0].label")
    if label["name"] == "sum-mod":
        fewer = stated(label, [*THREE[:2], {"tokens": [0, 1, 2], "weights": [1, 1, 0]}])
        assert isinstance(refused := with_problem(fewer, tmp_path), Rejected)
        assert refused.code == "wrong-total"


def test_a_pooled_model_has_no_readout(tmp_path: Path) -> None:
    case = says_token("sum")
    refused = with_problem(stated(readout=2), tmp_path, case)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.path) == ("wrong-task", "predicate.task.readout")
    assert isinstance(with_problem(stated(), tmp_path, case), Verdict)
    assert isinstance(with_problem({"name": "max-of-k", "k": 4}, tmp_path, case), Rejected)


@pytest.mark.parametrize("total", [26, 28, 0, 3])
def test_the_total_is_that_of_the_problem(total: int, tmp_path: Path) -> None:
    case = says_token()
    statement = certificate(case, [8], nothing(case, case.problem))
    path = case.write(tmp_path / "model.safetensors")
    assert isinstance(outcome(path, statement), Verdict)
    statement["predicate"]["claim"]["total"] = total
    refused = outcome(path, statement)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.path) == ("wrong-total", "predicate.claim.total")


SAME = [
    stated(),
    stated(readout=2),
    stated({"name": "last", "of": [0, 1, 2]}),
    stated(inputs=[{"tokens": [2, 0, 1]}, {"tokens": "0-2", "weights": [1, 1, 1]}, {"tokens": [0, 1, 2]}]),
]
OTHERS = [
    stated(readout=1),
    stated({"name": "last", "of": [2]}),
    stated({"name": "first", "of": [2]}),
    stated({"name": "max"}),
    stated(inputs=THREE[:2]),
    stated(inputs=THREE + THREE[:1]),
    stated(inputs=[*THREE[:2], {"tokens": "0-1"}]),
    stated(inputs=[*THREE[:2], {"tokens": "0-2", "weights": [1, 1, 2]}]),
    stated(inputs=[{"tokens": "0-2", "weights": [2, 2, 2]}, *THREE[:2]]),
    automaton(),
]


def test_the_digest_is_that_of_what_a_problem_means() -> None:
    assert len({problem_of(value).digest for value in SAME}) == 1
    assert len({problem_of(value).digest for value in SAME + OTHERS}) == 1 + len(OTHERS)


def test_a_certificate_about_another_problem_is_refused(tmp_path: Path) -> None:
    case = says_token()
    model, cert = case.write(tmp_path / "model.safetensors"), tmp_path / "cert.json"
    cert.write_text(json.dumps(certificate(case, [8], nothing(case, case.problem))))

    def said(text: str) -> Verdict | Refusal:
        (tmp_path / "problem.json").write_text(text)
        problem = str(tmp_path / "problem.json")
        return outcome_of(partial(check, str(model), str(cert), BUDGET, problem))

    for value in SAME:
        assert isinstance(said(json.dumps(value)), Verdict)
    for value in OTHERS:
        refused = said(json.dumps(value))
        assert isinstance(refused, Rejected)
        assert (refused.code, refused.path) == ("other-problem", "predicate.task")
    for value, code, path in REJECTED:
        refused = said(json.dumps(value))
        assert isinstance(refused, Rejected)
        assert (refused.code, refused.path, refused.file) == (code, path, "PROBLEM")
    for value, code, path in MALFORMED:
        refused = said(json.dumps(value))
        assert isinstance(refused, Refusal)
        assert (refused.exit_code, refused.code, refused.path, refused.file) == (3, code, path, "PROBLEM")
    for text, code in (
        ("", "not-json"),
        (json.dumps(SAME[0]).replace('"label"', '"inputs": [], "label"'), "duplicate-key"),
        (json.dumps(SAME[1]).replace("2}", "2.0}"), "not-an-integer"),
        (json.dumps(SAME[1]).replace('"readout": 2', '"readout": NaN'), "not-an-integer"),
        ("[" * 100_000, "not-json"),
    ):
        refused = said(text)
        assert isinstance(refused, Refusal)
        assert (refused.exit_code, refused.code, refused.file) == (3, code, "PROBLEM")


def test_max_of_k_as_a_problem_file_is_max_of_k(tmp_path: Path) -> None:
    """And no other: of one position less, of other weights, of the minimum."""
    given = architecture(attn_scale_squared="1")
    sizes = {"d_vocab": 3, "d_model": 1, "n_ctx": 2, "d_vocab_out": 3, "n_heads": 1, "d_head": 1}
    tensors = zeros(given, sizes)
    case = Case(tensors, None, max_of_k(3, 2))
    assert problem_of({"name": "max-of-k", "k": 2}, case).normal == problem_of(max_of_k(3, 2), case).normal
    assert problem_of(max_of_k(3, 2), case).is_max_of_k
    for changed in (
        {"inputs": [{"tokens": "0-2"}], "label": {"name": "max"}},
        max_of_k(3, 2) | {"readout": 0},
        max_of_k(3, 2) | {"label": {"name": "min"}},
        max_of_k(3, 2) | {"label": {"name": "max", "of": [1]}},
        max_of_k(3, 2) | {"inputs": [{"tokens": "0-2"}, {"tokens": "0-2", "weights": [1, 1, 2]}]},
        max_of_k(3, 2) | {"inputs": [{"tokens": "0-2"}, {"tokens": "0-1"}]},
        max_of_k(3, 2) | {"inputs": [{"tokens": "0-2"}, {"tokens": "0-2", "weights": [1, 0, 1]}]},
    ):
        assert not problem_of(changed, case).is_max_of_k, changed
    assert not problem_of(max_of_k(3, 2), Case(tensors, given, max_of_k(3, 2))).is_max_of_k


@pytest.mark.parametrize("task", [max_of_k(3, 2) | {"readout": 0}, {"inputs": [{"tokens": "0-2"}], "label": LAST}])
def test_old_rules_are_refused_for_other_problems(task: Json, tmp_path: Path) -> None:
    sizes = {"d_vocab": 3, "d_model": 1, "n_ctx": 2, "d_vocab_out": 3, "n_heads": 1, "d_head": 1}
    case = Case(zeros(architecture(), sizes), None, task)
    counts = [[m, 1 << q, 1, 0, 0] for m in range(3) for q in range(m + 1)]
    for rule, args, conclusion in (
        ("pure_sequences", {"exponent": -40, "bits": 40}, {"counts": counts}),
        ("value_path_upper", {}, {"exponent": 0, "rows": [[0]]}),
    ):
        step = {"rule": rule, "premises": [], "args": args, "conclusion": conclusion}
        statement = certificate(case, [8], nothing(case, case.problem))
        statement["predicate"]["steps"].insert(0, step)
        statement["predicate"]["steps"][2]["premises"] = [1]
        refused = outcome(case.write(tmp_path / "model.safetensors"), statement)
        assert isinstance(refused, Rejected)
        assert (refused.code, refused.path) == ("wrong-problem", "predicate.steps[0].rule")
