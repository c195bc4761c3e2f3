"""BANANAS (White et al., AAAI 2021): perceptrons on the set of paths through the cell.

Only its predictor is built, not the Bayesian optimisation around it.
"""

from itertools import pairwise
from typing import Final

import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.heads import side_by_side
from gennape_plugin.core.regression import Fitted
from gennape_plugin.core.training import Progress, seeded, silent
from jaxtyping import Float
from torch import Tensor, nn

from .cells import OPERATIONS, VERTICES, CellTensors
from .training import CellPredictor, ComparatorConfig, check_examples, train

_INSIDE: Final = len(OPERATIONS) - 2
#: Paths that a cell can have: sequences of up to five operations out of three.
PATHS: Final = sum(_INSIDE**length for length in range(VERTICES - 1))
#: Error in percent that no cell can fall below (published: 4.5; the best test error is 5.7).
LOWER_BOUND: Final = 4.5
#: Published settings but for the epochs: 150 were meant for some hundred cells.
BANANAS_CONFIG: Final = ComparatorConfig(
    epochs=60, batch_size=32, learning_rate=0.01, cosine=False, beta2=0.99
)


def path_encoding(cells: CellTensors, paths: int = PATHS) -> Float[Tensor, "cells paths"]:
    """Which operation sequences lead from input to output: 1 for each that occurs.

    Paths are numbered by length, the empty one first: ``p`` followed by operation ``o`` is
    number ``3 p + 1 + o``. So the first 40 have up to three operations, which is where the
    authors truncate, longer ones being rare in random cells.

    Args:
        cells: Cells.
        paths: How many numbers to keep.
    """
    if not 1 <= paths <= PATHS:
        raise InvalidInputError(f"paths is {paths}: choose from 1 to {PATHS}")
    found = torch.zeros(len(cells), PATHS)
    # Position of each operation among those inside: -1 input, 3 output, 4 padding.
    codes = torch.where(cells.present, cells.operations.argmax(dim=2) - 1, _INSIDE + 1).tolist()
    for number, (edges, ops) in enumerate(zip(cells.adjacency.tolist(), codes, strict=True)):
        reaching: list[set[int]] = [{0}]  # numbers of the paths that end in each vertex
        for v in range(1, VERTICES):
            before = {p for u in range(v) if edges[u][v] for p in reaching[u]}
            if ops[v] == _INSIDE:
                found[number, list(before)] = 1.0
                break
            reaching.append({_INSIDE * p + 1 + ops[v] for p in before})
    return found[:, :paths]


class Bananas(CellPredictor):
    """Perceptrons that differ in their initial weights and order; the prediction is their mean."""

    def __init__(
        self, paths: int = PATHS, *, members: int = 5, layers: int = 10, width: int = 20
    ) -> None:
        """Make the ensemble, initialised as the authors' framework does (Glorot, no bias).

        Args:
            paths: Length of the encoding (published: 364, or the first 40).
            members: Number of perceptrons (published: 5).
            layers: Hidden layers of each (published: 10).
            width: Width of the hidden layers (published: 20).
        """
        super().__init__()
        self.paths = paths
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for before, after in pairwise([paths, *[width] * layers, 1]):
            bound = (6 / (before + after)) ** 0.5
            self.weights.append(torch.empty(members, before, after).uniform_(-bound, bound))
            self.biases.append(torch.zeros(members, 1, after))

    def forward(self, x: Float[Tensor, "members cells paths"]) -> Float[Tensor, "members cells"]:
        """Each member's error in percent, for its own cells."""
        return side_by_side(x, self.weights, self.biases)[:, :, 0]

    def accuracy(self, cells: CellTensors) -> Float[Tensor, "cells"]:  # noqa: D102 (see base)
        x = path_encoding(cells, self.paths)
        errors: Tensor = self(x.expand(len(self.weights[0]), -1, -1))
        return 1 - errors.mean(dim=0) / 100


def relative_error(
    predicted: Float[Tensor, "*shape"], true: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """The authors' loss: the mean of ``|(predicted - LB) / (true - LB) - 1|``, errors in percent.

    It weighs a cell the more the better it is.
    """
    return ((predicted - true) / (true - LOWER_BOUND)).abs().mean()


def fit_bananas(
    cells: CellTensors,
    accuracy: Float[Tensor, "labels"],
    validation: tuple[CellTensors, Tensor],
    *,
    config: ComparatorConfig = BANANAS_CONFIG,
    paths: int = PATHS,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Bananas, Fitted]:
    """Train the ensemble of BANANAS; its members share the epoch that is kept.

    Args:
        cells: Training cells.
        accuracy: Their accuracies, as fractions.
        validation: Cells and accuracies that choose the epoch.
        config: Settings.
        paths: Length of the encoding.
        seed: Fixes initial weights and orders.
        progress: Called after every epoch.

    Raises:
        InvalidInputError: for accuracies that are no fractions, above 95.5 % or do not match.
    """
    check_examples(cells, accuracy, validation)
    error = 100 * (1 - accuracy)
    if bool((error <= LOWER_BOUND).any()):
        raise InvalidInputError(
            f"a training accuracy of {float(accuracy.max()):.4f}: the loss takes errors above "
            f"{LOWER_BOUND} % only, and no NAS-Bench-101 cell has less"
        )
    with seeded(seed):
        model = Bananas(paths)
    x = path_encoding(cells, paths)
    fitted = train(
        model,
        len(cells),
        lambda rows: relative_error(model(x[rows.T]), error[rows.T]),
        validation,
        config,
        seed=seed,
        stage="bananas",
        progress=progress,
        orders=len(model.weights[0]),
    )
    return model, fitted
