"""Fine-tuning with a few labels: kernel regressions on frozen features.

With 50 labels, closed-form regressions on what the model already says of a graph (its
statistics and embeddings) beat tuning the networks (docs/results.md), take seconds, and
give the same answer every time. All learn the logarithm of the error rate, which spreads
the best networks apart and tames the failed ones: a line in the size prior first, then one
:class:`.KernelRegression` a *view* what the line leaves, averaged. A view is the statistics
beside one embedding, the encoder's or an untrained network's. The unlabelled population is
not used.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .conformal import Bounds, error_bounds
from .errors import InvalidInputError
from .kernel_regression import Hyperparameters, KernelRegression
from .metrics import srcc
from .model_outputs import Outputs
from .on_cpu import OnCpu

#: Fewer labels than this cannot be cross-validated.
MIN_LABELS: Final = 5
#: More than this and solving for all pairs takes minutes; such data should train heads.
MAX_LABELS: Final = 5000
#: Half a point, added to errors before their logarithm.
_FLOOR: Final = 0.005
#: From so many labels on, BLAS keeps all its threads.
_LARGE: Final = 1000
#: Up to so many labels each is left out alone in cross-validation, more of them in folds.
_ONE_BY_ONE: Final = 100
_FOLDS: Final = 10


@dataclass(frozen=True)
class CrossValidation:
    """How fine-tuned and zero-shot rankings compare on the labels given.

    Attributes:
        tuned: Rank correlation of the predictions of labels that were left out.
        zero_shot: That of the best zero-shot ranking, which needed no fit.
        predicted: Prediction of each label when it was left out.
    """

    tuned: float
    zero_shot: float
    predicted: Float[Tensor, "labels"]

    @property
    def helps(self) -> bool:
        """Whether fine-tuning ranks at least as well as zero-shot did."""
        return not self.tuned < self.zero_shot


class FewShot(OnCpu):
    """Regressions fitted to a few labelled graphs, on the CPU; all learned numbers are buffers.

    ``blend`` is 1 where the regressions are used, 0 where cross-validation preferred the
    zero-shot order, which the line then turns into accuracies alone.
    """

    line: Tensor
    blend: Tensor
    residuals: Tensor

    def __init__(self, labels: int, regressions: Iterable[KernelRegression]) -> None:
        """Put regressions on ``labels`` graphs together, one a view."""
        super().__init__()
        self.views = nn.ModuleList(regressions)
        # Slope, never above 0, and intercept of the log error over the size prior.
        self.register_buffer("line", torch.zeros(2))
        self.register_buffer("blend", torch.ones(()))
        # Truth less prediction of each labelled graph when it was left out.
        self.register_buffer("residuals", torch.zeros(labels))

    def predict(
        self, outputs: Outputs, size: Float[Tensor, "graphs"]
    ) -> tuple[Float[Tensor, "graphs"], Float[Tensor, "graphs"]]:
        """Accuracy (a fraction) and its standard deviation, both float64.

        Accuracy has no upper bound of 1 here but rises with the score everywhere; callers
        that print it clamp it. The deviation is the mean of the views' processes', carried
        from log error to error to first order.

        Args:
            outputs: What the model says of the graphs.
            size: Their size prior.
        """
        pairs = [model(view) for model, view in zip(self.views, views(outputs), strict=True)]
        left = torch.stack([mean for mean, _ in pairs]).mean(dim=0)
        slope, intercept = self.line.double()
        log_error = slope * size.double() + intercept + self.blend.double() * left
        error = log_error.clamp(max=0).exp()
        deviation = torch.stack([deviation for _, deviation in pairs]).mean(dim=0)
        return 1 + _FLOOR - error, deviation * error

    def bounds(self, coverage: float) -> Bounds:
        """Bounds on ``truth - accuracy``, a fraction, by the labelled graphs' errors when left out.

        Infinite where there are too few labels for the coverage (19 are needed for 90 %).
        """
        return error_bounds(self.residuals.double().numpy(), coverage)

    @property
    def first(self) -> KernelRegression:
        """The regression on the statistics and the trained encoder's embedding."""
        first = self.views[0]
        assert isinstance(first, KernelRegression)
        return first

    def describe(self) -> dict[str, Any]:
        """Sizes."""
        return {
            "labels": len(self.residuals),
            "features": [view.features for view in self.views],
        }


def features(outputs: Outputs) -> Float[Tensor, "graphs features"]:
    """Statistics, then the trained encoder's embedding, float64: the first view."""
    return views(outputs)[0]


def views(outputs: Outputs) -> tuple[Float[Tensor, "graphs _"], ...]:
    """What the regressions read: statistics, then one embedding each, float64."""
    return tuple(
        torch.cat([outputs.statistics, embedding], dim=1).double()
        for embedding in (outputs.embedding, *outputs.untrained)
    )


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
        size: Their size prior.
        rankings: Zero-shot scores to beat; the size prior is always one.
        seed: Fixes the folds that more than 100 labels are left out in.

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
    with _threads(count):
        model, chosen = _fitted(outputs, accuracy.double(), size)
        checked = _cross_validated(outputs, accuracy.double(), size, rankings, chosen, seed)
    model.blend.fill_(float(checked.helps))
    predicted = checked.predicted if checked.helps else model.predict(outputs, size)[0]
    model.residuals.copy_(accuracy.double() - predicted)
    return model, checked


def _fitted(
    outputs: Outputs, y: Tensor, size: Tensor, chosen: Sequence[Hyperparameters] | None = None
) -> tuple[FewShot, list[Hyperparameters]]:
    """A line in the size prior, and regressions on what it leaves."""
    target, size = torch.log(1 - y + _FLOOR), size.double()
    centred = size - size.mean()
    slope = float((centred * target).sum() / (centred * centred).sum().clamp(min=1e-12))
    # Larger is no worse: otherwise the line would turn zero-shot's order around.
    slope = min(slope, -1e-6)
    line = torch.tensor([slope, float(target.mean()) - slope * float(size.mean())])
    # What the rounded line that is stored leaves, so that saving loses nothing.
    slope, intercept = line.double().tolist()
    left, statistics = target - slope * size - intercept, outputs.statistics.shape[1]
    fits = [
        KernelRegression.fit(view, left, statistics, None if chosen is None else chosen[i])
        for i, view in enumerate(views(outputs))
    ]
    model = FewShot(len(y), [regression for regression, _ in fits])
    model.line.copy_(line)
    return model, [used for _, used in fits]


def _threads(labels: int) -> AbstractContextManager[Any]:
    """One thread for small matrices, over which a BLAS' threads mostly wait for each other.

    On two cores with other work beside, a fit to 50 labels took seven times as long with two
    threads, and one to 200 labels twenty-five times.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas") if labels < _LARGE else nullcontext()


def _cross_validated(
    outputs: Outputs,
    y: Tensor,
    size: Tensor,
    rankings: Sequence[Tensor],
    chosen: Sequence[Hyperparameters],
    seed: int,
) -> CrossValidation:
    """Every label predicted from the others; hyper-parameters are those chosen on all."""
    from sklearn.model_selection import KFold

    predicted = torch.zeros_like(y)
    parts = len(y) if len(y) <= _ONE_BY_ONE else _FOLDS
    for train, test in KFold(parts, shuffle=True, random_state=seed).split(np.arange(len(y))):
        if bool((y[train] == y[train][0]).all()):
            predicted[test] = y[train][0]
            continue
        model, _ = _fitted(outputs.take(train.tolist()), y[train], size[train], chosen)
        predicted[test] = model.predict(outputs.take(test.tolist()), size[test])[0]
    # No correlation exists with a ranking that says nothing; anything is as good.
    tuned = float(np.nan_to_num(srcc(y, predicted), nan=-1))
    plain = [float(np.nan_to_num(srcc(y, r.double()), nan=-1)) for r in (size, *rankings)]
    return CrossValidation(tuned, max(plain), predicted)
