"""Projectors as hints: whatever the floats that they are made from."""

import numpy as np
import pytest

from certgen.bounds.splitting import HINT_BITS, matrices, rounded

SIZES = (5e-324, 1e-200, 1.0, 1e200, 1e308)


@pytest.mark.parametrize("left", SIZES)
@pytest.mark.parametrize("right", SIZES)
def test_a_projector_is_rounded_at_any_size(left: float, right: float) -> None:
    """Its product is that of the floats, but for rounding, as long as these are not clipped or out of reach."""
    onto, along = np.array([[left, -left / 2]]).T, np.array([[right, right / 4]])
    exact = [table.floats() for table in matrices(rounded(onto, along))]
    assert np.isfinite(exact[0]).all() and np.isfinite(exact[1]).all()
    if 1e-150 < left * right < 1e150 and max(left, right) < 1e150:
        found = exact[0] @ exact[1]
        assert np.abs(found - onto @ along).max() < left * right * 2.0 ** (4 - HINT_BITS)
