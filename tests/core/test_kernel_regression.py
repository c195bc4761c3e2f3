"""The two regressions on one set of features."""

import numpy as np
import pytest
import torch
from gennape_plugin.core.kernel_regression import Hyperparameters, KernelRegression
from sklearn.linear_model import RidgeCV


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(90, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def y(x: torch.Tensor) -> torch.Tensor:
    return 3 * torch.tanh(x[:, 0] + x[:, 5])


def test_predictions_are_the_mean_of_scikit_learns_process_and_ridge_regression(
    x: torch.Tensor, y: torch.Tensor
) -> None:
    """The stored weights, under the formula here, give what scikit-learn's own objects give."""
    model, chosen = KernelRegression.fit(x[:40], y[:40], 4)
    known, there = model.scaled(x[:40]).float().double().numpy(), model.scaled(x[40:]).numpy()
    process = chosen.process(known, y[:40].numpy())
    mean, deviation = process.predict(there, return_std=True)
    ridge = RidgeCV(np.logspace(-1, 4, 16)).fit(known, y[:40].numpy())
    assert ridge.alpha_ == chosen.penalty
    found, spread = model(x[40:])
    np.testing.assert_allclose(found, (mean + ridge.predict(there)) / 2, atol=1e-4)
    # scikit-learn's deviation holds the noise, ours is that of the function.
    noise = np.exp(chosen.theta[3]) * float(y[:40].var(correction=0))
    np.testing.assert_allclose(spread, np.sqrt(deviation**2 - noise), atol=1e-3)


def test_hyper_parameters_are_those_of_the_greatest_likelihood(
    x: torch.Tensor, y: torch.Tensor
) -> None:
    known = x[:40].numpy()
    chosen = Hyperparameters.choose(known, y[:40].numpy())
    process = chosen.process(known, y[:40].numpy())
    best = process.log_marginal_likelihood(np.array(chosen.theta))
    for place in range(4):
        for step in (-0.3, 0.3):
            moved = np.array(chosen.theta)
            moved[place] = np.clip(moved[place] + step, *process.kernel_.bounds[place])
            assert process.log_marginal_likelihood(moved) <= best + 1e-6


def test_a_fit_with_given_hyper_parameters_is_the_same_fit(
    x: torch.Tensor, y: torch.Tensor
) -> None:
    model, chosen = KernelRegression.fit(x[:40], y[:40], 4)
    again, _ = KernelRegression.fit(x[:40], y[:40], 4, chosen)
    torch.testing.assert_close(model(x)[0], again(x)[0], atol=1e-6, rtol=0)
    fewer, same = KernelRegression.fit(x[:39], y[:39], 4, chosen)
    assert same is chosen
    assert torch.equal(fewer.kernel[:3], model.kernel[:3])


def test_an_embeddings_features_weigh_half_of_statistics(x: torch.Tensor) -> None:
    model, _ = KernelRegression.fit(x[:40], torch.linspace(0.8, 0.9, 40), 4)
    deviations = model.scaled(x[:40]).std(dim=0, correction=0)
    torch.testing.assert_close(
        deviations, torch.tensor([1.0] * 4 + [0.5] * 3).double(), atol=1e-5, rtol=0
    )
