"""Fine-tuning with a few labels: kernel regressions on frozen features.

With 50 labels, closed-form regressions on what the model already says of a graph (its
embedding and its statistics) beat tuning the networks (docs/results.md), take a second,
and give the same answer every time. Two regressions are averaged, a Gaussian process and a
ridge regression. Both learn the logarithm of the error rate, which spreads the best
networks apart and tames the failed ones. Hyper-parameters are chosen by marginal
likelihood and leave-one-out error on the labels alone; the unlabelled population is not
used.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .conformal import Bounds, error_bounds
from .errors import InvalidInputError
from .metrics import srcc
from .model_outputs import Outputs

#: Fewer labels than this cannot be cross-validated.
MIN_LABELS: Final = 5
#: More than this and solving for all pairs takes minutes; such data should train heads.
MAX_LABELS: Final = 5000
#: Half a point, added to errors before their logarithm.
_FLOOR: Final = 0.005
#: Weight of the embedding's features relative to the statistics'.
_EMBEDDING_WEIGHT: Final = 0.5
_FOLDS: Final = 5
_REPEATS: Final = 3


@dataclass(frozen=True)
class CrossValidation:
    """How fine-tuned and zero-shot rankings compare on the labels given.

    Attributes:
        tuned: Mean rank correlation of out-of-fold predictions.
        zero_shot: That of the best zero-shot ranking on all of them, which needed no fit.
        predicted: Mean out-of-fold prediction of each label.
    """

    tuned: float
    zero_shot: float
    predicted: Float[Tensor, "labels"]

    @property
    def helps(self) -> bool:
        """Whether fine-tuning ranks at least as well as zero-shot did."""
        return not self.tuned < self.zero_shot


class FewShot(nn.Module):
    """Regressions fitted to a few labelled graphs; all learned numbers are buffers.

    ``blend`` is 1 where the regressions are used, 0 where cross-validation preferred the
    zero-shot order, which then only is turned into accuracies by a line.
    """

    mean: Tensor
    scale: Tensor
    support: Tensor
    dual: Tensor
    kernel: Tensor
    spread: Tensor
    ridge: Tensor
    line: Tensor
    blend: Tensor
    residuals: Tensor

    def __init__(self, labels: int, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.zeros(features))
        self.register_buffer("support", torch.zeros(labels, features))
        self.register_buffer("dual", torch.zeros(labels))
        # Amplitude, length and linear part; mean and deviation of the target.
        self.register_buffer("kernel", torch.ones(5))
        self.register_buffer("spread", torch.zeros(labels, labels))
        self.register_buffer("ridge", torch.zeros(features + 1))
        self.register_buffer("line", torch.zeros(2))
        self.register_buffer("blend", torch.ones(()))
        # Truth less prediction of each labelled graph when it was left out.
        self.register_buffer("residuals", torch.zeros(labels))

    def predict(
        self, outputs: Outputs, size: Float[Tensor, "graphs"]
    ) -> tuple[Float[Tensor, "graphs"], Float[Tensor, "graphs"]]:
        """Accuracy (a fraction) and its standard deviation, both float64.

        Accuracy has no upper bound of 1 here but rises with the score everywhere; callers
        that print it clamp it.

        Args:
            outputs: What the model says of the graphs.
            size: Their size prior.
        """
        x = (features(outputs) - self.mean.double()) * self.scale.double()
        centre, scale = self.kernel[3:].double()
        cross = self._cross(x)
        process = cross @ self.dual.double() * scale + centre
        straight = x @ self.ridge[:-1].double() + self.ridge[-1].double()
        error = ((process + straight) / 2).clamp(max=0).exp()
        # The variance of a process, carried from log error to error to first order.
        amplitude, _, linear = self.kernel[:3].double()
        variance = amplitude + linear * (x * x).sum(dim=1)
        variance -= ((cross @ self.spread.double()) ** 2).sum(dim=1)
        deviation = variance.clamp(min=0).sqrt() * scale * error
        if not bool(self.blend):
            line = self.line.double()
            return line[0] * size.double() + line[1], deviation
        return 1 + _FLOOR - error, deviation

    def bounds(self, coverage: float) -> Bounds:
        """Bounds on ``truth - accuracy``, a fraction, by the labelled graphs' errors when left out.

        Infinite where there are too few labels for the coverage (19 are needed for 90 %).
        """
        return error_bounds(self.residuals.double().numpy(), coverage)

    def _cross(self, x: Tensor) -> Tensor:
        """Covariances of graphs with the labelled ones, ``(graphs, labels)``."""
        amplitude, length, linear = self.kernel[:3].double()
        support = self.support.double()
        squared = torch.cdist(x, support, compute_mode="donot_use_mm_for_euclid_dist") ** 2
        found: Tensor = amplitude * torch.exp(-squared / (2 * length**2)) + linear * (x @ support.T)
        return found

    def describe(self) -> dict[str, Any]:
        """Sizes."""
        return {"labels": self.support.shape[0], "features": self.support.shape[1]}


def features(outputs: Outputs) -> Float[Tensor, "graphs features"]:
    """What the regressions read: statistics, then the embedding, float64."""
    return torch.cat([outputs.statistics, outputs.embedding], dim=1).double()


def fit_few_shot(
    outputs: Outputs,
    accuracy: Float[Tensor, "graphs"],
    size: Float[Tensor, "graphs"],
    *,
    rankings: Sequence[Float[Tensor, "graphs"]] = (),
    seed: int = 0,
) -> tuple[FewShot, CrossValidation]:
    """Fit to labelled graphs; keep the zero-shot order where it does better on them.

    Args:
        outputs: What the model says of the labelled graphs.
        accuracy: Their accuracies, fractions.
        size: Their size prior, which a line turns into accuracies where the regressions do
            worse than zero-shot rankings.
        rankings: Zero-shot scores to beat; the size prior is always one.
        seed: Fixes the folds of the cross-validation.

    Raises:
        InvalidInputError: for too few or too many labels, or accuracies that are no
            fractions or all equal.
    """
    count = len(accuracy)
    if not MIN_LABELS <= count <= MAX_LABELS:
        raise InvalidInputError(
            f"{count} labelled networks: give at least {MIN_LABELS} and at most {MAX_LABELS}"
        )
    if not bool(((accuracy >= 0) & (accuracy <= 1)).all()):
        raise InvalidInputError("accuracies here are fractions between 0 and 1, none of them NaN")
    if bool((accuracy == accuracy[0]).all()):
        raise InvalidInputError(
            f"all {count} accuracies are {float(accuracy[0]):.6g}: there is no order to learn"
        )
    raw, y = features(outputs).numpy(), accuracy.double().numpy()
    statistics = outputs.statistics.shape[1]
    checked = _cross_validated(raw, y, (size, *rankings), statistics, seed)
    model = _fitted(raw, y, statistics)
    slope = intercept = 0.0
    line = size.double().numpy()
    if line.std() > 0:
        # Never against the order that was just found to be the better one.
        slope = max(float(np.polyfit(line, y, 1)[0]), 1e-6)
        intercept = float(y.mean() - slope * line.mean())
    model.line.copy_(torch.tensor([slope, intercept]))
    model.blend.fill_(float(checked.helps))
    predicted = checked.predicted if checked.helps else slope * size.double() + intercept
    model.residuals.copy_(accuracy.double() - predicted)
    return model, checked


def _fitted(raw: Any, y: Any, statistics: int) -> FewShot:
    from sklearn.linear_model import RidgeCV

    model = FewShot(*raw.shape)
    mean, deviation = raw.mean(axis=0), raw.std(axis=0)
    weight = np.where(np.arange(raw.shape[1]) < statistics, 1.0, _EMBEDDING_WEIGHT)
    # Features that hardly vary among the labelled graphs would blow up elsewhere.
    scale = np.where(
        deviation > 1e-4 * (1 + np.abs(mean)), weight / np.maximum(deviation, 1e-12), 0
    )
    model.mean.copy_(torch.from_numpy(mean))
    model.scale.copy_(torch.from_numpy(scale))
    # Fitted on the rounded numbers that are stored, so that saving loses nothing.
    x = ((torch.from_numpy(raw) - model.mean.double()) * model.scale.double()).numpy()
    model.support.copy_(torch.from_numpy(x))
    x, target = model.support.double().numpy(), np.log(1 - y + _FLOOR)
    kernel, dual, spread = _process(x, target)
    model.kernel.copy_(torch.from_numpy(kernel))
    model.dual.copy_(torch.from_numpy(dual))
    model.spread.copy_(torch.from_numpy(spread))
    ridge = RidgeCV(np.logspace(-1, 4, 16)).fit(x, target)
    model.ridge.copy_(torch.from_numpy(np.append(ridge.coef_, ridge.intercept_)))
    return model


def _process(x: Any, target: Any) -> tuple[Any, Any, Any]:
    """Hyper-parameters by marginal likelihood, then the weights of the labelled graphs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor

    width = max(float((x**2).sum(axis=1).mean()) ** 0.5, 1.0)
    model = GaussianProcessRegressor(_kernel(width), normalize_y=True)
    with warnings.catch_warnings():
        # A bound that is reached is an answer, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, target)
    found = np.exp(model.kernel_.theta)  # amplitude, length, linear, noise
    inverse = np.linalg.inv(model.L_)
    moments = [target.mean(), target.std()]
    return np.array([*found[:3], *moments]), model.alpha_, inverse.T


def _kernel(width: float) -> Any:
    """RBF + linear + noise, the lengths in units of the features' typical norm ``width``."""
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    linear = ConstantKernel(0.5 / width**2, (1e-4 / width**2, 1e2 / width**2))
    return (
        ConstantKernel(1.0, (1e-2, 1e2)) * RBF(width, (width / 10, width * 20))
        + linear * DotProduct(0.0, "fixed")
        + WhiteKernel(0.1, (1e-3, 1.0))
    )


def _cross_validated(
    raw: Any, y: Any, rankings: Sequence[Tensor], statistics: int, seed: int
) -> CrossValidation:
    from sklearn.model_selection import KFold

    tuned, predicted = [], []
    truth = torch.from_numpy(y)
    for repeat in range(_REPEATS):
        found = torch.zeros(len(y), dtype=torch.float64)
        folds = KFold(min(_FOLDS, len(y)), shuffle=True, random_state=seed + repeat)
        for train, test in folds.split(raw):
            if (y[train] == y[train][0]).all():
                found[test] = y[train][0]
                continue
            found[test] = _predicted(_fitted(raw[train], y[train], statistics), raw[test])
        tuned.append(srcc(truth, found))
        predicted.append(found)
    plain = [srcc(truth, ranking.double()) for ranking in rankings]
    # No correlation exists with a ranking that says nothing; anything is as good.
    best = max((value for value in plain if value == value), default=-1.0)
    mean = torch.stack(predicted).mean(dim=0)
    return CrossValidation(float(np.nan_to_num(np.mean(tuned), nan=-1)), best, mean)


def _predicted(model: FewShot, raw: Any) -> Tensor:
    rows = torch.from_numpy(raw)
    empty = torch.zeros(len(raw), 0)
    outputs = Outputs({}, torch.zeros(len(raw)), empty, rows)
    return model.predict(outputs, torch.zeros(len(raw)))[0]
