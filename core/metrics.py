"""How well predictions match: MAE, Spearman, Kendall's tau-b, NDCG@k, and their intervals.

Definitions follow GENNAPE (AAAI-23, Eqs. 6-7 for NDCG) and the authors' published code, but
for Kendall's coefficient, where the standard tau-b replaces a variant of theirs that counts
tied predictions as correct.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Num
from scipy import stats
from sklearn.metrics import ndcg_score
from torch import Tensor

from .errors import InvalidInputError

Values: TypeAlias = Num[np.ndarray, " items"] | Num[Tensor, " items"]
"""One number per architecture; tensors may be on any device."""

Metric: TypeAlias = Callable[[Values, Values], float]
"""A function of the true and the predicted values, such as :func:`srcc`."""

# The authors' code rescales accuracies to [0, 20] before NDCG.
_RELEVANCE_MAX = 20.0
# Rows of resamples ranked at once: 64 x 4,096 float64 values are 2 MB.
_BLOCK = 64


class Interval(NamedTuple):
    """A metric with its percentile bootstrap interval (Efron, 1979).

    Attributes:
        estimate: The metric on all items.
        low: Lower end.
        high: Upper end.
        level: Confidence level, such as 0.95.
        resamples: Number of resamples drawn.
        undefined: How many of them had no defined metric (say, one true value only) and were
            left out. The ends are nan if all were.
    """

    estimate: float
    low: float
    high: float
    level: float
    resamples: int
    undefined: int


def spread(values: Sequence[float | None]) -> dict[str, float]:
    """``mean`` and ``sd`` (the population's) of a metric over seeds.

    Both are nan where one of the values is undefined: nan, or ``None``.
    """
    found = np.asarray(values, dtype=np.float64)
    return {"mean": float(found.mean()), "sd": float(found.std())}


def mae(true: Values, predicted: Values) -> float:
    """Mean absolute error in percentage points.

    Args:
        true: Accuracies as fractions in [0, 1].
        predicted: Predicted accuracies as fractions.

    Returns:
        ``100 * mean(|predicted - true|)``.

    Raises:
        InvalidInputError: On NaN or infinity, no items, or lengths that differ.
    """
    true, predicted = _pair(true, predicted)
    return float(100 * np.abs(predicted - true).mean())


def srcc(true: Values, predicted: Values) -> float:
    """Spearman's rank correlation; tied values share their mean rank.

    Args:
        true: True values, in any unit.
        predicted: Predicted scores, in any unit.

    Returns:
        A value in [-1, 1]; nan if either side is constant, where no correlation is defined.

    Raises:
        InvalidInputError: On NaN or infinity, no items, or lengths that differ.
    """
    true, predicted = _pair(true, predicted)
    if _constant(true) or _constant(predicted):
        return float("nan")
    return float(stats.spearmanr(true, predicted).statistic)


def kendall_tau_b(true: Values, predicted: Values) -> float:
    """Kendall's tau-b: concordant less discordant pairs, normalised for ties on either side.

    Arguments, results and errors as for :func:`srcc`.
    """
    true, predicted = _pair(true, predicted)
    if _constant(true) or _constant(predicted):
        return float("nan")
    return float(stats.kendalltau(true, predicted, variant="b").statistic)


def ndcg_at_k(true: Values, predicted: Values, k: int = 10) -> float:
    """Normalised discounted cumulative gain of the ``k`` items predicted best (Eqs. 6-7).

    Gain is linear in relevance, ``20 (acc - min) / (max - min)`` over the evaluated items;
    tied predictions share their mean gain. A random order scores high, about
    ``(mean - min) / (max - min)``: read it against that.

    Args:
        true: True values, in any unit, larger better.
        predicted: Predicted scores, larger better.
        k: Length of the list that counts; more than the number of items means all of them.

    Returns:
        A value in [0, 1]; constant predictions score like a random order. nan if the true
        values are constant, as every order is then as good.

    Raises:
        InvalidInputError: On ``k`` below 1, NaN or infinity, no items, or lengths that differ.
    """
    true, predicted = _pair(true, predicted)
    if k < 1:
        raise InvalidInputError(f"k is {k}; it must be 1 or more. Use 10 or 50 as in the paper.")
    if _constant(true):
        return float("nan")
    low, high = true.min(), true.max()
    relevance = _RELEVANCE_MAX * np.clip((true - low) / (high - low), 0, 1)
    return float(ndcg_score(relevance[None], predicted[None], k=k, ignore_ties=False))


#: The rankings that every evaluation reports, by name.
RANK_METRICS: Final[Mapping[str, Metric]] = {
    "srcc": srcc,
    "tau_b": kendall_tau_b,
    "ndcg@10": partial(ndcg_at_k, k=10),
    "ndcg@50": partial(ndcg_at_k, k=50),
}


def bootstrap_interval(
    metric: Metric,
    true: Values,
    predicted: Values,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a metric over resampled items.

    It covers the choice of items only, not that of training seeds.

    Args:
        metric: :func:`mae`, :func:`srcc` (both vectorised), :func:`kendall_tau_b`,
            :func:`ndcg_at_k` (``functools.partial`` sets ``k``) or any such function.
        true: True values.
        predicted: Predicted values.
        resamples: Number of resamples, each of as many items as given.
        seed: Seed of the resampling; NumPy's global state is left alone.
        level: Confidence level, between 0 and 1.

    Raises:
        InvalidInputError: On a level or number of resamples out of range, NaN or infinity,
            no items, or lengths that differ.
    """
    true, predicted = _pair(true, predicted)
    drawn = [
        _resampled(metric, true, predicted, rows) for rows in _draws(len(true), resamples, seed)
    ]
    return _interval(metric(true, predicted), np.concatenate(drawn), level)


def bootstrap_difference(
    metric: Metric,
    true: Values,
    first: Values,
    second: Values,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of ``metric(true, first) - metric(true, second)``.

    Paired: both predictors meet the same resamples, so what makes a resample hard for both
    cancels. Zero outside the interval means that they differ at this level.

    Args:
        metric: As for :func:`bootstrap_interval`.
        true: True values.
        first: Predictions of one predictor.
        second: Predictions of the other, for the same items.
        resamples: Number of resamples.
        seed: Seed of the resampling.
        level: Confidence level, between 0 and 1.

    Raises:
        InvalidInputError: As for :func:`bootstrap_interval`.
    """
    true, first = _pair(true, first)
    true, second = _pair(true, second)
    drawn = [
        _resampled(metric, true, first, rows) - _resampled(metric, true, second, rows)
        for rows in _draws(len(true), resamples, seed)
    ]
    return _interval(metric(true, first) - metric(true, second), np.concatenate(drawn), level)


def _pair(
    true: Values, predicted: Values
) -> tuple[Float[np.ndarray, " items"], Float[np.ndarray, " items"]]:
    """Both as float64 arrays, checked."""
    pair = _array("true", true), _array("predicted", predicted)
    if len(pair[0]) != len(pair[1]):
        raise InvalidInputError(
            f"{len(pair[0])} true but {len(pair[1])} predicted values; there must be as many. "
            "Give one prediction per architecture, in the same order."
        )
    return pair


def _array(name: str, values: Values) -> Float[np.ndarray, " items"]:
    numpy = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    array = numpy.astype(np.float64)
    if array.ndim != 1 or array.size == 0:
        raise InvalidInputError(
            f"{name} has shape {array.shape}; it must be one-dimensional and not empty. "
            "Flatten it, or evaluate at least one architecture."
        )
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise InvalidInputError(
            f"{name} has NaN or infinity in {bad} of {array.size} places; every value must be "
            "finite. Find out why before leaving them out: a metric on the rest flatters."
        )
    return array


def _constant(values: Float[np.ndarray, " items"]) -> bool:
    return bool((values == values[0]).all())


def _draws(items: int, resamples: int, seed: int) -> Iterator[Int[np.ndarray, "rows items"]]:
    """Indices of the resamples, a block of rows at a time."""
    if resamples < 1:
        raise InvalidInputError(f"resamples is {resamples}; it must be 1 or more. Use 1000.")
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _BLOCK):
        yield generator.integers(items, size=(min(_BLOCK, resamples - start), items))


def _resampled(
    metric: Metric,
    true: Float[np.ndarray, " items"],
    predicted: Float[np.ndarray, " items"],
    rows: Int[np.ndarray, "rows items"],
) -> Float[np.ndarray, " rows"]:
    """The metric on each resample."""
    if metric is mae:
        errors: Float[np.ndarray, " items"] = 100 * np.abs(predicted - true)
        means: Float[np.ndarray, " rows"] = errors[rows].mean(axis=1)
        return means
    if metric is srcc:
        return _correlate(_ranks(true, rows), _ranks(predicted, rows))
    return np.array([metric(true[row], predicted[row]) for row in rows])


def _ranks(
    values: Float[np.ndarray, " items"], rows: Int[np.ndarray, "rows items"]
) -> Float[np.ndarray, "rows items"]:
    """Mean ranks within each resample, by counting: the values are sorted only once."""
    distinct, codes = np.unique(values, return_inverse=True)
    codes = codes[rows]
    offsets = len(distinct) * np.arange(len(rows))[:, None]
    counts = np.bincount((codes + offsets).ravel(), minlength=len(rows) * len(distinct))
    counts = counts.reshape(len(rows), len(distinct))
    # A value's c copies take the ranks from before + 1 to before + c.
    ranks = counts.cumsum(axis=1) - (counts - 1) / 2
    return np.take_along_axis(ranks, codes, axis=1)


def _correlate(
    left: Float[np.ndarray, "rows items"], right: Float[np.ndarray, "rows items"]
) -> Float[np.ndarray, " rows"]:
    """Pearson's correlation row by row; nan where a row is constant."""
    left = left - left.mean(axis=1, keepdims=True)
    right = right - right.mean(axis=1, keepdims=True)
    covariance = (left * right).sum(axis=1)
    scale = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    correlation = np.full(len(left), np.nan)
    np.divide(covariance, scale, out=correlation, where=scale > 0)
    return correlation


def _interval(estimate: float, drawn: Float[np.ndarray, " resamples"], level: float) -> Interval:
    if not 0 < level < 1:
        raise InvalidInputError(f"level is {level}; it must be between 0 and 1. Use 0.95.")
    defined = drawn[~np.isnan(drawn)]
    low = high = float("nan")
    if defined.size:
        low, high = map(float, np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]))
    return Interval(estimate, low, high, level, drawn.size, drawn.size - defined.size)
