"""What each ingredient of the default ranker gives, and what choosing by family costs.

    python benchmarks/study_ranker.py --data FOLDER

Trains on NAS-Bench-101 with three seeds, measures the SRCC of population scores on the
development families only, and then chooses among the configurations by leaving one family
out: the choice is made on three families and reported on the fourth.
"""

import argparse
import random
from dataclasses import dataclass, field
from math import log2
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import torch
from gennape_plugin.adapters.families import NASBench101, family
from gennape_plugin.adapters.families.nasbench101 import Skeleton101
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.ranker import Ranker, normal_scores, quantiles
from gennape_plugin.core.statistics import statistics
from torch import Tensor

from gennape_plugin.label_sets import LABEL_SETS
from gennape_plugin.labels import read_labels
from gennape_plugin.pools import Pool, read_pool
from gennape_plugin.protocol import PRUNE_BELOW, split_nasbench101
from gennape_plugin.ranker_training import RankerConfig, grown

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Variant:
    """A configuration.

    Other skeletons are cells rebuilt with other widths and depths, whose label is the cell's
    own plus ``bonus`` x (1.0 a doubling of depth, 0.7 of width): "bigger is better", a prior.
    """

    skeletons: int = 0
    bonus: float = 0.0
    trees: RankerConfig = field(default_factory=RankerConfig)


VARIANTS = {
    "default": Variant(),
    "larger trees": Variant(trees=RankerConfig(trees=100, leaves=31)),
    "smaller trees": Variant(trees=RankerConfig(leaves=7)),
    "12,000 other skeletons": Variant(12_000),
    "the same, bonus 0.5": Variant(12_000, 0.5),
    "the same, bonus 1": Variant(12_000, 1.0),
    "the same, bonus 2": Variant(12_000, 2.0),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    data = options.parse_args().data
    rows = list(read_labels(data / LABEL_SETS["nasbench101"].file, family("nasbench101")))
    split = split_nasbench101(rows)
    above = [i for i in split.train if split.accuracy[i] >= PRUNE_BELOW]
    space, cells = NASBench101(), [rows[i].arch for i in above]
    order = normal_scores(torch.from_numpy(split.accuracy[above]))
    own = torch.from_numpy(np.array([statistics(space.graph(cell)) for cell in cells]))
    pools = {
        name: read_pool(data / known.file, family_name=name)
        for name, known in LABEL_SETS.items()
        if known.development
    }
    header = "".join(f"{name:>18s}" for name in pools)
    print(f"{'SRCC, mean ± sd over three seeds':44s}{header}  mean")
    for name in ("FLOPs", "params", "conv count", "PRIOR8"):
        show(name, {k: [srcc(p.truth, p.baselines[name])] for k, p in pools.items()})
    table: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS:
        rebuilt, source, growth = other_skeletons(space, cells, 12_000, seed)
        for label, variant in VARIANTS.items():
            x, y = quantiles(own), order
            if variant.skeletons:
                target = order[source] + variant.bonus * growth
                x = torch.cat([x, quantiles(rebuilt)])
                y = torch.cat([y, (target - target.mean()) / target.std()])
            ranker = Ranker(grown(x, y, variant.trees, seed=seed))
            for k, pool in pools.items():
                for part, values in parts(ranker, pool).items():
                    key = label if part == "trees and PRIOR8" else f"{label}: {part}"
                    table.setdefault(key, {}).setdefault(k, []).append(srcc(pool.truth, values))
    for label, figures in table.items():
        show(label, figures)
    print("\nleave one family out: chosen on the other three, SRCC on the one left out")
    means = {key: {k: fmean(v) for k, v in figures.items()} for key, figures in table.items()}
    for name in ("PRIOR8", "FLOPs"):
        means[name] = {k: srcc(p.truth, p.baselines[name]) for k, p in pools.items()}
    found = []
    for left in pools:
        best = max(means, key=lambda key: fmean(v for k, v in means[key].items() if k != left))
        found.append(means[best][left])
        print(f"  {left:18s} {means[best][left]:.3f}  ({best}; FLOPs {means['FLOPs'][left]:.3f})")
    print(f"  {'mean':18s} {fmean(found):.3f}  (FLOPs {fmean(means['FLOPs'].values()):.3f})")


def other_skeletons(
    space: NASBench101, cells: list, count: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Statistics of cells in other networks, their cells' rows, and how much larger they are."""
    rng, usual = random.Random(seed), Skeleton101()
    table, source, growth = [], [], []
    for _ in range(count):
        row = rng.randrange(len(cells))
        shape = Skeleton101(
            rng.choice((16, 24, 32, 48, 64, 96, 128)), rng.randint(1, 5), rng.choice((2, 3, 3, 4))
        )
        table.append(statistics(space.graph(cells[row], skeleton=shape)))
        source.append(row)
        deeper = log2(shape.cells * shape.stacks / (usual.cells * usual.stacks))
        growth.append(deeper + 0.7 * log2(shape.channels / usual.channels))
    return torch.from_numpy(np.array(table)), torch.tensor(source), torch.tensor(growth).double()


def parts(ranker: Ranker, pool: Pool) -> dict[str, Tensor]:
    """The whole score, and its parts with FLOPs as another member."""
    statistics = pool.store.statistics
    whole = ranker(statistics)
    trees = normal_scores(ranker.trees(quantiles(statistics)))
    flops = normal_scores(torch.from_numpy(pool.baselines["FLOPs"]))
    return {
        "trees and PRIOR8": whole,
        "trees alone": trees,
        "trees and FLOPs": trees + flops,
        "trees, PRIOR8 and FLOPs": 2 * whole + flops,
    }


def show(label: str, figures: dict[str, list[float]]) -> None:
    cells = [f"{fmean(v):.3f} ± {pstdev(v):.3f}" for v in figures.values()]
    mean = fmean(fmean(v) for v in figures.values())
    print(f"{label:44s}" + "".join(f"{cell:>18s}" for cell in cells) + f"  {mean:.3f}", flush=True)


if __name__ == "__main__":
    main()
