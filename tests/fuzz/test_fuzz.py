"""The kept inputs of the fuzzer, and some random changes: each ends in a verdict or a refusal."""

import pytest

from tests.fuzz.run import seeds, without
from tests.fuzz.targets import KEPT, TARGETS, attempt


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs(target: str) -> None:
    files = sorted((KEPT / target).iterdir())
    assert files
    for path in files:
        attempt(target, path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_random_changes(target: str) -> None:
    seen = without(target, seconds=60, most=400)
    assert sum(seen.values()) == 400
    assert len(seen) > 8
    assert len(seeds(target)) > 8
