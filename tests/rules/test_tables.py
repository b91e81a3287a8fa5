"""A rule is declared, proved, described and tested under one name: here, what was forgotten of a new one."""

import re
from pathlib import Path

import pytest

from certgen.certificate.steps import RULES as DECLARED
from checker.errors import Malformed
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


GENERAL = {"regions", "region_gaps", "region_counts", "total", "evaluate_inputs", "expected_loss"}
GENERAL |= {"float32_any_order", "float32_inputs"}


def test_which_rules_are_about_any_problem_several_premises_and_other_margins() -> None:
    """All others are about max-of-k by one head; they have a number of premises, at the margin of the step."""
    assert {name for name, rule in RULES.items() if rule.general} == GENERAL
    assert {name for name, rule in RULES.items() if rule.repeat} == {"total", "expected_loss", "float32_any_order"}
    assert {name for name, rule in RULES.items() if rule.ladder} == {"expected_loss", "float32_any_order"}


@pytest.mark.parametrize(
    ("rule", "argument", "least", "most"),
    [
        ("score_product_spread", "means", 0, 1),
        ("score_recursive_spread", "means", 0, 3),
        ("score_singular_value", "sigma", 0, 1 << 1024),
        ("score_singular_value", "ridge", 0, 1 << 1024),
    ],
)
def test_numbers_that_are_arguments_have_limits(rule: str, argument: str, least: int, most: int) -> None:
    decode = RULES[rule].args[argument]
    assert [decode(number, "") for number in (least, most)] == [least, most]
    for wrong in (least - 1, most + 1):
        with pytest.raises(Malformed, match="out-of-range"):
            decode(wrong, "")
