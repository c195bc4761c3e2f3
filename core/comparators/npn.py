"""NPN, the neural predictor of Wen et al. (ECCV 2020): a graph network on the cell.

Left out is the paper's first stage, a classifier that discards cells below 91 % validation
accuracy before the regressor sees them.
"""

from typing import Final

import torch
from gennape_plugin.core.regression import Fitted
from gennape_plugin.core.training import Progress, seeded, silent
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .cells import OPERATIONS, CellTensors
from .training import ComparatorConfig, StandardizedPredictor, check_examples, train

#: Published settings but for the epochs: 300 were meant for 172 cells, 5,000 steps in all.
NPN_CONFIG: Final = ComparatorConfig(
    epochs=60, batch_size=10, learning_rate=2e-4, weight_decay=1e-3, cosine=True
)


class Npn(StandardizedPredictor):
    """Layers that pass messages along the edges and against them, then mean and perceptron."""

    def __init__(
        self, width: int = 144, layers: int = 3, *, hidden: int = 128, dropout: float = 0.1
    ) -> None:
        """Make the network.

        Args:
            width: Size of a vertex's vector (published: 144).
            layers: Message-passing layers (published: 3).
            hidden: Width of the layer before the output (published: 128).
            dropout: Share of values dropped after each layer (published: 0.1).
        """
        super().__init__()
        sizes = [len(OPERATIONS), *[width] * layers]
        # No biases: a padding vertex starts at 0 and stays there.
        self.forward_weights = nn.ParameterList(_glorot(a, width) for a in sizes[:-1])
        self.backward_weights = nn.ParameterList(_glorot(a, width) for a in sizes[:-1])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, cells: CellTensors) -> Float[Tensor, "cells"]:
        """Standardised accuracies."""
        along = _averaging(cells.adjacency)
        against = _averaging(cells.adjacency.transpose(1, 2))
        x = cells.operations
        for w_along, w_against in zip(self.forward_weights, self.backward_weights, strict=True):
            messages = torch.relu(along @ (x @ w_along)) + torch.relu(against @ (x @ w_against))
            x = self.dropout(messages / 2)
        mean = x.sum(dim=1) / cells.present.sum(dim=1, keepdim=True)
        out: Tensor = self.head(mean)
        return out[:, 0]


def fit_npn(
    cells: CellTensors,
    accuracy: Float[Tensor, "labels"],
    validation: tuple[CellTensors, Tensor],
    *,
    config: ComparatorConfig = NPN_CONFIG,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Npn, Fitted]:
    """Train NPN on the squared error of standardised accuracies.

    Args:
        cells: Training cells.
        accuracy: Their accuracies, as fractions.
        validation: Cells and accuracies that choose the epoch.
        config: Settings.
        seed: Fixes initial weights, order and dropout.
        progress: Called after every epoch.

    Raises:
        InvalidInputError: for accuracies that are no fractions, do not vary or do not match.
    """
    check_examples(cells, accuracy, validation)
    with seeded(seed):
        model = Npn()
    target = model.standardize(accuracy)
    fitted = train(
        model,
        len(cells),
        lambda rows: F.mse_loss(model(cells.take(rows)), target[rows]),
        validation,
        config,
        seed=seed,
        stage="npn",
        progress=progress,
    )
    return model, fitted


def _glorot(before: int, after: int) -> Tensor:
    return nn.init.xavier_uniform_(torch.empty(before, after))


def _averaging(adjacency: Float[Tensor, "cells 7 7"]) -> Float[Tensor, "cells 7 7"]:
    """Each row averages over a vertex and those that its edges lead to."""
    loops = adjacency + torch.eye(adjacency.shape[1])
    return loops / loops.sum(dim=2, keepdim=True)
