"""The training loop of the comparators: their own losses, our choice of the epoch."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.regression import Fitted, train_best
from gennape_plugin.core.training import Progress
from gennape_plugin.core.transform import Standardize
from jaxtyping import Float, Int
from torch import Tensor, nn

from .cells import CellTensors


@dataclass(frozen=True)
class ComparatorConfig:
    """Settings of one training with Adam.

    Attributes:
        epochs: Passes over the training set.
        batch_size: Cells a batch.
        learning_rate: At the start.
        weight_decay: Adam's own (an L2 term in the gradient).
        cosine: Whether the learning rate falls to 0 along a cosine, step by step.
        beta2: Decay of Adam's second moment.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    cosine: bool = True
    beta2: float = 0.999

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InvalidInputError(
                f"epochs {self.epochs}, batch_size {self.batch_size}, learning_rate "
                f"{self.learning_rate}: the first two start at 1, the last is above 0"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class CellPredictor(nn.Module, ABC):
    """A network that predicts the accuracy of cells."""

    @abstractmethod
    def accuracy(self, cells: CellTensors) -> Float[Tensor, "cells"]:
        """Predicted accuracies (fractions), with gradients and in the current mode."""

    @torch.no_grad()
    def predict(self, cells: CellTensors, *, batch_size: int = 1024) -> Float[Tensor, "cells"]:
        """Predicted accuracies (fractions, not clipped)."""
        self.eval()
        pieces = torch.arange(len(cells)).split(batch_size)
        return torch.cat([self.accuracy(cells.take(rows)) for rows in pieces])


class StandardizedPredictor(CellPredictor):
    """A network whose output is the standardised accuracy.

    Attributes:
        scale: Mean and deviation of the training accuracies.
    """

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([0.0, 1.0]))

    def standardize(self, accuracy: Float[Tensor, "cells"]) -> Float[Tensor, "cells"]:
        """Take mean and deviation from training accuracies; returns their targets."""
        flops = torch.zeros_like(accuracy)  # Standardize takes them and leaves them out
        transform = Standardize.fit(accuracy, flops)
        self.scale.copy_(torch.tensor([transform.mean, transform.std]))
        return transform.forward(accuracy, flops)

    def accuracy(self, cells: CellTensors) -> Float[Tensor, "cells"]:  # noqa: D102 (see base)
        y: Tensor = self(cells)
        return y * self.scale[1] + self.scale[0]


def check_examples(
    cells: CellTensors, accuracy: Float[Tensor, "labels"], validation: tuple[CellTensors, Tensor]
) -> None:
    """Refuse labels that are not one finite fraction for each cell."""
    for name, some, labels in (("training", cells, accuracy), ("validation", *validation)):
        if len(some) != len(labels):
            raise InvalidInputError(
                f"{len(some)} {name} cells but {len(labels)} accuracies: give one for each cell"
            )
        if not bool(((labels >= 0) & (labels <= 1)).all()):  # NaN fails both
            raise InvalidInputError(
                f"{name} accuracies outside [0, 1]: give fractions, and leave out cells without one"
            )


def train(
    model: CellPredictor,
    count: int,
    loss_of: Callable[[Int[Tensor, "batch *orders"]], Tensor],
    validation: tuple[CellTensors, Float[Tensor, "validation"]],
    config: ComparatorConfig,
    *,
    seed: int,
    stage: str,
    progress: Progress,
    orders: int | None = None,
) -> Fitted:
    """Minimise a loss; leave the model at the epoch that ranks the validation set best.

    Args:
        model: The network, already initialised.
        count: Number of training cells.
        loss_of: The mean loss of a batch, given as row numbers; with ``orders``, a column each.
        validation: Cells and accuracies that choose the epoch.
        config: Settings.
        seed: Fixes order and dropout.
        stage: Name shown by ``progress``.
        progress: Called after every epoch.
        orders: How many random orders of the training set run side by side.
    """
    optimizer = torch.optim.Adam(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    return train_best(
        model,
        loss_of,
        count,
        lambda: model.predict(validation[0]),
        validation[1],
        config,
        optimizer,
        loss_name="loss",
        seed=seed,
        stage=stage,
        progress=progress,
        orders=orders,
    )
