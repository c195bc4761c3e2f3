"""What each ingredient of the default ranker gives, and what choosing by family costs.

    python benchmarks/study_ranker.py --data FOLDER

Trains on NAS-Bench-101 with three seeds, measures the SRCC of population scores on the
development families only, and then chooses among the configurations by leaving one family
out: the choice is made on three families and reported on the fourth.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev

import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.ranker import normal_scores, quantiles

from gennape_plugin.label_sets import LABEL_SETS
from gennape_plugin.labels import read_labels
from gennape_plugin.pools import Pool, read_pool
from gennape_plugin.protocol import PRUNE_BELOW, split_nasbench101
from gennape_plugin.ranker_training import RankerConfig, RankerData, fit_ranker

SEEDS = (0, 1, 2)
DEFAULT = RankerConfig()
CONFIGS = {
    "default": DEFAULT,
    "no bonus for depth and width": replace(DEFAULT, depth_bonus=0.0, width_bonus=0.0),
    "half the bonus": replace(DEFAULT, depth_bonus=0.5, width_bonus=0.35),
    "twice the bonus": replace(DEFAULT, depth_bonus=2.0, width_bonus=1.4),
    "no other skeletons": replace(DEFAULT, skeletons=0),
    "larger trees": replace(DEFAULT, leaves=31, trees=100),
    "smaller trees": replace(DEFAULT, leaves=7),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    data = options.parse_args().data
    rows = list(read_labels(data / LABEL_SETS["nasbench101"].file, family("nasbench101")))
    split = split_nasbench101(rows)
    above = [i for i in split.train if split.accuracy[i] >= PRUNE_BELOW]
    cells, accuracy = [rows[i].arch for i in above], torch.from_numpy(split.accuracy[above])
    pools = {
        name: read_pool(data / known.file, family_name=name)
        for name, known in LABEL_SETS.items()
        if known.development
    }
    print(
        f"{'SRCC, mean ± sd over three seeds':44s}" + "".join(f"{n:>18s}" for n in pools) + "  mean"
    )
    for name in ("FLOPs", "params", "conv count", "PRIOR8"):
        show(name, {k: [srcc(p.truth, p.baselines[name])] for k, p in pools.items()})
    table: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS:
        data_of = {
            count: RankerData.of(cells, accuracy, skeletons=count, seed=seed)
            for count in {config.skeletons for config in CONFIGS.values()}
        }
        for label, config in CONFIGS.items():
            ranker = fit_ranker(data_of[config.skeletons], config, seed=seed)
            for k, pool in pools.items():
                for part, values in parts(ranker, pool).items():
                    key = label if part == "trees and PRIOR8" else f"{label}: {part}"
                    table.setdefault(key, {}).setdefault(k, []).append(srcc(pool.truth, values))
    for label, figures in table.items():
        show(label, figures)
    print("\nleave one family out: chosen on the other three, SRCC on the one left out")
    means = {key: {k: fmean(v) for k, v in figures.items()} for key, figures in table.items()}
    means["PRIOR8"] = {k: srcc(p.truth, p.baselines["PRIOR8"]) for k, p in pools.items()}
    means["FLOPs"] = {k: srcc(p.truth, p.baselines["FLOPs"]) for k, p in pools.items()}
    flops = means["FLOPs"]
    for title, worth in (
        ("highest mean", lambda key, names: fmean(means[key][k] for k in names)),
        (
            "largest least gain over FLOPs",
            lambda key, names: min(means[key][k] - flops[k] for k in names),
        ),
    ):
        print(f" by the {title} on three:")
        found = []
        for left in pools:
            others = [k for k in pools if k != left]
            best = max(means, key=lambda key: worth(key, others))
            found.append(means[best][left])
            print(f"  {left:18s} {means[best][left]:.3f}  ({best}; FLOPs {flops[left]:.3f})")
        print(f"  {'mean':18s} {fmean(found):.3f}  (FLOPs {fmean(flops.values()):.3f})")
        print(f"  on all four it picks: {max(means, key=lambda key: worth(key, list(pools)))}")


def parts(ranker: torch.nn.Module, pool: Pool) -> dict[str, torch.Tensor]:
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
