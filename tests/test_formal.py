"""What can be said of formal/ without Coq: `make formal` does the rest."""

import re

from checker.problem.labels import NAMED
from checker.rules import RULES
from tests.conftest import ROOT

FORMAL = ROOT / "formal"


def test_every_rule_is_proved_or_refused_by_name() -> None:
    """A rule that is new here must be named there, or the verified checker would call it unknown."""
    source = (FORMAL / "ocaml" / "certificate.ml").read_text()
    listed = re.search(r"let not_proved =\s*\[(.*?)\]", source, re.DOTALL)
    assert listed
    proved = {path.stem for path in (FORMAL / "Rules").glob("*.v")}
    assert {*re.findall(r'"(\w+)"', listed[1])} == set(RULES) - proved
    assert all(f'| "{rule}" ->' in source for rule in proved)


def test_every_label_is_specified() -> None:
    """A label that is new here must be an automaton there, or the verified checker would call it unsupported."""
    source = (FORMAL / "ocaml" / "problem_file.ml").read_text()
    table = re.search(r"let named =.*?\n\n", source, re.DOTALL)
    assert table
    assert {*re.findall(r'\("([a-z-]+)", \[', table[0])} == set(NAMED)
    automata = re.search(r"Inductive automaton :=(.*?)\.", (FORMAL / "Spec" / "General.v").read_text(), re.DOTALL)
    assert automata
    assert automata[1].count("|") == len(NAMED)


def test_all_files_are_compiled_and_documented() -> None:
    """A proof that is not in the project is no proof."""
    built = (FORMAL / "_CoqProject").read_text().split()
    tools = {"Assumptions.v", "Extract.v", "EdgeCases.v"}
    files = {str(path.relative_to(FORMAL)) for path in FORMAL.rglob("*.v") if "build" not in path.parts}
    assert files == {name for name in built if name.endswith(".v")} | tools
    page = (ROOT / "docs" / "formal.md").read_text()
    assert all(f"`Rules/{path.name}`" in page for path in (FORMAL / "Rules").glob("*.v"))
