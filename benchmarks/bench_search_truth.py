"""Searches whose every network has a known accuracy: what is reached, and what was believed.

    python benchmarks/bench_search_truth.py --data FOLDER [--seeds 20] [--out FILE]

Mutations stay inside a benchmark: one choice of the encoding is drawn anew. Each search
starts from the cell of median accuracy and scores the same number of networks. Its answer is
the network that it thinks most of; that one's true accuracy and rank are printed, beside

- ``random``: the last network of a random walk of as many steps,
- ``oracle``: the same search with the true accuracies in the predictor's place,

and the gap between predicted and true accuracy of the answer, for tuned weights, with the
search's caution and without (region of trust and pessimistic quality).
"""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from bench_search import LABELS, labelled
from gennape_plugin.adapters.families.base import Family
from gennape_plugin.core.files import append_json_line
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.search import Goal, Scores, Search

from gennape_plugin import Gennape
from gennape_plugin.families import family
from gennape_plugin.readings import Readings
from gennape_plugin.search.family_moves import FamilyMutator
from gennape_plugin.search.nsga2 import NSGA2
from gennape_plugin.search.scoring import Scorer

FAMILIES = ("nasbench201", "nasbench_macro", "transnas101_micro")
POPULATION, CHILDREN = 16, 16


@dataclass
class Space:
    """A family whose accuracies are all known."""

    family: Family[Any]
    truth: dict[str, float]

    def __post_init__(self) -> None:
        self.order = np.sort(np.array(list(self.truth.values())))[::-1]
        ranked = sorted(self.truth, key=self.truth.__getitem__)
        self.median = ranked[len(ranked) // 2]

    def accuracy(self, graph: ComputeGraph) -> float:
        """True accuracy, in percent."""
        return self.truth[graph.name.partition("/")[2]]

    def rank(self, accuracy: float) -> int:
        """1 for the best."""
        return int((self.order > accuracy + 1e-9).sum()) + 1

    def graph(self, encoding: str) -> ComputeGraph:
        """Of an encoding's text."""
        return self.family.graph(self.family.parse(encoding))


Evaluate = Callable[[Sequence[ComputeGraph]], list[Scores]]


class Remembering(Gennape):
    """Networks that several searches meet go through the frozen encoder once.

    Fine-tuning leaves the encoder and its members as they are, so all draws share it.
    """

    known: ClassVar[dict[str, Readings]] = {}

    def read(self, named: Sequence[tuple[str, ComputeGraph]]) -> Readings:
        """As usual, but each name once."""
        missing = [(name, g) for name, g in dict(named).items() if name not in self.known]
        if missing:
            made = super().read(missing)
            for row, network in enumerate(made.networks):
                self.known[network.name] = Readings([network], made.outputs.take([row]))
        return Readings.joined([self.known[name] for name, _ in named])


def answer(
    space: Space, evaluate: Evaluate, seed: int, generations: int, *, cautious: bool
) -> tuple[ComputeGraph, Scores]:
    """The network that a search thinks most of."""
    rng = random.Random(seed)
    mutator = FamilyMutator(space.family, rng)
    goal = Goal(("quality",), trust_region=cautious)
    found = Search(
        mutator, evaluate, NSGA2(), goal, rng=rng, population=POPULATION, children=CHILDREN
    ).run(space.graph(space.median), generations)
    valid = [c for c in found.population if goal.violation(c.scores) <= 0]
    best = max(valid, key=lambda c: c.scores.quality)
    return best.graph, best.scores


def walked(space: Space, seed: int, steps: int) -> ComputeGraph:
    mutator = FamilyMutator(space.family, random.Random(seed))
    graph = space.graph(space.median)
    for _ in range(steps):
        step = mutator.propose(graph)
        graph = graph if step is None else step.child
    return graph


def oracle(space: Space) -> Evaluate:
    blank = Scores(0.0, 0.0, 0.0, None, 0.0, 0.0, 1, 1, 1)
    return lambda graphs: [replace(blank, quality=space.accuracy(g)) for g in graphs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--draws", type=int, default=5, help="draws of labels the seeds share")
    parser.add_argument("--generations", type=int, default=12)
    parser.add_argument("--only", nargs="+", default=list(FAMILIES))
    parser.add_argument("--out", type=Path, help="one JSON line a search")
    args = parser.parse_args()
    shipped = Gennape.from_pretrained()
    shipped.model.add_untrained()  # outputs are shared with the tuned ones, which read these
    for name in args.only:
        rows, pool = labelled(name, args.data)
        # A family of its own, which makes each graph (and its hash) once.
        made = type(family(name))()
        made.graph = lru_cache(maxsize=None)(made.graph)  # type: ignore[method-assign]
        space = Space(made, {str(arch): label for arch, label in rows})
        start = space.graph(space.median)
        middle, best = space.truth[space.median], space.order[0]
        budget = args.generations * CHILDREN
        print(
            f"{name}: {len(rows)} networks, median {middle:.2f}, best {best:.2f}, {budget} scored"
        )
        ways: dict[str, list[tuple[float, float]]] = {}

        def note(way: str, seed: int, graph: ComputeGraph, believed: float) -> None:
            true = space.accuracy(graph)  # noqa: B023
            ways.setdefault(way, []).append((true, believed))  # noqa: B023
            if args.out:
                record = {"family": name, "way": way, "seed": seed, "true": true}  # noqa: B023
                record |= {"believed": believed, "rank": space.rank(true)}  # noqa: B023
                append_json_line(args.out, record)

        none = float("nan")
        scorers: dict[tuple[int | None, bool], Evaluate] = {}
        for seed in range(args.seeds):
            for cautious in (True, False):
                for draw in (None, seed % args.draws):
                    if (draw, cautious) not in scorers:
                        estimator = shipped
                        if draw is not None:
                            chosen = random.Random(draw).sample(pool, LABELS)
                            graphs = [space.family.graph(arch) for arch, _ in chosen]
                            estimator = shipped.fine_tune(
                                graphs, [label for _, label in chosen], seed=draw
                            )
                        estimator = Remembering(estimator.model, estimator.card)
                        scorer = Scorer.of(estimator, start, cautious=cautious)
                        scorers[draw, cautious] = scorer
                        if draw is not None and scorer.basis != "labels" and cautious:
                            print(f"  draw {draw}: the labels did not help and are not used")
                    way = "zero-shot" if draw is None else f"{LABELS} labels"
                    evaluate = scorers[draw, cautious]
                    graph, scores = answer(
                        space, evaluate, seed, args.generations, cautious=cautious
                    )
                    believed = none if draw is None else scores.accuracy
                    note(way + ("" if cautious else ", incautious"), seed, graph, believed)
            note("random", seed, walked(space, seed, budget), none)
            graph, _ = answer(space, oracle(space), seed, args.generations, cautious=False)
            note("oracle", seed, graph, none)
        for way, found in ways.items():
            true = np.array([t for t, _ in found])
            ranks = np.array([space.rank(t) for t in true])
            gaps = np.array([b - t for t, b in found])
            gap = "" if np.isnan(gaps).any() else f", gap {gaps.mean():+.2f} ± {gaps.std():.2f}"
            print(
                f"  {way:22} {true.mean():.2f} ± {true.std():.2f} %, rank median "
                f"{np.median(ranks):.0f} (worst {ranks.max()}){gap}",
                flush=True,
            )


if __name__ == "__main__":
    main()
