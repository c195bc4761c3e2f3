"""The two regressions on one set of features."""

import warnings

import numpy as np
import pytest
import torch
from gennape_plugin.core.kernel_regression import (
    KernelRegression,
    fit_process,
    process_kernel,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import RidgeCV


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(90, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def y(x: torch.Tensor) -> torch.Tensor:
    return 3 * torch.tanh(x[:, 0] + x[:, 5])


def test_the_process_is_scikit_learns(x: torch.Tensor, y: torch.Tensor) -> None:
    """The stored weights, under the formula here, give what scikit-learn's own object gives."""
    raw, there, target = x.numpy()[:40], x.numpy()[40:], y.numpy()[:40]
    kernel, dual, _ = fit_process(raw, target)
    amplitude, length, linear, centre, scale = kernel
    squared = ((there[:, None] - raw[None]) ** 2).sum(-1)
    cross = amplitude * np.exp(-squared / (2 * length**2)) + linear * there @ raw.T
    width = float((raw**2).sum(axis=1).mean()) ** 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GaussianProcessRegressor(process_kernel(width), normalize_y=True).fit(raw, target)
    np.testing.assert_allclose(cross @ dual * scale + centre, theirs.predict(there), atol=1e-8)


def test_the_prediction_is_the_mean_of_the_process_and_a_ridge_regression(
    x: torch.Tensor, y: torch.Tensor
) -> None:
    model = KernelRegression.fit(x[:40], y[:40], 4)
    known, there = model.scaled(x[:40]).float().double(), model.scaled(x[40:])
    target = y.numpy()[:40]
    _, dual, _ = fit_process(known.numpy(), target)
    amplitude, length, linear, centre, scale = model.kernel.double()
    near = torch.exp(-(torch.cdist(there, known) ** 2) / (2 * length**2))
    cross = amplitude * near + linear * there @ known.T
    process = cross @ torch.from_numpy(dual) * scale + centre
    ridge = RidgeCV(np.logspace(-1, 4, 16)).fit(known.numpy(), target)
    expected = (process + torch.from_numpy(ridge.predict(there.numpy()))) / 2
    torch.testing.assert_close(model(x[40:])[0], expected, atol=1e-4, rtol=0)


def test_an_embeddings_features_weigh_half_of_statistics(x: torch.Tensor) -> None:
    model = KernelRegression.fit(x[:40], torch.linspace(0.8, 0.9, 40), 4)
    deviations = model.scaled(x[:40]).std(dim=0, correction=0)
    torch.testing.assert_close(
        deviations, torch.tensor([1.0] * 4 + [0.5] * 3).double(), atol=1e-5, rtol=0
    )
