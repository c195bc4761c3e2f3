"""Valid children a second on one core, and how many proposals were valid, by family.

    python benchmarks/bench_mutation.py [--seconds 2] [--check]

``--check`` also validates every child anew (not timed).
"""

import argparse
import random
from collections import Counter
from time import process_time

from gennape_plugin.adapters.families import families
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.mutation import MOVES, Mutator

CHAIN = 50


def validated(graph: ComputeGraph, like: ComputeGraph) -> None:
    ComputeGraph(graph.nodes, graph.operands, weight_of=graph.weight_of, scopes=graph.scopes)
    assert graph.nodes[-1].shape == like.nodes[-1].shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each family and way")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--reasons", action="store_true", help="print why proposals failed")
    args = parser.parse_args()
    proposed, accepted, reasons = Counter[str](), Counter[str](), Counter[str]()
    print(f"{'family':18} {'nodes':>6} {'chain/s':>8} {'one parent/s':>13} {'accepted':>9} repair")
    for name, family in families().items():
        rates, sizes = [], []
        for chained in (True, False):
            rng = random.Random(0)
            mutator = Mutator(rng)
            spent, children = 0.0, 0
            while spent < args.seconds:
                start = graph = family.graph(family.sample(rng))
                sizes.append(len(graph))
                for _ in range(CHAIN):
                    begun = process_time()
                    child = mutator.mutate(graph).child
                    spent += process_time() - begun
                    children += 1
                    if args.check:
                        validated(child, start)
                    if chained:
                        graph = child
            rates.append(children / spent)
            proposed += mutator.proposed
            accepted += mutator.accepted
            reasons += mutator.reasons
        share = mutator.seconds["repair"] / sum(mutator.seconds.values())
        print(
            f"{name:18} {sum(sizes) / len(sizes):6.0f} {rates[0]:8.0f} {rates[1]:13.0f} "
            f"{mutator.acceptance:9.0%} {share:5.0%}"
        )
    print("accepted by move: " + ", ".join(f"{m} {accepted[m] / proposed[m]:.0%}" for m in MOVES))
    if args.reasons:
        for reason, count in reasons.most_common(40):
            print(f"{count:7} {reason:.150}")


if __name__ == "__main__":
    main()
