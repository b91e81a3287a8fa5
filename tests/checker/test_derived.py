"""What the rules derive is what is recorded, so that no change of a rule goes unnoticed."""

from tests.support import derived


def test_what_is_derived_is_the_recorded() -> None:
    recorded, found = derived.RECORDED.read_text().splitlines(), derived.lines().splitlines()
    hint = "if the change is meant: python -m tests.support.derived"
    assert [line for line in found if line not in recorded] == [], hint
    assert found == recorded, hint
