"""certgen explain: it says what the certificate says, in one piece, whatever the certificate is."""

import copy
import gzip
import io
import json
import os
import re
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.console import Console
from typer.testing import CliRunner

from certgen.certificate.consistency import require_consistent
from certgen.certificate.explain import explain
from certgen.certificate.statement import Certificate
from certgen.certificate.words import counted, scaled, written
from certgen.cli import app
from certgen.errors import UserError
from certgen.files import in_unicode
from certgen.models.model_file import load_model
from certgen.proving import prove
from tests.conftest import TESTS
from tests.support.edits import Statement, drop, edited, put, to_bytes

ACCEPTED = sorted((TESTS / "certificates/accept").glob("*.json"))
STATEMENTS = [json.loads(path.read_bytes()) for path in ACCEPTED]


def accepted(name: str) -> Statement:
    statement: Statement = json.loads((TESTS / f"certificates/accept/{name}.cert.json").read_bytes())
    return statement


def told(certificate: Statement | Certificate, width: int = 100) -> str:
    if not isinstance(certificate, Certificate):
        certificate = Certificate.model_validate(certificate)
    console = Console(file=io.StringIO(), width=width)
    console.print(explain(certificate))
    return console.file.getvalue()  # type: ignore[attr-defined]


# What is said


def test_an_exact_certificate_is_an_equality_and_its_wrong_sequences_are_no_slack() -> None:
    text = told(accepted("tiny--exact"))
    assert "accuracy = 600 / 625 (96.000%) over all 5^4 sequences" in text
    assert "Proved: 600 correct and 25 wrong sequences. Left open: 0." in text
    assert "3. total (from 1, 2): 600 correct and 25 wrong sequences" in text
    assert "at least" not in text and "slack" not in text
    table = text[text.index("Sequences proved wrong") :]
    rows = [row[:3] for row in re.findall(r"│ (\d+) +│ (\d+) +│ (\d+) \(([\d.]+)%\) +│ [\d.]+% +│", table)]
    assert rows == [("2", "65", "13"), ("4", "369", "9"), ("1", "15", "2"), ("3", "175", "1")]


def test_a_lower_bound_has_slack_and_a_part_of_it_may_be_wrong() -> None:
    text = told(accepted("tiny--cubic"))
    assert "accuracy >= 213 / 625 (34.080%)" in text
    assert "Proved: 213 correct sequences. Left open: 412." in text
    assert "│ 4         │ 369       │ 298 (80.759%) │ 72.331%                │" in text
    assert "wrong sequences" not in text and "proved wrong" not in text
    text = told(accepted("tiny--one-wrong-unclaimed"))
    assert "accuracy >= 600 / 625" in text
    assert "Proved: 600 correct and 24 wrong sequences. Left open: 1." in text


def test_another_task_is_told_by_query_and_by_label() -> None:
    """Wrong answers by both; what is left open by the query, of which it is known how many inputs there are."""
    exact = accepted("full-sum--exact")
    text = told(exact)
    assert "0. evaluate_inputs (from the weights): 7 correct and 20 wrong inputs in 9 regions" in text
    by_query, by_label = text.split("Inputs proved wrong, by label")
    rows = re.findall(r"│ (\d+) +│ 9 +│ (\d+) \(", by_query[by_query.index("token at position 2") :])
    assert rows == [("2", "7"), ("0", "7"), ("1", "6")]
    assert re.findall(r"│ (\d+) +│ (\d+) +│ (\d+) +│", by_label) == [("1", "0", "9"), ("2", "3", "6"), ("0", "4", "5")]
    counts = ("predicate", "steps", 0, "conclusion", "counts")
    open_queries = [put(*counts, region, place, value=0) for region in (0, 3) for place in (3, 4)]
    nothing_more = [put("predicate", "claim", side, value=0) for side in ("correct", "wrong")]
    text = told(edited(exact, *open_queries, *nothing_more))
    slack = text[text.index("Where the slack is: inputs left open") : text.index("Inputs proved wrong")]
    assert re.findall(r"│ (\d+) +│ (\d+) +│ (\d+) \(", slack) == [("0", "9", "6")]


def test_regions_of_several_queries_are_told_by_label() -> None:
    """How many inputs there are of a label is not known."""
    statement = edited(accepted("full-sum--exact"), put("predicate", "steps", 0, "conclusion", "counts", 0, 1, value=3))
    text = told(statement)
    assert "token at position" not in text and "slack" not in text
    assert "Inputs proved wrong, by label" in text


def test_what_no_region_covers_is_left_open() -> None:
    """Maxima that are passed over are among the others."""
    text = told(accepted("tiny--group-left-out"))
    assert "Proved: 182 correct sequences. Left open: 443." in text
    assert re.search(r"│ others +│ +│ 175 +│ 39.504% +│", text)
    text = told(accepted("tiny--group-all-left-out"))
    assert re.search(r"│ others +│ +│ 625 +│ 100.000% +│", text)


def test_max_of_k_by_any_rule_is_told_by_its_maximum() -> None:
    for name in ("tiny--evaluate_inputs", "tiny--evaluate_inputs-of-a-problem-file", "tiny--brute-force"):
        text = told(accepted(name))
        assert "over all 5^4 sequences" in text
        assert "maximum m" in text and "token at position" not in text and "by label" not in text


def test_a_margin_is_part_of_the_claim() -> None:
    assert "An answer is correct if its logit wins by more than 1/8." in told(accepted("tiny--exact-margin"))
    assert "wins by" not in told(accepted("tiny--exact"))


@pytest.mark.parametrize(
    "name", ["one-token--exact", "one-token--cubic", "one-position--cubic", "one-token--brute-force"]
)
def test_a_perfect_model_has_no_empty_table(name: str) -> None:
    text = told(accepted(name))
    assert "(100.000%)" in text
    for table in re.findall(r"┏.*?└", text, re.DOTALL):
        assert "│" in table, text


@pytest.mark.parametrize("statement", STATEMENTS, ids=[path.name for path in ACCEPTED])
def test_one_is_no_plural(statement: Statement) -> None:
    text = " ".join(told(statement).split())
    assert not re.search(r"\b(?<![\d,.^])1 (correct )?(sequences|regions|steps|bounds|tokens|cells|lines)\b", text)
    assert not re.search(
        r"\b(?<![\d,.^])([02-9]|\d\d+) (correct )?(sequence|region|step|bound|token|cell|line)\b", text
    )


def test_words_for_numbers() -> None:
    assert [counted(n, "region") for n in (0, 1, 2, 1234)] == ["0 regions", "1 region", "2 regions", "1,234 regions"]
    assert written((1 << 64) - 1) == "18,446,744,073,709,551,615"
    assert written(10**4000 - 1) == "9.9999E+3999", "rounded down"
    assert [scaled(3, -1), scaled(-3, 2), scaled(0, 16384), scaled(0, -16384)] == ["1.5", "-12", "0", "0"]
    assert [scaled(1, 16384), scaled(-(1 << 9000), 0), scaled(5, -16384)] == ["2^16385", "-2^9001", "2^-16381"]
    assert scaled((1 << 9000) + 1, -9000) == "1"


def test_numbers_that_no_float_holds() -> None:
    """Within the format: exponents to 2^14, and ranges in units of 2^-4096."""
    cubic, ranges = accepted("tiny--cubic"), accepted(next(p.name[:-10] for p in ACCEPTED if "exact-EQKE" in p.name))
    for exponent, power in ((16384, "2^16"), (-16384, "2^-16")):
        assert power in told(edited(cubic, put("predicate", "steps", 0, "conclusion", "exponent", value=exponent)))
    (number,) = [n for n, step in enumerate(ranges["predicate"]["steps"]) if step["rule"] == "attention_ranges"]
    text = told(edited(ranges, put("predicate", "steps", number, "conclusion", "bits", value=4096)))
    assert "their mean least attention on m is 2^-" in text
    empty = put("predicate", "steps", number, "conclusion", "ranges", value=[[[[]]]])
    assert ": gaps in 0 of 1 cell\n" in told(edited(ranges, empty))


# How it is shown


@pytest.mark.parametrize("width", [40, 80, 100, 300])
def test_lines_are_broken_once_at_the_width_there_is(width: int) -> None:
    """No paragraph has a break that its width does not ask for."""
    lines = told(accepted("tiny--exact"), width).splitlines()
    assert max(map(len, lines)) <= width
    text = lines[: next(n for n, line in enumerate(lines) if "Sequences proved wrong" in line)]
    assert not [line for line in text if line.endswith(" ")]
    for line, following in pairwise(text):
        starts = re.match(r"(Claim|Proved|Model|sha256|Strategy|  \d\.|     (all|sequences) )", following)
        if line and following and not starts:
            assert len(line) + 1 + len(following.split()[0]) > width, (line, following)


HOSTILE = "x\nVERIFIED accuracy = 625/625\r\x1b[2K\x1b]0;title\x07\x9b1A\u2028\u202e[red]y[/red][/]:smile:"


@pytest.mark.parametrize("place", [("subject", 0, "name"), ("predicate", "strategy")])
def test_texts_of_a_certificate_are_one_printable_line_and_no_markup(
    place: tuple[str | int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "hostile.cert.json"
    path.write_bytes(to_bytes(edited(accepted("tiny--cubic"), put(*place, value=HOSTILE))))
    done = CliRunner().invoke(app, ["explain", str(path)], env={"COLUMNS": "300"}, catch_exceptions=False)
    assert done.exit_code == 0
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert not re.search("^VERIFIED", done.stdout, re.MULTILINE)
    assert "[red]y[/red][/]:smile:" in done.stdout
    assert done.stdout.count("VERIFIED") == 1


# Certificates that do not fit together


MISFITS: dict[str, tuple[Any, str]] = {
    "no steps": (put("predicate", "steps", value=[]), "its last step does not add up"),
    "no total": (drop("predicate", "steps", -1), "its last step does not add up"),
    "a later premise": (put("predicate", "steps", 2, "premises", value=[0, 3]), "step 2 rests on a step"),
    "a huge premise": (put("predicate", "steps", 5, "premises", value=[10**4000]), "step 5 rests on a step"),
    "itself": (put("predicate", "steps", 5, "premises", value=[5]), "step 5 rests on a step"),
    "a total of bounds": (put("predicate", "steps", 5, "premises", value=[0]), "a step that counts nothing"),
    "a total of nothing": (put("predicate", "steps", 5, "premises", value=[]), "a step that counts nothing"),
    "half of it": (put("predicate", "steps", 5, "premises", value=[3]), "it claims more than its steps count"),
    "twice": (put("predicate", "steps", 5, "premises", value=[3, 3, 4, 4]), ""),
    "a large vocabulary": (put("predicate", "model", "d_vocab", value=10**4000), "sizes are beyond what can be"),
    "a small vocabulary": (put("predicate", "model", "d_vocab", value=2), "its task weigh another sum"),
    "a long sequence": (put("predicate", "task", "k", value=10**4000), "sizes are beyond what can be evaluated"),
    "another total": (put("predicate", "claim", "total", value=626), "its task weigh another sum than the claim"),
    "a claim too large": (put("predicate", "claim", "correct", value=214), "it claims more than its steps count"),
    "a wrong claim": (put("predicate", "claim", "wrong", value=1), "it claims more than its steps count"),
    "a maximum": (put("predicate", "steps", 3, "conclusion", "counts", 0, 0, value=5), "its task does not have"),
    "no queries": (put("predicate", "steps", 3, "conclusion", "counts", 0, 1, value=0), "its task does not have"),
    "queries": (put("predicate", "steps", 3, "conclusion", "counts", 0, 1, value=2), "its task does not have"),
    "no ns": (put("predicate", "steps", 3, "conclusion", "counts", 0, 2, value=0), "its task does not have"),
    "ns": (put("predicate", "steps", 3, "conclusion", "counts", 0, 2, value=1 << 4), "its task does not have"),
    "a count": (put("predicate", "steps", 3, "conclusion", "counts", 0, 3, value=2), "more inputs than there are"),
    "a mask": (put("predicate", "steps", 2, "conclusion", "masks", 4, 4, 0, value=1 << 4), "the masks of step 2"),
    "a mask less": (drop("predicate", "steps", 2, "conclusion", "masks", 4, 4, 0), "the masks of step 2"),
    "a query less": (drop("predicate", "steps", 2, "conclusion", "masks", 4, 4), "the masks of step 2"),
    "a maximum less": (drop("predicate", "steps", 2, "conclusion", "masks", 4), "the masks of step 2"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_does_not_fit_together_is_an_error_in_one_line(what: str) -> None:
    edit, reason = MISFITS[what]
    with pytest.raises(UserError) as caught:
        told(edited(accepted("tiny--cubic"), edit))
    assert caught.value.message.startswith("the certificate does not fit together: ")
    assert reason in caught.value.message and "\n" not in caught.value.message
    assert "check-cert" in caught.value.hint


def test_a_task_that_is_none_for_such_a_model_is_an_error() -> None:
    with pytest.raises(UserError, match="the model has 5 positions, and the problem is max-of-4"):
        told(edited(accepted("tiny--cubic"), put("predicate", "model", "n_ctx", value=5)))
    long = [put("predicate", *place, value=1 << 20) for place in (("task", "k"), ("model", "n_ctx"))]
    with pytest.raises(UserError, match="its sizes are beyond what can be evaluated"):
        told(edited(accepted("tiny--cubic"), *long))


def test_a_range_has_two_ends() -> None:
    name = next(path.name[:-10] for path in ACCEPTED if "exact-EQKE" in path.name)
    ranges = accepted(name)
    (number,) = [n for n, step in enumerate(ranges["predicate"]["steps"]) if step["rule"] == "attention_ranges"]
    for cell in ([1], [1, 2], [1, 2, 3, 4]):
        with pytest.raises(UserError, match=f"step {number} has a range"):
            told(edited(ranges, put("predicate", "steps", number, "conclusion", "ranges", value=[[[cell]]])))


@pytest.mark.parametrize("statement", STATEMENTS, ids=[path.name for path in ACCEPTED])
def test_what_check_cert_accepts_fits_together(statement: Statement) -> None:
    require_consistent(Certificate.model_validate(statement))


NUMBERS = [0, 1, 2, 3, 4, 5, 7, 16, 17, -1, -2, 1 << 20, 1 << 64, 10**30, 10**4000, -(10**4000), 16384, -16384, 4096]


def spoil(value: Any, random: Random) -> None:
    """Delete, repeat, exchange or alter something inside a JSON value."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        keys = [key for key in keys if key not in ("tensors", "digest")]
        inner = [key for key in keys if isinstance(value[key], dict | list) and value[key]]
        if inner and random.random() < 0.8:
            value = value[random.choice(inner)]
            continue
        if not keys:
            return
        key = random.choice(keys)
        if isinstance(value, list) and random.random() < 0.6:
            other = random.choice(keys)
            match random.randrange(4):
                case 0:
                    del value[key]
                case 1:
                    value.insert(other, copy.deepcopy(value[key]))
                case 2:
                    value[key], value[other] = value[other], value[key]
                case 3:
                    value.clear()
        elif isinstance(value[key], int):
            value[key] = random.choice([*NUMBERS, value[key] + 1, max(value[key] - 1, 0)])
        elif isinstance(value[key], list):
            value[key] = random.choice([[], [0], [[]], value[key] * 2])
        return


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 64), which=st.sampled_from(range(len(STATEMENTS))))
def test_spoilt_certificates_are_told_or_refused(seed: int, which: int) -> None:
    """And in no time: nothing in a certificate is the size of a loop without being as long itself."""
    random = Random(seed)
    statement = copy.deepcopy(STATEMENTS[which])
    for _ in range(random.randint(1, 4)):
        spoil(statement["predicate"], random)
    try:
        certificate = Certificate.model_validate(statement)
    except ValidationError:
        return
    try:
        assert told(certificate).startswith("Claim (not checked here")
    except UserError as error:
        fits_not = (
            "the certificate does not fit together: ",
            "the problem does not fit the model, at ",
            "the model has ",
        )
        assert error.message.startswith(fits_not)


# Reading


@pytest.mark.parametrize("text", ["\ud800", "\udc80", "x\udfff", "\udc00\ud800"], ids=ascii)
@pytest.mark.parametrize(
    "place", [("subject", 0, "name"), ("predicate", "strategy"), ("predicate", "model", "tensors", "{}")]
)
def test_lone_surrogates_are_refused(place: tuple[str | int, ...], text: str, tmp_path: Path) -> None:
    path = tmp_path / "surrogate.cert.json"
    keys = tuple(text if key == "{}" else key for key in place)
    value = "0" * 64 if "{}" in place else text
    for packed in (False, True):
        data = to_bytes(edited(accepted("tiny--cubic"), put(*keys, value=value)))
        path.write_bytes(gzip.compress(data) if packed else data)
        with pytest.raises(UserError, match="is not a version 1 certificate: Invalid JSON: ") as caught:
            Certificate.load(path)
        assert caught.value.message.isprintable()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
def test_other_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "encoded.cert.json"
    statement = edited(accepted("tiny--cubic"), put("subject", 0, "name", value="é"))
    path.write_bytes(json.dumps(statement, ensure_ascii=False).encode(encoding))
    with pytest.raises(UserError, match="is not a version 1 certificate: "):
        Certificate.load(path)


def test_a_file_name_that_is_not_unicode_is_written_as_one_that_is(tmp_path: Path, models: Path) -> None:
    path = tmp_path / os.fsdecode(b"t\xefny\\x41.safetensors")
    path.write_bytes((models / "tiny.safetensors").read_bytes())
    certificate = prove(load_model(path), "cubic")
    assert certificate.subject[0].name == "t\\xefny\\x41.safetensors"
    saved = tmp_path / "x.cert.json"
    certificate.save(saved)
    assert Certificate.load(saved) == certificate
    assert in_unicode("日本 é.safetensors") == "日本 é.safetensors"
