"""How hypothesis runs: a few examples that are always the same, or many random ones."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings


def quick_and_slow(examples: int, slow_examples: int = 0) -> pytest.MarkDecorator:
    """`run` is how hypothesis runs: always the same examples by default, ten times as many random ones when slow, or so
    many."""
    common: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
    common["phases"] = (Phase.explicit, Phase.generate)  # models are tiny as they are; shrinking takes minutes
    quick = settings(max_examples=examples, derandomize=True, **common)
    slow = settings(max_examples=slow_examples or 10 * examples, **common)
    return pytest.mark.parametrize(
        "run", [pytest.param(quick, id="quick"), pytest.param(slow, id="slow", marks=pytest.mark.slow)]
    )
