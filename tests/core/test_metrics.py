import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from gennape_plugin.core import metrics
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.metrics import (
    bootstrap_difference,
    bootstrap_interval,
    kendall_tau_b,
    mae,
    ndcg_at_k,
    srcc,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

ALL = [mae, srcc, kendall_tau_b, ndcg_at_k]
# Small integers, so that ties on either side are common.
pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=25)


def example(items=300, noise=0.5, seed=0):
    generator = np.random.default_rng(seed)
    true = generator.normal(size=items)
    return true, true + noise * generator.normal(size=items)


def mean_ranks(values):
    return np.array([np.mean(np.flatnonzero(np.sort(values) == v)) for v in values])


def close(value, expected):
    return value == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_mae_is_in_percentage_points():
    assert mae(np.array([0.90, 0.80]), np.array([0.91, 0.77])) == pytest.approx(2.0)


@given(pairs)
def test_srcc_is_pearson_of_mean_ranks(pairs):
    true, predicted = np.array(pairs, dtype=float).T
    a, b = (ranks - ranks.mean() for ranks in map(mean_ranks, (true, predicted)))
    scale = math.sqrt((a @ a) * (b @ b))
    assert close(srcc(true, predicted), a @ b / scale if scale else math.nan)


@given(pairs)
def test_kendall_tau_b_counts_pairs(pairs):
    true, predicted = np.array(pairs, dtype=float).T
    score = free_true = free_predicted = 0
    for i, j in itertools.combinations(range(len(true)), 2):
        a, b = np.sign(true[i] - true[j]), np.sign(predicted[i] - predicted[j])
        score, free_true, free_predicted = score + a * b, free_true + a * a, free_predicted + b * b
    scale = math.sqrt(free_true * free_predicted)
    assert close(kendall_tau_b(true, predicted), score / scale if scale else math.nan)


@given(pairs, st.integers(1, 30))
def test_ndcg_is_linear_in_relevance_and_averages_ties(pairs, k):
    true, predicted = np.array(pairs, dtype=float).T
    if true.min() == true.max():
        assert math.isnan(ndcg_at_k(true, predicted, k))
        return
    relevance = 20 * (true - true.min()) / (true.max() - true.min())
    shared = np.array([relevance[predicted == p].mean() for p in predicted])
    discount = 1 / np.log2(np.arange(len(true)) + 2) * (np.arange(len(true)) < k)
    gain = shared[np.argsort(-predicted)] @ discount
    assert close(ndcg_at_k(true, predicted, k), gain / (np.sort(relevance)[::-1] @ discount))


def test_ndcg_of_constant_predictions_is_that_of_a_random_order():
    true = np.array([0.0, 1.0, 2.0, 3.0])
    assert ndcg_at_k(true, np.zeros(4), 1) == pytest.approx(0.5)


@pytest.mark.parametrize("metric", [srcc, kendall_tau_b])
@pytest.mark.parametrize("items", [1, 2, 5])
def test_constant_sides_have_no_correlation(metric, items):
    constant, varied = np.full(items, 0.1), np.arange(items)
    assert math.isnan(metric(varied, constant))
    assert math.isnan(metric(constant, varied))


@pytest.mark.parametrize("metric", ALL)
def test_tensors_equal_arrays(metric):
    true, predicted = example()
    tensors = torch.tensor(true), torch.tensor(predicted, requires_grad=True)
    assert metric(*tensors) == metric(true, predicted)


@pytest.mark.parametrize("metric", ALL)
def test_bad_values(metric):
    good = np.arange(3.0)
    for bad in (np.array([0.0, math.nan, 1.0]), np.array([0.0, math.inf, -math.inf])):
        with pytest.raises(InvalidInputError, match="predicted has NaN or infinity in"):
            metric(good, bad)
        with pytest.raises(InvalidInputError, match="true has NaN or infinity in"):
            metric(bad, good)
    with pytest.raises(InvalidInputError, match="not empty"):
        metric(np.array([]), np.array([]))
    # TypeError where the shape annotations are executed.
    with pytest.raises((InvalidInputError, TypeError)):
        metric(good, np.arange(4.0))
    with pytest.raises((InvalidInputError, TypeError)):
        metric(good[None], good[None])


def test_bad_k():
    with pytest.raises(InvalidInputError, match="k is 0"):
        ndcg_at_k(np.arange(3.0), np.arange(3.0), 0)


class TestBootstrap:
    @settings(max_examples=50)
    @given(pairs, st.integers(0, 99))
    def test_vectorised_metrics_equal_the_plain_ones(self, pairs, seed):
        true, predicted = np.array(pairs, dtype=float).T
        rows = np.random.default_rng(seed).integers(len(true), size=(7, len(true)))
        for metric in (mae, srcc):
            together = metrics._resampled(metric, true, predicted, rows)
            for row, value in zip(rows, together, strict=True):
                assert close(value, metric(true[row], predicted[row]))

    def test_ranks(self):
        values, rows = np.array([0.3, 0.1, 0.3, 0.2]), np.array([[0, 1, 2, 3], [1, 1, 1, 2]])
        expected = stats.rankdata(values[rows], axis=1)
        np.testing.assert_array_equal(metrics._ranks(values, rows), expected)

    @pytest.mark.parametrize("metric", [*ALL, partial(ndcg_at_k, k=50)])
    def test_interval_holds_the_estimate_and_widens_with_its_level(self, metric):
        true, predicted = example()
        narrow, wide = (
            bootstrap_interval(metric, true, predicted, resamples=100, level=level)
            for level in (0.5, 0.99)
        )
        assert narrow.estimate == metric(true, predicted)
        assert wide.low < narrow.low < narrow.high < wide.high
        assert (wide.resamples, wide.undefined, wide.level) == (100, 0, 0.99)

    def test_width_matches_scipy(self):
        true, predicted = example()
        ours = bootstrap_interval(mae, true, predicted, resamples=2000)
        reference = stats.bootstrap(
            (100 * np.abs(predicted - true),), np.mean, n_resamples=2000, method="percentile", rng=1
        ).confidence_interval
        width = reference.high - reference.low
        assert ours.low == pytest.approx(reference.low, abs=0.1 * width)
        assert ours.high == pytest.approx(reference.high, abs=0.1 * width)

    def test_seed(self):
        true, predicted = example()
        state = np.random.get_state()[1].copy()
        first, same, other = (
            bootstrap_interval(srcc, true, predicted, resamples=100, seed=seed)
            for seed in (1, 1, 2)
        )
        assert first == same != other
        np.testing.assert_array_equal(np.random.get_state()[1], state)

    def test_pairing_beats_independent_intervals(self):
        true, first = example()
        second = first + 0.05 * np.random.default_rng(1).normal(size=len(first))
        paired = bootstrap_difference(srcc, true, first, second, resamples=200)
        alone = bootstrap_interval(srcc, true, first, resamples=200)
        assert paired.estimate == srcc(true, first) - srcc(true, second)
        assert paired.low <= paired.estimate <= paired.high
        assert paired.high - paired.low < (alone.high - alone.low) / 2

    def test_a_predictor_does_not_differ_from_itself(self):
        true, predicted = example()
        difference = bootstrap_difference(kendall_tau_b, true, predicted, predicted, resamples=20)
        assert difference[:3] == (0, 0, 0)

    def test_undefined_resamples_are_counted(self):
        true = np.array([0.0, 0.0, 1.0])
        interval = bootstrap_interval(srcc, true, true, resamples=200)
        assert 0 < interval.undefined < 200
        assert interval.low == interval.high == pytest.approx(1)
        nothing = bootstrap_interval(srcc, true, np.zeros(3), resamples=20)
        assert nothing.undefined == 20
        assert math.isnan(nothing.estimate)
        assert math.isnan(nothing.low)
        assert math.isnan(nothing.high)

    @pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
    def test_bad_level(self, level):
        with pytest.raises(InvalidInputError, match=r"level is .* between 0 and 1"):
            bootstrap_interval(mae, *example(), resamples=2, level=level)

    def test_bad_resamples(self):
        with pytest.raises(InvalidInputError, match="resamples is 0"):
            bootstrap_interval(mae, *example(), resamples=0)
