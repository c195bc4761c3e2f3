"""Conformal bounds: coverage, symmetry, too few errors."""

import numpy as np
import pytest
from gennape_plugin.core.conformal import covered, error_bounds, stretched, widest
from gennape_plugin.core.errors import InvalidInputError
from hypothesis import given
from hypothesis import strategies as st


def test_order_statistics() -> None:
    errors = np.arange(1.0, 20.0)  # 19 errors: the outer ones bound 90 %
    assert error_bounds(errors, 0.9) == (1, 19)
    assert error_bounds(errors, 0.8) == (2, 18)
    assert error_bounds(errors[::-1], 0.8) == (2, 18)
    assert error_bounds(errors, 0.95) == (-np.inf, np.inf)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_coverage_over_many_draws(coverage: float) -> None:
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(4000):
        errors = rng.exponential(size=50) - 2  # one-sided tail
        bounds = error_bounds(errors[:-1], coverage)
        hits.append(covered(errors[-1:], bounds))
    assert coverage - 0.02 < np.mean(hits) < coverage + 0.05


@given(st.lists(st.floats(-1, 1), min_size=0, max_size=40), st.floats(0.05, 0.99))
def test_wider_with_coverage(values: list[float], coverage: float) -> None:
    errors = np.array(values, dtype=float)
    low, high = error_bounds(errors, coverage)
    assert low <= high
    inner = error_bounds(errors, coverage / 2)
    assert low <= inner[0]
    assert inner[1] <= high


def test_hull() -> None:
    assert widest([(-1.0, 2.0), (-3.0, 1.0)]) == (-3, 2)
    assert covered(np.array([-4.0, 0, 2, 3]), (-3.0, 2.0)) == 0.5


def test_stretched() -> None:
    assert stretched((1.0, 3.0), 1.0) == (1, 3)
    assert stretched((1.0, 3.0), 2.5) == (-0.5, 4.5)


def test_refusals() -> None:
    with pytest.raises(InvalidInputError, match="coverage 1"):
        error_bounds(np.zeros(3), 1.0)
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        error_bounds(np.array([0.0, np.nan]), 0.5)
