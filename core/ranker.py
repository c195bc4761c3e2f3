"""The default zero-shot rankings: by statistics of the graphs, alone or in a population.

*Single-architecture*: the size prior, a mean of eight size and depth statistics, each in
units of its deviation over the training graphs.

*Population*: the same eight as normal scores within the population, and boosted trees
that read each statistic's quantile within it. Trees learn on NAS-Bench-101 cells in
networks of many depths and widths what the statistics of good networks have in common;
quantiles are what makes that carry over to families of another scale. Both see the
unlabelled population, so a network's score depends on the networks beside it.
"""

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats as scipy_stats
from torch import Tensor

from .errors import InvalidInputError
from .on_cpu import OnCpu
from .statistics import STATISTICS
from .trees import BoostedTrees

#: Size and depth statistics of the prior (untrained; picked by hand).
SIZE: Final = (
    "log_macs",
    "log_params",
    "log_activations",
    "log_weighted",
    "log_spatial",
    "sum_log_macs",
    "depth",
    "spatial_depth",
)
#: Statistics that may only help: a larger or deeper network of a family is no worse.
RISING: Final = (*SIZE, "nonlinear_depth", "longest", "longest_spatial")

_SIZE_COLUMNS: Final = [STATISTICS.index(name) for name in SIZE]


class Ranker(OnCpu):
    """Ranks graphs by their statistics, on the CPU."""

    deviation: Tensor
    size_reference: Tensor

    def __init__(self, trees: BoostedTrees | None = None) -> None:
        super().__init__()
        self.trees = BoostedTrees(0, 1) if trees is None else trees
        self.register_buffer("deviation", torch.ones(len(STATISTICS)))
        self.register_buffer("size_reference", torch.tensor([0.0, 1.0]))

    def measure(self, statistics: Float[Tensor, "graphs statistics"]) -> None:
        """Take the units of the size prior from training graphs."""
        self.deviation.copy_(statistics.double().std(dim=0).clamp(min=1e-6))

    def set_reference(self, statistics: Float[Tensor, "graphs statistics"]) -> None:
        """Take mean and deviation of the size prior over the original training cells."""
        self.size_reference.copy_(torch.tensor([0.0, 1.0]))
        sizes = self.size(statistics)
        self.size_reference.copy_(torch.stack([sizes.mean(), sizes.std().clamp(min=1e-6)]))

    def size(self, statistics: Float[Tensor, "graphs statistics"]) -> Float[Tensor, "graphs"]:
        """The size prior, in deviations above the training cells' mean; float64."""
        statistics = statistics.double()[:, _SIZE_COLUMNS] / self.deviation.double()[_SIZE_COLUMNS]
        reference = self.size_reference.double()
        return (statistics.mean(dim=1) - reference[0]) / reference[1]

    def forward(self, statistics: Float[Tensor, "graphs statistics"]) -> Float[Tensor, "graphs"]:
        """Population scores, float64: mean of two normal scores, 0 the middle.

        Raises:
            InvalidInputError: for an empty population.
        """
        if not len(statistics):
            raise InvalidInputError("an empty population: give the networks to rank")
        levels = quantiles(statistics)
        normal: Tensor = torch.special.ndtri(levels[:, _SIZE_COLUMNS])
        size = normal_scores(normal.sum(dim=1))
        if not self.trees.describe()["trees"]:
            return size
        learned: Tensor = self.trees(levels)
        return (size + normal_scores(learned)) / 2

    def describe(self) -> dict[str, Any]:
        """Sizes of the trees."""
        return self.trees.describe()


def quantiles(values: Float[Tensor, "graphs columns"]) -> Float[Tensor, "graphs columns"]:
    """``(rank - 1/2) / n`` of each column, float64; ties share their mean, constants get 1/2.

    Values are compared to seven digits, so that rounding does not order equal graphs.
    """
    rounded = values.detach().cpu().double().numpy()
    _, exponent = np.frexp(np.abs(rounded).max(axis=0, initial=1e-30))
    unit = np.ldexp(1.0, exponent - 22)
    ranks = scipy_stats.rankdata(np.round(rounded / unit), axis=0)
    return torch.from_numpy((ranks - 0.5) / len(ranks))


def normal_scores(values: Float[Tensor, "graphs"]) -> Float[Tensor, "graphs"]:
    """Standard normal quantiles of the ranks of values, float64."""
    found: Tensor = torch.special.ndtri(quantiles(values[:, None])[:, 0])
    return found
