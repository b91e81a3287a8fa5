"""The second verifier and check-cert agree on every file of tests/certificates."""

import ast
import json
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from checker.rules import RULES as CHECKED
from tests.make_corpus import CERTIFICATES, MODELS
from tests.second_verifier.__main__ import main
from tests.second_verifier.kernel import SecondVerifier
from tests.second_verifier.rules import RULES as ours
from tests.support.agreement import case_of, second, true
from tests.support.corpus import FILES, VERDICTS, content, model_of

HERE = Path(__file__).parent
EXIT_CODES = {"VERIFIED": 0, "REJECTED": 1, "MALFORMED": 3, "OTHER-MODEL": 4, "RESOURCE-LIMIT": 5}

# Rejected by check-cert, and true: exact arithmetic proves them.
FINER = {
    # bounds of regions that are one unit, or a few, too strong for numbers of 40 bits
    "bound-too-small--gap",
    "mean-above-bound--neuron",
    "mean-above-bound--neuron-from-below",
    "mean-above-bound--one-unit",
    "mean-above-bound--second-head",
    "range-too-narrow--neuron-lower-end",
    "range-too-narrow--neuron-upper-end",
    # units of 10 bits, which are rounded many times
    "count-too-large--float32-inputs-few-bits",
    # coarse counts, each a little above what coarse counting gives
    "count-too-large--coarser-bits",
    "count-too-large--coarser-pools",
    "count-too-large--factors-left-out",
    "count-too-large--fewer-steps",
    "count-too-large--separable-by-max",
    "count-too-large--separable-relaxed",
    # inputs that 8 bits, or no radius above 0, decide
    "count-too-large--full-sum-8-bits",
    "count-too-large--no-blocks-tie-as-wrong",
    "too-coarse--no-layer-norm-of-zeros",
}


@cache
def verdicts() -> dict[Path, tuple[int, str]]:
    """Exit code and error code of check-cert."""
    rows = [line.split("\t") for line in VERDICTS.read_text().splitlines()]
    words = {CERTIFICATES / name: verdict.split(" ") for name, verdict in rows}
    return {path: (EXIT_CODES[said[0]], "" if said[0] == "VERIFIED" else said[1]) for path, said in words.items()}


@cache
def by_model() -> dict[str, list[Path]]:
    """The files about one model are looked at together: they share most of their steps."""
    groups = defaultdict(list)
    for path in FILES:
        groups[model_of(path).stem].append(path)
    return groups


@pytest.mark.parametrize("model", by_model())
def test_the_verdicts_are_the_same(model: str) -> None:
    verifier, others = SecondVerifier(), []
    for path in by_model()[model]:
        data = path.read_bytes()
        said, (exit_code, code) = second(verifier, model_of(path).read_bytes(), data), verdicts()[path]
        name = path.name.partition(".")[0]
        if said.exit_code == 0 and (name in FINER or exit_code == 5):
            task = json.loads(content(path))["predicate"]["task"]
            assert true(data, case_of(model_of(path), None if "name" in task else json.dumps(task)))
        elif (said.exit_code, said.code) != (exit_code, code) or name in FINER:
            others.append((path.name, said, exit_code, code))
    assert others == []


def test_every_file_has_a_verdict() -> None:
    assert verdicts().keys() == set(FILES)
    assert {path.name.partition(".")[0] for path in FILES} >= FINER


def test_it_has_every_rule() -> None:
    assert list(ours) == list(CHECKED)
    for name, rule in CHECKED.items():
        assert list(ours[name].args) == list(rule.args)
        assert ours[name].concludes == rule.concludes.__name__
        assert ours[name].premises == tuple(kind.__name__ for kind in rule.premises)


def imported_by(path: Path) -> set[str]:
    """Modules, as they are written."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0
            names |= {node.module, *[f"{node.module}.{alias.name}" for alias in node.names]}
    return names


def test_it_shares_no_code_with_the_product() -> None:
    """Nor does anything that it imports from the tests."""
    waiting = [path for path in HERE.glob("*.py") if not path.name.startswith("test_")]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for name in imported_by(path):
            assert name.partition(".")[0] not in ("checker", "certgen", "schemas"), (path, name)
            file = HERE.parent.parent / (name.replace(".", "/") + ".py")
            if file.is_file() and file not in seen:
                waiting.append(file)
    assert {"kernel.py", "any_oracle.py", "tiny.py"} <= {path.name for path in seen}


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("accept/tiny--cubic.cert.json.gz", 0, "VERIFIED correct >= "),
        ("reject/bad-premise--later.cert.json", 1, "REJECTED bad-premise at predicate.steps[5].premises[0]"),
        ("malformed/not-json--plus-sign.cert.json", 3, "MALFORMED not-json at the file"),
    ],
)
def test_the_command(name: str, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(MODELS / "tiny.safetensors"), str(CERTIFICATES / name)]) == code
    assert capsys.readouterr().out.startswith(line)
