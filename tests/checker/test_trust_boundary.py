"""What an auditor has to trust is small, integer-only, standard library only, and shares nothing with the generator."""

import ast
import dataclasses
import inspect
import io
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
import zipapp
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from checker.facts import Accuracy, AtMargin, Fact, Proved
from checker.rules import RULES
from checker.rules.rule import Rule
from tests.conftest import ROOT

CHECKER = sorted((ROOT / "checker").rglob("*.py"))
CERTGEN = sorted((ROOT / "certgen").rglob("*.py"))
MEASUREMENTS = {"certgen/length.py", "certgen/measures/error_table.py"}  # of the checker's own work: they run it
MOST_KERNEL_LINES = 97
MOST_ENGINE_LINES = 2161  # all but lemmas and rules: what every proof goes through
MOST_LINES = 3989
MOST_RULE_LINES = 54
TABLES = ("__init__.py", "costs.py")  # of all rules


# Pure computation and the command line. Adding a module to the trusted side deserves a thought and an entry here.
MODULES = {
    "argparse",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "struct",
    "sys",
    "typing",
    "zlib",
}
IN_THE_COMMAND_LINE = {"os"}  # so that a verdict that cannot be printed is no exit code 0 or 1
IN_JOBS = {"multiprocessing"}  # loaded only when --jobs asks for several processes
EXACT_MATH = {"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "prod"}  # integers in, integers out
FORBIDDEN_NAMES = {
    *("float", "complex", "round", "pow", "eval", "exec", "compile", "__import__", "input", "breakpoint"),
    *("globals", "locals", "setattr", "delattr"),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Everything that is said in a file; parsed once for all tests."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported_by(node: ast.AST) -> set[str]:
    """The modules that a statement imports, by their full names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "a relative import"
        return {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


@cache
def imported(path: Path) -> set[str]:
    """Every module that is imported anywhere in the file."""
    return set().union(*map(imported_by, nodes(path)))


def roots(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imported(path)}


def code_lines(source: str) -> int:
    """Physical lines with a token that is neither a comment nor part of a docstring."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                docstrings |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    layout = {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
        *(tokenize.ENCODING, tokenize.ENDMARKER),
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_the_line_counter() -> None:
    source = '''"""Doc
    string."""

# comment
import sys  # comment


def f(
    x,
):
    """Doc."""
    text = """two
    lines"""
    return text, \\
        x


class A:
    """Doc

    more."""

    y = 1
'''
    assert code_lines(source) == 10
    assert code_lines('"""Only a docstring."""\n# and a comment\n') == 0
    assert code_lines("") == 0


def test_the_kernel_fits_on_a_page() -> None:
    lines = code_lines((ROOT / "checker/kernel.py").read_text())
    assert 20 < lines <= MOST_KERNEL_LINES


def test_the_engine_is_read_in_one_sitting() -> None:
    rooms = [path for path in CHECKER if path.parent.name not in ("lemmas", "rules")]
    assert {path.parent.name for path in rooms} == {"checker", "arithmetic", "model", "problem"}
    engine = {name_of(path): code_lines(path.read_text()) for path in rooms}
    assert 300 < sum(engine.values()) <= MOST_ENGINE_LINES, engine


def test_the_whole_checker_stays_small() -> None:
    lines = {name_of(path): code_lines(path.read_text()) for path in CHECKER}
    assert 1000 < sum(lines.values()) <= MOST_LINES, lines


def test_a_rule_is_read_at_a_glance() -> None:
    rules = {name_of(path): code_lines(path.read_text()) for path in CHECKER if path.parent.name == "rules"}
    assert len(rules) > 20
    for name, lines in rules.items():
        assert lines <= MOST_RULE_LINES or name.endswith(TABLES), (name, lines)


@pytest.mark.parametrize("path", CHECKER, ids=name_of)
def test_imports_are_standard_library_or_checker(path: Path) -> None:
    further = {"cli.py": IN_THE_COMMAND_LINE, "jobs.py": IN_JOBS}.get(path.name, set())
    assert roots(path) <= MODULES | {"checker"} | further
    assert roots(path) - {"checker"} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", CHECKER, ids=name_of)
def test_integers_only(path: Path) -> None:
    for node in nodes(path):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float | complex), where
        if isinstance(node, ast.BinOp | ast.AugAssign):
            assert not isinstance(node.op, ast.Div), where
        if isinstance(node, ast.ImportFrom) and node.module == "math":
            assert {alias.name for alias in node.names} <= EXACT_MATH, where
        if isinstance(node, ast.Import):
            assert all(alias.name not in ("math", "operator") for alias in node.names), where
        if isinstance(node, ast.ImportFrom) and node.module == "operator":
            assert {alias.name for alias in node.names} <= {"add", "itemgetter", "mul", "neg", "sub"}, where
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
            exponent = node.right if isinstance(node, ast.BinOp) else node.value
            assert not isinstance(exponent, ast.UnaryOp), where  # a negative power would be a float


@pytest.mark.parametrize("path", CHECKER, ids=name_of)
def test_nothing_that_can_be_switched_off_or_reach_around(path: Path) -> None:
    for node in nodes(path):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), where
        assert not isinstance(node, ast.Global | ast.Nonlocal | ast.AsyncFunctionDef), where
        if isinstance(node, ast.Name):
            assert node.id not in FORBIDDEN_NAMES, where
            assert node.id != "open" or path.name == "cli.py", where
            assert node.id != "__debug__", where
        if isinstance(node, ast.Attribute):
            # struct's unpack and re's compile are looked up by attribute; nothing else with these names is
            assert node.attr not in {"system", "popen", "modules", "__dict__", "__class__", "__globals__"}, where
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, where


def test_broad_handlers_are_in_one_place() -> None:
    """Elsewhere they could turn a failure into an answer."""
    for path in CHECKER:
        for node in nodes(path):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                assert path.name == "jobs.py" or not re.search(r"\b(Exception|BaseException)\b", caught), name_of(path)


def test_success_is_set_in_one_place() -> None:
    made = [
        name_of(path)
        for path in CHECKER
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Verdict"
    ]
    assert made == ["checker/kernel.py"]
    word = [name_of(path) for path in CHECKER for node in nodes(path) if says_verified(node)]
    assert word == ["checker/cli.py"]


def says_verified(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "VERIFIED" in node.value


def test_every_refusal_that_is_made_is_raised() -> None:
    """A refusal that is built and not raised is a check that is not made."""
    kinds = {"Malformed", "Rejected", "OtherModel", "ResourceLimit", "Refusal"}
    for path in CHECKER:
        tree = ast.parse(path.read_text())
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                used: ast.AST = parents[node]
                assert isinstance(used, ast.Raise | ast.Lambda | ast.Return), f"{name_of(path)}:{node.lineno}"
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                last = node.value.func
                assert not (isinstance(last, ast.Attribute) and last.attr == "under"), f"{name_of(path)}:{node.lineno}"


# The two sides


@pytest.mark.parametrize("path", CERTGEN, ids=name_of)
def test_the_generator_never_imports_the_checker(path: Path) -> None:
    """Search and rounding share no code with it. What measures the checker imports it, and is imported by a command of
    the generator only inside a function."""
    if name_of(path) in MEASUREMENTS:
        assert "checker" in roots(path)
        return
    assert "checker" not in roots(path)
    measured = {name.removesuffix(".py").replace("/", ".") for name in MEASUREMENTS}
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            assert not imported_by(statement) & measured, name_of(path)


@pytest.mark.parametrize("path", CHECKER, ids=name_of)
def test_the_checker_never_imports_the_generator(path: Path) -> None:
    assert not roots(path) & {"certgen", "schemas", "tests"}


@pytest.mark.parametrize("path", [*CHECKER, *CERTGEN], ids=name_of)
def test_no_import_by_name(path: Path) -> None:
    """Which the tests above would not see."""
    assert "importlib" not in roots(path) or "import_module" not in path.read_text()
    assert all(not (isinstance(node, ast.Name) and node.id == "__import__") for node in nodes(path))


def loaded_by(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after this statement."""
    script = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_generator_does_not_import_torch_or_the_checker() -> None:
    loaded = loaded_by("import certgen, certgen.cli")
    assert "certgen" in loaded
    assert not loaded & {"torch", "checker"}


def test_everything_but_training_and_import_works_without_torch() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in CERTGEN
        if path.stem not in ("training", "importing", "__init__", "__main__") and name_of(path) not in MEASUREMENTS
    ]
    loaded = loaded_by(f"import {', '.join(modules)}")
    assert not loaded & {"torch", "checker"}


def test_the_checker_loads_nothing_else() -> None:
    loaded = loaded_by("import checker.cli, checker.__init__")
    assert "checker" in loaded
    assert not loaded & {"certgen", "numpy", "torch", "flint", "pydantic", "safetensors", "mpmath", "multiprocessing"}


def test_the_command_is_the_checkers_main() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["check-cert"] == "checker.cli:main"


# Rules


def test_the_table_is_complete() -> None:
    files = {path.stem for path in (ROOT / "checker/rules").glob("*.py")} - {"__init__", "rule", "costs"}
    assert files == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_one_name_for_rule_function_and_file(name: str) -> None:
    rule = RULES[name]
    assert isinstance(rule, Rule)
    assert re.fullmatch(r"[a-z0-9]+(_[a-z]+)*", name)
    assert rule.derive.__name__ == name
    assert rule.derive.__module__ == f"checker.rules.{name}"
    assert inspect.getsourcefile(rule.derive) == str(ROOT / f"checker/rules/{name}.py")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_a_pure_function_of_problem_premises_and_arguments(name: str) -> None:
    rule = RULES[name]
    assert list(inspect.signature(rule.derive).parameters) == ["problem", "premises", "args"]
    assert all(callable(kind.require_entails) for kind in (*rule.premises, rule.concludes))
    assert not rule.repeat or rule.premises
    source = inspect.getsource(rule.derive)
    read = set(re.findall(r'args\["([a-z_]+)"\]', source))
    assert read <= set(rule.args), "arguments that no certificate can give"
    assert read == set(rule.args) or re.search(r"\bargs\b(?!\[)", source.split(":\n", 1)[1]), "arguments never read"


@pytest.mark.parametrize("name", RULES)
def test_the_table_of_rules_has_the_types_of_the_functions(name: str) -> None:
    """The kernel goes by the table: a fact of another kind would be compared with, or read as, what it is not."""
    rule = RULES[name]
    types = get_type_hints(rule.derive)
    assert types["return"] is rule.concludes
    premises = (Proved,) * len(rule.premises) if rule.ladder else rule.premises
    assert get_args(types["premises"]) == premises + (...,) * rule.repeat


@pytest.mark.parametrize("name", RULES)
def test_a_rule_states_its_inference_figure(name: str) -> None:
    rule = RULES[name]
    text = inspect.getdoc(rule.derive) or ""
    positions = [text.find(f"\n{word} ") for word in ("Requires", "Concludes", "Cost")]
    assert -1 not in positions and positions == sorted(positions)
    module = inspect.getdoc(inspect.getmodule(rule.derive)) or ""
    assert f"docs/rules.md#{name}" in module
    assert rule.concludes.__name__ in text
    assert all(kind.__name__ in text for kind in rule.premises)


def headings() -> list[str]:
    return re.findall(r"^#{2,4} `?([a-z0-9_]+)`?$", (ROOT / "docs/rules.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_one_proof(name: str) -> None:
    assert headings().count(name) == 1


def test_every_proof_is_of_a_rule() -> None:
    assert {heading for heading in headings() if "_" in heading} <= set(RULES)


def test_facts_are_frozen() -> None:
    kinds: set[type[Fact]] = {kind for rule in RULES.values() for kind in (rule.concludes, *rule.premises)} | {AtMargin}
    assert len(kinds) > 3
    for kind in kinds:
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_facts_decode_their_fields_and_say_what_they_entail() -> None:
    """A field that is decoded and not compared, or a fact that inherits no comparison, would be believed as stated."""
    kinds: set[type[Fact]] = {kind for rule in RULES.values() for kind in (rule.concludes, *rule.premises)} | {AtMargin}
    for kind in kinds:
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        assert list(kind.fields) == names
        assert kind.require_entails is not Fact.require_entails
        source = inspect.getsource(kind.require_entails)
        if "Accuracy.require_entails(self, stated)" in source:
            source += inspect.getsource(Accuracy.require_entails)
        assert all(f"self.{name}" in source and f"stated.{name}" in source for name in names), kind


# The zipapp of an auditor


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """checker/ alone. zipapp's own main= option would lose the exit code, hence a __main__.py."""
    folder = tmp_path_factory.mktemp("zipapp")
    shutil.copytree(ROOT / "checker", folder / "app/checker", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "checker/__main__.py", folder / "app/__main__.py")
    zipapp.create_archive(folder / "app", folder / "check-cert.pyz")
    shutil.rmtree(folder / "app")
    return folder / "check-cert.pyz"


CASES = {
    0: [
        "accept/tiny--cubic.cert.json",
        "accept/tiny--cubic.cert.json.gz",
        "accept/tiny--brute-force-margin.cert.json",
        "accept/tiny--three-ways-to-count.cert.json",
        "accept/tiny--exact.cert.json",
    ],
    1: [
        "reject/bound-too-small--direct-path.cert.json",
        "reject/token-not-accepted--one-more.cert.json",
        "reject/count-too-large--enumerate_sequences.cert.json",
        "reject/count-too-large--branch_sequences-wrong.cert.json",
        "reject/wrong-token-left-out--the-smallest.cert.json",
        "reject/nothing-proved--no-steps-claim-zero.cert.json",
        "reject/region-covered-twice--same-premise.cert.json",
        "reject/bad-premise--itself.cert.json",
        "reject/wrong-task--k-is-3.cert.json",
    ],
    3: ["malformed/duplicate-key--claim.cert.json", "malformed/unknown-rule--misspelt.cert.json"],
    4: ["other-model/model-digest--zeros.cert.json", "other-model/tensor-digest--swapped.cert.json"],
}


@pytest.mark.parametrize(
    ("flags", "jobs"),
    [(["-S", "-I"], 1), (["-O", "-S", "-I"], 2), (["-OO", "-I"], 1), (["-bb", "-W", "error", "-S", "-I"], 3)],
    ids=str,
)
def test_the_zipapp_gives_the_same_verdicts(
    pyz: Path,
    flags: list[str],
    jobs: int,
    tmp_path: Path,
    models: Path,
    certificates: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without site-packages, isolated, without asserts and docstrings, with warnings as errors, several processes."""
    from checker.cli import main

    for code, names in CASES.items():
        arguments = [str(models / "tiny.safetensors"), *(str(certificates / name) for name in names)]
        assert main(arguments) == code
        expected = capsys.readouterr().out
        done = subprocess.run(
            [sys.executable, *flags, str(pyz), "--jobs", str(jobs), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (code, expected, "")
        assert len(expected.splitlines()) == len(names)


def test_the_zipapp_refuses_wrong_usage(pyz: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(pyz)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == ""


# What each room of the checker may know of: itself, the rooms below, and these files beside them.
BELOW = {
    "arithmetic": {"errors"},
    "model": {"arithmetic", "budget", "decode", "errors"},
    "problem": {"arithmetic", "budget", "decode", "errors", "model"},
    "lemmas": {"arithmetic", "budget", "decode", "errors", "facts", "model", "problem"},
    "rules": {"arithmetic", "budget", "decode", "errors", "facts", "lemmas", "model", "problem"},
}


@pytest.mark.parametrize("room", BELOW)
def test_a_room_knows_only_the_rooms_below(room: str) -> None:
    for path in (ROOT / "checker" / room).glob("*.py"):
        parts = {module.split(".")[1] for module in imported(path) if module.startswith("checker.")}
        assert parts <= BELOW[room] | {room}, name_of(path)
