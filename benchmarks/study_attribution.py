"""Whether deleting the operations that attribution puts first moves a score more than others.

    python benchmarks/study_attribution.py [--networks 20] [--delete 5]

Attribution measures operations one at a time; here several are deleted at once, which it has
not seen. Networks are drawn from each family's search space. Of each, the ``--delete``
operations of one sign whose attributions sum to the most (those of both signs would cancel),
the costliest ones (multiply-adds), and ten draws of random ones are deleted, and the score's
change is taken without its sign.

Columns: *top*, *costliest* and *random* are means over networks, in the unit of the score;
*difference* is top less random, with a 95 % bootstrap interval over networks; *won* is the
share of networks where top moves the score more than the mean random draw does.
"""

import argparse
import random
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gennape_plugin.adapters.families import families
from gennape_plugin.core.graph import ComputeGraph

from gennape_plugin import Gennape
from gennape_plugin.report.attribution import (
    FloatArray,
    attribute,
    candidates_of,
    held_score,
    without,
)

IndexArray = np.ndarray[Any, np.dtype[np.int64]]
DRAWS: Final = 10
RESAMPLES: Final = 5000


def changes(est: Gennape, graph: ComputeGraph, count: int, rng: np.random.Generator) -> list[float]:
    """Absolute change of the score by deleting top, costliest and random operations."""
    found = attribute(est.model, graph)
    nodes = np.array(candidates_of(graph))
    macs = np.array([graph.nodes[i].macs for i in nodes])
    groups = [
        nodes[_strongest(found.values[nodes], count)],
        nodes[np.argsort(-macs, kind="stable")[:count]],
        *(rng.choice(nodes, count, replace=False) for _ in range(DRAWS)),
    ]
    _, score = held_score(est.model, graph)
    moved = np.abs(score([without(graph, group.tolist()) for group in groups]) - found.score)
    return [float(moved[0]), float(moved[1]), float(moved[2:].mean())]


def _strongest(values: FloatArray, count: int) -> IndexArray:
    order = np.argsort(values, kind="stable")
    low, high = order[:count], order[-count:]
    return low if -values[low].sum() > values[high].sum() else high


def line(name: str, rows: Sequence[Sequence[float]], rng: np.random.Generator) -> str:
    table: FloatArray = np.asarray(rows)
    top, costliest, chance = table.T
    gain = top - chance
    drawn = gain[rng.integers(len(gain), size=(RESAMPLES, len(gain)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return (
        f"{name:20s}{top.mean():9.3f}{costliest.mean():11.3f}{chance.mean():9.3f}"
        f"{gain.mean():12.3f} [{low:.3f}, {high:.3f}]{np.mean(gain > 0):8.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=20, help="of each family")
    parser.add_argument("--delete", type=int, default=5, help="operations deleted at once")
    args = parser.parse_args()
    est = Gennape.from_pretrained()
    rng = np.random.default_rng(0)
    everything: list[list[float]] = []
    columns = (
        f"{'top':>9s}{'costliest':>11s}{'random':>9s}{'difference':>12s}{'interval, won':>24s}"
    )
    print(" " * 20 + columns)
    for name, space in families().items():
        draw = random.Random(0)
        graphs = (space.graph(space.sample(draw)) for _ in range(args.networks))
        rows = [changes(est, graph, args.delete, rng) for graph in graphs]
        everything += rows
        print(line(name, rows, rng), flush=True)
    print(line("all", everything, rng))


if __name__ == "__main__":
    main()
