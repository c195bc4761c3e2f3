"""Split conformal intervals: how far off a prediction may be, by errors that were held out.

With n exchangeable held-out errors, the next one lies between the order statistics below
with at least the stated probability, whatever their distribution (Lei et al., 2018,
"Distribution-free predictive inference for regression"). The two tails are bounded apart,
since accuracies err downwards further than upwards.
"""

from collections.abc import Sequence
from math import ceil, floor

import numpy as np
from jaxtyping import Float

from .errors import InvalidInputError

Bounds = tuple[float, float]


def error_bounds(errors: Float[np.ndarray, "held_out"], coverage: float) -> Bounds:
    """Bounds between which the next error lies with probability ``coverage`` or more.

    Args:
        errors: Held-out errors, ``truth - prediction``.
        coverage: Between 0 and 1, exclusive.

    Returns:
        The lower and the upper bound; infinite where there are too few errors for a tail.

    Raises:
        InvalidInputError: for another coverage, or errors that are not finite.
    """
    if not 0 < coverage < 1:
        raise InvalidInputError(f"coverage {coverage:g}: give a number between 0 and 1")
    if not np.isfinite(errors).all():
        raise InvalidInputError("held-out errors are NaN or infinite")
    ordered, count = np.sort(errors), len(errors)
    tail = (1 - coverage) / 2
    # 1e-9: (1 - 0.9) / 2 * 20 is not quite 1 in floating point.
    low = floor(tail * (count + 1) + 1e-9)
    high = ceil((1 - tail) * (count + 1) - 1e-9)
    return (
        float(ordered[low - 1]) if low >= 1 else -np.inf,
        float(ordered[high - 1]) if high <= count else np.inf,
    )


def widest(bounds: Sequence[Bounds]) -> Bounds:
    """The hull of several groups' bounds: holds for each of them, promises less for others."""
    lows, highs = zip(*bounds, strict=True)
    return min(lows), max(highs)


def stretched(bounds: Bounds, factor: float) -> Bounds:
    """The same middle, ``factor`` times as wide."""
    middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
    return middle - factor * half, middle + factor * half


def covered(errors: Float[np.ndarray, "errors"], bounds: Bounds) -> float:
    """Share of errors within bounds."""
    return float(((errors >= bounds[0]) & (errors <= bounds[1])).mean())
