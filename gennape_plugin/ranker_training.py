"""Training of the default ranker: boosted trees on cells in networks of many sizes.

NAS-Bench-101 puts every cell into one skeleton, so its labels say nothing of what depth
and width are worth. Trees therefore also see each cell in other skeletons, where the
label is the cell's own plus a bonus for depth and width. *That bonus is a prior, not
data*: it says "bigger is better", and docs/results.md shows what is left without it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gennape_plugin.adapters.families import NASBench101
from gennape_plugin.adapters.families.nasbench101 import Cell101, Skeleton101
from gennape_plugin.core.ranker import RISING, Ranker, normal_scores, quantiles
from gennape_plugin.core.statistics import STATISTICS, statistics
from gennape_plugin.core.trees import BoostedTrees

_CHANNELS: Final = (16, 24, 32, 48, 64, 96, 128)
_CELLS: Final = (1, 2, 3, 4, 5)
_STACKS: Final = (2, 3, 3, 4)


@dataclass(frozen=True)
class RankerConfig:
    """Settings of the ranker's training, chosen on the development families.

    Attributes:
        skeletons: Cells that are rebuilt in another skeleton.
        depth_bonus: Added for twice the cells, in deviations of the cells' normal scores.
        width_bonus: The same for twice the channels.
        trees: Number of boosted trees.
        leaves: Most leaves of a tree.
    """

    skeletons: int = 12_000
    depth_bonus: float = 1.0
    width_bonus: float = 0.7
    trees: int = 200
    leaves: int = 15


@dataclass(frozen=True)
class RankerData:
    """Statistics and targets that the trees learn from, by domain.

    Attributes:
        cells: Statistics of the cells in their own skeleton.
        order: Normal scores of their accuracies.
        rebuilt: Statistics of cells in other skeletons.
        source: For each of these, the row of its cell.
        deeper: log2 of its number of cells relative to the benchmark's.
        wider: log2 of its channels, the same.
    """

    cells: Float[Tensor, "cells statistics"]
    order: Float[Tensor, "cells"]
    rebuilt: Float[Tensor, "rebuilt statistics"]
    source: Tensor
    deeper: Float[Tensor, "rebuilt"]
    wider: Float[Tensor, "rebuilt"]

    @classmethod
    def of(
        cls,
        cells: Sequence[Cell101],
        accuracy: Float[Tensor, "cells"],
        *,
        skeletons: int,
        seed: int,
    ) -> "RankerData":
        """Build the networks; about a millisecond each."""
        family, rng, usual = NASBench101(), random.Random(seed), Skeleton101()
        rebuilt, source, deeper, wider = [], [], [], []
        for _ in range(skeletons):
            row = rng.randrange(len(cells))
            shape = Skeleton101(rng.choice(_CHANNELS), rng.choice(_CELLS), rng.choice(_STACKS))
            rebuilt.append(statistics(family.graph(cells[row], skeleton=shape)))
            source.append(row)
            deeper.append(log2(shape.cells * shape.stacks / (usual.cells * usual.stacks)))
            wider.append(log2(shape.channels / usual.channels))
        own = [statistics(family.graph(cell)) for cell in cells]
        return cls(
            _table(own), normal_scores(accuracy), _table(rebuilt),
            torch.tensor(source, dtype=torch.long), torch.tensor(deeper), torch.tensor(wider),
        )  # fmt: skip


def _table(rows: Sequence[Any]) -> Tensor:
    return torch.from_numpy(np.array(rows).reshape(-1, len(STATISTICS)))


def fit_ranker(data: RankerData, config: RankerConfig, *, seed: int) -> Ranker:
    """Grow the trees and measure the size prior's units.

    Args:
        data: Statistics and targets.
        config: Settings; ``skeletons`` has been spent on ``data``.
        seed: Fixes the trees.
    """
    x, y = [quantiles(data.cells)], [data.order]
    if len(data.rebuilt):
        bonus = config.depth_bonus * data.deeper + config.width_bonus * data.wider
        target = data.order[data.source] + bonus
        x.append(quantiles(data.rebuilt))
        y.append((target - target.mean()) / target.std())
    ranker = Ranker(
        BoostedTrees.fit(
            torch.cat(x),
            torch.cat(y),
            rising=[int(name in RISING) for name in STATISTICS],
            trees=config.trees,
            leaves=config.leaves,
            seed=seed,
        )
    )
    ranker.measure(torch.cat([data.cells, data.rebuilt]))
    ranker.set_reference(data.cells)
    return ranker
