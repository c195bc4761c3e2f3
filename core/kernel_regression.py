"""A Gaussian process and a ridge regression on the same features, averaged.

Hyper-parameters are chosen by marginal likelihood and leave-one-out error; all that is
learned is kept as buffers and evaluated in float64.
"""

import warnings
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

#: Weight of the embedding's features relative to the statistics'.
_EMBEDDING_WEIGHT: Final = 0.5


class KernelRegression(nn.Module):
    """Both regressions; zero until :meth:`fit` or a state has been loaded."""

    mean: Tensor
    scale: Tensor
    support: Tensor
    dual: Tensor
    kernel: Tensor
    spread: Tensor
    ridge: Tensor

    def __init__(self, labels: int, features: int) -> None:
        """Make room for ``labels`` graphs of ``features`` features."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.zeros(features))
        self.register_buffer("support", torch.zeros(labels, features))
        self.register_buffer("dual", torch.zeros(labels))
        # Amplitude, length and linear part; mean and deviation of the target.
        self.register_buffer("kernel", torch.ones(5))
        self.register_buffer("spread", torch.zeros(labels, labels))
        self.register_buffer("ridge", torch.zeros(features + 1))

    @property
    def features(self) -> int:
        """How many features a graph has."""
        return len(self.mean)

    @classmethod
    def fit(
        cls,
        features: Float[Tensor, "labels features"],
        target: Float[Tensor, "labels"],
        statistics: int,
    ) -> "KernelRegression":
        """Fit to labelled graphs.

        Args:
            features: What is known of each.
            target: What to learn of each.
            statistics: How many of the features, the first ones, are statistics; the others
                are an embedding's and weigh less.
        """
        from sklearn.linear_model import RidgeCV

        model, raw = cls(*features.shape), features.double().numpy()
        mean, deviation = raw.mean(axis=0), raw.std(axis=0)
        weight = np.where(np.arange(raw.shape[1]) < statistics, 1.0, _EMBEDDING_WEIGHT)
        # Features that hardly vary among the labelled graphs would blow up elsewhere.
        scale = np.where(
            deviation > 1e-4 * (1 + np.abs(mean)), weight / np.maximum(deviation, 1e-12), 0
        )
        model.mean.copy_(torch.from_numpy(mean))
        model.scale.copy_(torch.from_numpy(scale))
        # Fitted on the rounded numbers that are stored, so that saving loses nothing.
        model.support.copy_(model.scaled(features))
        x, y = model.support.double().numpy(), target.double().numpy()
        kernel, dual, spread = fit_process(x, y)
        model.kernel.copy_(torch.from_numpy(kernel))
        model.dual.copy_(torch.from_numpy(dual))
        model.spread.copy_(torch.from_numpy(spread))
        ridge = RidgeCV(np.logspace(-1, 4, 16)).fit(x, y)
        model.ridge.copy_(torch.from_numpy(np.append(ridge.coef_, ridge.intercept_)))
        return model

    def forward(
        self, features: Float[Tensor, "graphs features"]
    ) -> tuple[Float[Tensor, "graphs"], Float[Tensor, "graphs"]]:
        """Predictions, and the process' standard deviation of them; float64."""
        x = self.scaled(features)
        centre, scale = self.kernel[3:].double()
        cross = self._cross(x)
        process = cross @ self.dual.double() * scale + centre
        straight = x @ self.ridge[:-1].double() + self.ridge[-1].double()
        amplitude, _, linear = self.kernel[:3].double()
        variance = amplitude + linear * (x * x).sum(dim=1)
        variance -= ((cross @ self.spread.double()) ** 2).sum(dim=1)
        return (process + straight) / 2, variance.clamp(min=0).sqrt() * scale

    def scaled(
        self, features: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs features"]:
        """Features in the regressions' units, float64: weighted deviations of the labelled."""
        return (features.double() - self.mean.double()) * self.scale.double()

    def _cross(self, x: Tensor) -> Tensor:
        """Covariances of graphs with the labelled ones, ``(graphs, labels)``."""
        amplitude, length, linear = self.kernel[:3].double()
        support = self.support.double()
        squared = torch.cdist(x, support, compute_mode="donot_use_mm_for_euclid_dist") ** 2
        found: Tensor = amplitude * torch.exp(-squared / (2 * length**2)) + linear * (x @ support.T)
        return found


def fit_process(x: Any, target: Any) -> tuple[Any, Any, Any]:
    """Hyper-parameters by marginal likelihood, then the weights of the labelled graphs.

    Returns:
        Amplitude, length, linear part, mean and deviation of the target; the weights of the
        mean; a root of the inverse covariance, for the variance.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor

    width = max(float((x**2).sum(axis=1).mean()) ** 0.5, 1.0)
    model = GaussianProcessRegressor(process_kernel(width), normalize_y=True)
    with warnings.catch_warnings():
        # A bound that is reached is an answer, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, target)
    found = np.exp(model.kernel_.theta)  # amplitude, length, linear, noise
    inverse = np.linalg.inv(model.L_)
    moments = [target.mean(), target.std()]
    return np.array([*found[:3], *moments]), model.alpha_, inverse.T


def process_kernel(width: float) -> Any:
    """RBF + linear + noise, the lengths in units of the features' typical norm ``width``."""
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    linear = ConstantKernel(0.5 / width**2, (1e-4 / width**2, 1e2 / width**2))
    return (
        ConstantKernel(1.0, (1e-2, 1e2)) * RBF(width, (width / 10, width * 20))
        + linear * DotProduct(0.0, "fixed")
        + WhiteKernel(0.1, (1e-3, 1.0))
    )
