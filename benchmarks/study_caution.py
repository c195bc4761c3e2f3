"""What a search believes with and without each half of its caution.

    python benchmarks/study_caution.py --data FOLDER [--seeds 3]

From the best labelled NAS-Bench-101 cell, with FLOPs held to 81 %: the best predicted accuracy
that a search reaches (not cut at 100 %), by the network over segments, whose output is the
score, by the members that read FLOPs-transformed targets, and by those that do not.
"""

import argparse
import random
from pathlib import Path

import numpy as np
from bench_search import labelled
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.mutation import Mutator
from gennape_plugin.core.search import Goal, Search

from gennape_plugin import Gennape
from gennape_plugin.families import family
from gennape_plugin.search.nsga2 import NSGA2
from gennape_plugin.search.scoring import Scorer

OPS = ("max_pool", "concat", "add", "relu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--population", type=int, default=32)
    args = parser.parse_args()
    rows, _ = labelled("nasbench101", args.data)
    start = family("nasbench101").graph(max(rows, key=lambda row: row[1])[0])
    estimator = Gennape.from_pretrained()
    for region in (True, False):
        for pessimistic in (True, False):
            found_by_seed = []
            for seed in range(args.seeds):
                rng = random.Random(seed)
                scorer = Scorer.of(estimator, start, cautious=pessimistic)
                goal = Goal(max_flops=0.81 * start.flops, trust_region=region)
                mutator = Mutator(rng, ops=OPS, max_nodes=2 * len(start))
                search = Search(
                    mutator,
                    scorer,
                    NSGA2(),
                    goal,
                    rng=rng,
                    population=args.population,
                    children=2 * args.population,
                )
                found = search.run(start, args.iterations)
                best = found.front[0]
                members = estimator.model.outputs(GraphStore.of([best.graph]))
                transformed = [float(members[m]) for m in ("cl+t", "cl+fcm+t")]
                direct = [float(members[m]) for m in ("cl", "cl+fcm", "kgnn")]
                own = 100 * float(members["segments"])
                found_by_seed.append(
                    [own, 100 * np.mean(transformed), 100 * np.mean(direct), best.scores.distance]
                )
            mean, deviation = np.mean(found_by_seed, axis=0), np.std(found_by_seed, axis=0)
            names = ("segments", "transformed", "direct", "distance")
            said = ", ".join(
                f"{n} {m:.2f} ± {d:.2f}" for n, m, d in zip(names, mean, deviation, strict=True)
            )
            print(f"region {region!s:5} pessimistic {pessimistic!s:5}: {said}", flush=True)


if __name__ == "__main__":
    main()
