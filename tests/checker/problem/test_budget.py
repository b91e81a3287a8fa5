"""The budget: refused before the work, with what was asked for."""

import pytest

from checker.errors import ResourceLimit
from checker.problem.budget import Budget


def test_what_a_budget_affords() -> None:
    Budget(10).afford(0, "sequences")
    Budget(10).afford(10, "sequences")
    with pytest.raises(ResourceLimit) as caught:
        Budget(10).afford(11, "sequences")
    assert (caught.value.code, caught.value.exit_code) == ("over-budget", 5)
    assert "10 sequences" in str(caught.value) and "11" in str(caught.value)
