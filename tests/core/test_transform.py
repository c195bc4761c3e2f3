import json
import math

import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.transform import (
    FlopsTransform,
    Standardize,
    target_transform_from_dict,
)
from hypothesis import given
from hypothesis import strategies as st

KINDS = [FlopsTransform, Standardize]
ACCURACY = torch.tensor([0.80, 0.91, 0.935, 0.87], dtype=torch.float64)
GFLOPS = torch.tensor([0.05, 11.72, 9.0, 0.0], dtype=torch.float64)


def test_equation_5():
    pairs = zip(ACCURACY.tolist(), GFLOPS.tolist(), strict=True)
    scaled = [a / (math.log10(f + 1) + 1) for a, f in pairs]
    mean = sum(scaled) / 4
    std = math.sqrt(sum((value - mean) ** 2 for value in scaled) / 4)
    transform = FlopsTransform.fit(ACCURACY, GFLOPS)
    assert (transform.mean, transform.std) == (pytest.approx(mean), pytest.approx(std))
    expected = [(value - mean) / std for value in scaled]
    assert transform.forward(ACCURACY, GFLOPS).tolist() == pytest.approx(expected)


def test_standardize_ignores_flops():
    transform = Standardize.fit(ACCURACY, GFLOPS)
    target = transform.forward(ACCURACY, GFLOPS)
    assert torch.equal(target, transform.forward(ACCURACY, 1 + GFLOPS))
    torch.testing.assert_close(target, (ACCURACY - ACCURACY.mean()) / ACCURACY.std(correction=0))


@pytest.mark.parametrize("kind", KINDS)
@given(
    pairs=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e4)), min_size=1, max_size=20),
    mean=st.floats(-1, 1),
    std=st.floats(1e-3, 10),
)
def test_round_trip(kind, pairs, mean, std):
    accuracy, gflops = torch.tensor(pairs, dtype=torch.float64).T
    transform = kind(mean, std)
    back = transform.inverse(transform.forward(accuracy, gflops), gflops)
    torch.testing.assert_close(back, accuracy)


@pytest.mark.parametrize("kind", KINDS)
def test_training_targets_have_zero_mean_and_unit_deviation(kind):
    target = kind.fit(ACCURACY, GFLOPS).forward(ACCURACY, GFLOPS)
    assert float(target.mean()) == pytest.approx(0, abs=1e-12)
    assert float(target.std(correction=0)) == pytest.approx(1)


@given(flops=st.lists(st.floats(0, 1e3), min_size=2, max_size=9, unique=True), y=st.floats(-2, 2))
def test_a_constant_target_is_an_accuracy_that_grows_with_flops(flops, y):
    gflops = torch.tensor(sorted(flops), dtype=torch.float64)
    accuracy = FlopsTransform(mean=0.5, std=0.1).inverse(torch.full_like(gflops, y), gflops)
    assert (accuracy.diff() >= 0).all()
    assert accuracy[-1] > accuracy[0] or gflops[-1] - gflops[0] < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_shape_dtype_and_gradient(kind, dtype, shape):
    transform = kind(0.5, 0.1)
    accuracy = torch.full(shape, 0.9, dtype=dtype, requires_grad=True)
    target = transform.forward(accuracy, torch.ones(shape, dtype=dtype))
    assert (target.shape, target.dtype) == (accuracy.shape, dtype)
    target.sum().backward()
    assert (accuracy.grad > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_json_round_trip(kind):
    transform = kind(0.62, 0.03)
    again = target_transform_from_dict(json.loads(json.dumps(transform.to_dict())))
    assert again == transform
    assert type(again) is kind


def test_kinds_differ():
    assert FlopsTransform(0.5, 0.1) != Standardize(0.5, 0.1)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "log", "mean": 0.5, "std": 0.1},
        {"kind": "flops", "mean": 0.5},
        {"kind": "flops", "mean": "0.5", "std": 0.1},
        {"kind": ["flops"], "mean": 0.5, "std": 0.1},
    ],
)
def test_unreadable_dict(values):
    with pytest.raises(InvalidInputError, match="kind 'flops' or 'standardize'"):
        target_transform_from_dict(values)


@pytest.mark.parametrize(
    ("mean", "std"), [(0.5, 0.0), (0.5, -1.0), (math.nan, 0.1), (0.5, math.inf)]
)
def test_bad_statistics(mean, std):
    with pytest.raises(InvalidInputError, match="std above 0"):
        FlopsTransform(mean, std)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("items", [0, 1, 5])
def test_fit_needs_targets_that_vary(kind, items):
    with pytest.raises(InvalidInputError, match=f"the {items} training targets do not vary"):
        kind.fit(torch.full((items,), 0.1), torch.ones(items))


@pytest.mark.parametrize("method", ["fit", "forward", "inverse"])
@pytest.mark.parametrize("kind", KINDS)
def test_bad_tensors(kind, method):
    call = getattr(kind(0.5, 0.1), method)
    with pytest.raises(InvalidInputError, match="has NaN or infinity"):
        call(torch.tensor([0.9, math.nan]), torch.ones(2))
    with pytest.raises(InvalidInputError, match="gflops has a negative"):
        call(torch.ones(2), torch.tensor([1.0, -1.0]))
    # TypeError where the shape annotations are executed.
    with pytest.raises((InvalidInputError, TypeError)):
        call(torch.ones(2), torch.ones(3))
