"""NSGA-II over NAS-Bench-201 cells: score against FLOPs, no network is trained.

python examples/pymoo_search.py --generations 10
"""

import argparse

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from gennape_plugin.families import family
from gennape_plugin.hosts.pymoo import GennapeProblem

CELLS = family("nasbench201")
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def cell(edges: tuple[int, ...]) -> object:
    """The graph of a cell whose six edges hold these operations."""
    return CELLS.graph(CELLS.parse([OPS[edge] for edge in edges]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--population", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    algorithm = NSGA2(
        pop_size=args.population,
        sampling=IntegerRandomSampling(),
        crossover=SBX(repair=RoundingRepair()),
        mutation=PM(repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    problem = GennapeProblem(cell, upper=[len(OPS) - 1] * 6)
    found = minimize(problem, algorithm, ("n_gen", args.generations), seed=args.seed)

    print(f"{len(found.F)} cells that no other beats in both score and FLOPs")
    for row, (score, flops) in sorted(zip(found.X, found.F, strict=True), key=lambda p: p[1][1]):
        names = "|".join(OPS[edge] for edge in np.rint(row).astype(int))
        print(f"score {-score:+.3f}  {flops / 1e6:7.1f} MFLOPs  {names}")


if __name__ == "__main__":
    main()
