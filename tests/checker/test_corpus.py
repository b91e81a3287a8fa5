"""Every file of tests/certificates has the outcome that its folder and its name say."""

import ast
import gzip
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import TypeGuard

import pytest

from certgen.progress import quiet
from certgen.proving import ask
from certgen.strategies import STRATEGIES
from checker import Refusal, Verdict
from checker.cli import describe
from checker.rules import RULES
from tests import make_corpus
from tests.make_corpus import CERTIFICATES, EXIT_CODES, MODELS
from tests.support.corpus import FILES, VERDICTS, code_of, content, outcome_of, verdicts

CHECKER = Path(make_corpus.__file__).parent.parent / "checker"

# Codes that no certificate file can show, and the test that does.
ELSEWHERE = {
    "bad-offsets": "model/test_weights.py::test_offsets_that_lie",
    "bad-safetensors": "model/test_weights.py::test_a_header_that_lies_about_its_length",
    "bad-shape": "model/test_weights.py::test_shapes_that_disagree",
    "not-canonical": "model/test_architecture.py::test_one_architecture_has_one_text",
    "not-finite": "model/test_weights.py::test_nan_and_infinity_are_refused",
    "other-problem": "test_check_cert.py::test_the_problem_that_is_asked_for",
    "out-of-memory": "test_check_cert.py::test_running_out_of_memory_is_a_resource_limit",
    "unreadable-file": "test_check_cert.py::test_files_that_cannot_be_read",
    "unsupported-dtype": "model/test_weights.py::test_other_dtypes_are_refused",
}


def of(folder: str) -> list[Path]:
    return [path for path in FILES if path.parent.name == folder]


def names(paths: list[Path]) -> list[str]:
    return [f"{path.parent.name}/{path.name}" for path in paths]


@pytest.mark.parametrize("path", of("accept"), ids=names(of("accept")))
def test_accepted(path: Path) -> None:
    verdict = outcome_of(path)
    assert isinstance(verdict, Verdict), str(verdict)
    predicate = json.loads(content(path))["predicate"]
    claim = predicate["claim"]
    assert {"correct": verdict.correct, "wrong": verdict.wrong, "total": verdict.total}.items() <= claim.items()
    assert verdict.total >= verdict.correct + verdict.wrong
    sign = "=" if claim["correct"] + claim["wrong"] == claim["total"] else ">="
    line, fields = describe(verdict)
    assert line.startswith(f"VERIFIED accuracy {sign} {claim['correct']}/{claim['total']} (")
    assert claim.items() <= fields.items()
    assert "/".join(map(str, verdict.margin)).removesuffix("/1") == predicate["margin"]


def test_an_exact_accuracy_says_so() -> None:
    """Ties are wrong, and proved wrong; a claim that leaves one of them open is a lower bound again."""
    lines = {}
    for name in ("tiny--exact", "tiny--one-wrong-unclaimed", "all-ties--exact", "all-ties--no-wrong-claimed"):
        path = CERTIFICATES / "accept" / f"{name}.cert.json"
        lines[name] = describe(outcome_of(path))[0].split(" (")[0]
    assert list(lines.values()) == [
        "VERIFIED accuracy = 600/625",
        "VERIFIED accuracy >= 600/625",
        "VERIFIED accuracy = 0/9",
        "VERIFIED accuracy >= 0/9",
    ]


REFUSED = [path for path in FILES if path.parent.name != "accept"]


@pytest.mark.parametrize("path", REFUSED, ids=names(REFUSED))
def test_refused_for_the_reason_in_its_name(path: Path) -> None:
    refusal = outcome_of(path)
    assert isinstance(refusal, Refusal)
    assert (refusal.exit_code, refusal.code) == (EXIT_CODES[path.parent.name], code_of(path))


def test_the_verdicts_are_the_recorded_ones() -> None:
    """To the letter, so that no change of the checker goes unnoticed."""
    recorded, found = VERDICTS.read_text().splitlines(), verdicts().splitlines()
    hint = "if the change is meant: python -m tests.support.corpus"
    assert [line for line in found if line not in recorded] == [], hint
    assert found == recorded, hint


def test_every_file_belongs_to_the_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(EXIT_CODES)
    for path in FILES:
        assert path.parent.parent == CERTIFICATES
        assert re.fullmatch(r"[a-z0-9-]+--[A-Za-z0-9_.+-]+?\.cert\.json(\.gz)?", path.name)


@pytest.fixture(scope="module")
def regenerated() -> dict[str, bytes]:
    return make_corpus.corpus()


def test_the_files_are_what_make_corpus_writes(regenerated: dict[str, bytes]) -> None:
    committed = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in FILES}
    hint = "if the change is meant: python -m tests.make_corpus"
    assert sorted(regenerated) == sorted(committed), hint
    # gzip's header and compression level may differ between zlib versions; its content may not
    assert [name for name in committed if content(CERTIFICATES / name) != unpacked(name, regenerated[name])] == [], hint


def test_the_generator_writes_the_same_bytes_again() -> None:
    """The order of fields included."""
    questions = [ask(MODELS / "tiny.safetensors", None, Fraction(0)) for _ in range(6)]
    written = {STRATEGIES["brute-force"].prove(each, quiet).to_bytes() for each in questions}
    assert len(written) == 1


def unpacked(name: str, data: bytes) -> bytes:
    return gzip.decompress(data) if name.endswith(".gz") else data


def error_codes() -> set[str]:
    """Every code that the checker's sources can raise."""
    kinds = {"Malformed", "Rejected", "OtherModel", "ResourceLimit"}
    codes: set[str] = set()
    for path in CHECKER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and kinds & {
                base.id for base in node.bases if isinstance(base, ast.Name)
            }:
                codes |= set().union(*[kebab(item.args.defaults[0]) for item in node.body if is_constructor(item)])
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in kinds:
                codes |= kebab(node.args[0])
            elif node.func.id == "constant":
                codes |= set().union({"unsupported"}, *map(kebab, node.args[3:]))
    return codes


def is_constructor(item: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """Of a kind of refusal with a code of its own, the first default."""
    return isinstance(item, ast.FunctionDef) and item.name == "__init__"


def kebab(node: ast.expr) -> set[str]:
    """The strings in an expression: one, or both branches of a choice."""
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_every_error_code_has_a_test() -> None:
    codes, shown = error_codes(), {code_of(path) for path in REFUSED}
    assert len(codes) > 30
    assert codes - shown - set(ELSEWHERE) == set(), "codes without a file in tests/certificates"
    assert (shown | set(ELSEWHERE)) - codes == set(), "codes that the checker does not have"
    assert shown & set(ELSEWHERE) == set()


def test_the_codes_shown_elsewhere_are_asserted_there() -> None:
    for code, where in ELSEWHERE.items():
        file, function = where.split("::")
        tree = ast.parse((Path(__file__).parent / file).read_text())
        (body,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
        assert f'"{code}"' in ast.unparse(body).replace("'", '"'), where


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_accepted_somewhere(rule: str) -> None:
    used = {step["rule"] for path in of("accept") for step in json.loads(content(path))["predicate"]["steps"]}
    assert rule in used


@pytest.fixture(scope="module")
def failing() -> set[str]:
    """The rules at whose steps the rejected certificates fail: at a conclusion, or for a side condition."""
    rules = set()
    for path in of("reject"):
        refusal = outcome_of(path)
        assert isinstance(refusal, Refusal)
        if match := re.match(r"predicate\.steps\[([0-9]+)\]", refusal.path):
            rules.add(json.loads(content(path))["predicate"]["steps"][int(match[1])]["rule"])
    return rules


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_the_step_that_fails_somewhere(rule: str, failing: set[str]) -> None:
    assert rule in failing
