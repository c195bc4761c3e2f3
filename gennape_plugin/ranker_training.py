"""Training of the default ranker: boosted trees on quantiles of NAS-Bench-101's statistics."""

from dataclasses import dataclass

from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.ranker import RISING, Ranker, normal_scores, quantiles
from gennape_plugin.core.statistics import STATISTICS
from gennape_plugin.core.trees import BoostedTrees


@dataclass(frozen=True)
class RankerConfig:
    """Settings of the ranker's training, chosen on the development families.

    Attributes:
        trees: Number of boosted trees.
        leaves: Most leaves of a tree.
    """

    trees: int = 200
    leaves: int = 15


def fit_ranker(store: GraphStore, accuracy: Tensor, config: RankerConfig, *, seed: int) -> Ranker:
    """Grow the trees and measure the size prior's units.

    Args:
        store: The training cells' graphs.
        accuracy: Their accuracies; only their order counts.
        config: Settings.
        seed: Fixes the trees.
    """
    statistics = store.statistics
    ranker = Ranker(grown(quantiles(statistics), normal_scores(accuracy), config, seed=seed))
    ranker.measure(statistics)
    ranker.set_reference(statistics)
    return ranker


def grown(levels: Tensor, target: Tensor, config: RankerConfig, *, seed: int) -> BoostedTrees:
    """Trees that read quantiles of the statistics and never fall with size or depth."""
    return BoostedTrees.fit(
        levels,
        target,
        rising=[int(name in RISING) for name in STATISTICS],
        trees=config.trees,
        leaves=config.leaves,
        seed=seed,
    )
