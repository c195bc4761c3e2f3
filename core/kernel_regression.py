"""A Gaussian process and a ridge regression on the same features, averaged.

All that is learned is kept as buffers and evaluated in float64.
"""

import warnings
from dataclasses import dataclass
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
        chosen: "Hyperparameters | None" = None,
    ) -> tuple["KernelRegression", "Hyperparameters"]:
        """Fit to labelled graphs.

        Args:
            features: What is known of each.
            target: What to learn of each.
            statistics: How many of the features, the first ones, are statistics; the others
                are an embedding's and weigh less.
            chosen: Hyper-parameters of an earlier fit; chosen anew where left out.

        Returns:
            The regressions and their hyper-parameters.
        """
        from sklearn.linear_model import Ridge

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
        chosen = chosen or Hyperparameters.choose(x, y)
        process = chosen.process(x, y)
        amplitude, length, linear, _ = np.exp(chosen.theta)
        kernel = np.array([amplitude, length, linear, y.mean(), y.std() or 1.0])
        model.kernel.copy_(torch.from_numpy(kernel))
        model.dual.copy_(torch.from_numpy(process.alpha_))
        model.spread.copy_(torch.from_numpy(np.linalg.inv(process.L_).T))
        ridge = Ridge(chosen.penalty).fit(x, y)
        model.ridge.copy_(torch.from_numpy(np.append(ridge.coef_, ridge.intercept_)))
        return model, chosen

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


@dataclass(frozen=True)
class Hyperparameters:
    """What is chosen before the weights.

    Attributes:
        theta: Logarithms of the process' amplitude, length, linear part and noise.
        penalty: Of the ridge regression.
    """

    theta: tuple[float, ...]
    penalty: float

    @classmethod
    def choose(cls, x: Any, y: Any) -> "Hyperparameters":
        """By marginal likelihood, and by the ridge regression's leave-one-out error."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.linear_model import RidgeCV

        process = GaussianProcessRegressor(_kernel(x), normalize_y=True)
        with warnings.catch_warnings():
            # A bound that is reached is an answer, not a failure.
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(x, y)
        ridge = RidgeCV(np.logspace(-1, 4, 16)).fit(x, y)
        return cls(tuple(process.kernel_.theta.tolist()), float(ridge.alpha_))

    def process(self, x: Any, y: Any) -> Any:
        """scikit-learn's Gaussian process with these, fitted."""
        from sklearn.gaussian_process import GaussianProcessRegressor

        kernel = _kernel(x).clone_with_theta(np.array(self.theta))
        return GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True).fit(x, y)


def _kernel(x: Any) -> Any:
    """RBF + linear + noise, the lengths in units of the features' typical norm."""
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    width = max(float((x**2).sum(axis=1).mean()) ** 0.5, 1.0)
    linear = ConstantKernel(0.5 / width**2, (1e-4 / width**2, 1e2 / width**2))
    return (
        ConstantKernel(1.0, (1e-2, 1e2)) * RBF(width, (width / 10, width * 20))
        + linear * DotProduct(0.0, "fixed")
        + WhiteKernel(0.1, (1e-3, 1.0))
    )
