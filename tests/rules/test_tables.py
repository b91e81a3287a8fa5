"""A rule is declared, proved, described and tested under one name: here, what was forgotten of a new one."""

import re
from pathlib import Path

import pytest

from certgen.certificate.steps import RULES as DECLARED
from checker.rules import RULES
from tests.conftest import ROOT

HERE = Path(__file__).parent


def headings(page: str) -> set[str]:
    """The headings of a page that are names of code."""
    return set(re.findall(r"^#+ `?([a-z0-9_]+)`?$", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_both_sides_have_the_same_rules_and_types() -> None:
    assert set(DECLARED) == set(RULES)
    for name, rule in RULES.items():
        assert DECLARED[name].concludes.__name__ == rule.concludes.__name__
        assert set(DECLARED[name].args.model_fields) == set(rule.args)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_its_files_its_proof_and_its_place_in_the_format(rule: str) -> None:
    assert (ROOT / "checker" / "rules" / f"{rule}.py").is_file()
    assert (HERE / f"test_{rule}.py").is_file()
    assert rule in headings("docs/rules.md")
    assert f"#{rule})" in (ROOT / "schemas/CERTIFICATE.md").read_text(encoding="utf-8"), "a link to its proof"
    assert DECLARED[rule].meaning


def test_no_rule_is_left_over() -> None:
    assert {path.stem for path in (ROOT / "checker" / "rules").glob("*.py")} == {*RULES, "__init__", "rule", "costs"}


@pytest.mark.parametrize("rule", RULES)
def test_the_format_names_every_argument(rule: str) -> None:
    """In the section, or the item of a list, that ends with the link to the rule's proof."""
    text = (ROOT / "schemas/CERTIFICATE.md").read_text(encoding="utf-8")
    before = text[: text.index(f"(../docs/rules.md#{rule})")]
    section = before[max(before.rindex("\n### "), before.rfind(f"\n- `{rule}`")) :]
    assert {name for name in RULES[rule].args if f"`{name}`" not in section} == set()
