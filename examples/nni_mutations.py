"""Mutated graphs inside NNI, and a search over NNI's evaluator.

    python examples/nni_mutations.py --candidates 20

First, mutations of a network become modules and the candidates of an NNI search space. Then the
package's own search changes graphs generation after generation, and judges each by the same
evaluator that NNI uses. Nothing is trained.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace

from gennape_plugin.core.mutation import Mutator
from gennape_plugin.core.search import Goal, LocalSearch, Scores, Search
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.space import SimplifiedModelSpace
from nni.nas.strategy import Random

from gennape_plugin import ComputeGraph, Gennape
from gennape_plugin.families import family
from gennape_plugin.hosts.nni import GennapeEvaluator
from gennape_plugin.search.scoring import Scorer

INPUT = (3, 32, 32)


def start_network() -> ComputeGraph:
    """A NAS-Bench-101 cell: two 3x3 convolutions and a way around them."""
    space = family("nasbench101")
    matrix = [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    ops = ["input", "conv3x3-bn-relu", "conv3x3-bn-relu", "output"]
    return space.graph(space.parse({"matrix": matrix, "ops": ops}))


class Neighbours(ModelSpace):
    """A search space whose candidates are a network's mutations, as modules."""

    def __init__(self, candidates: int, seed: int) -> None:
        super().__init__()
        rng, start = random.Random(seed), start_network()
        mutator = Mutator(rng)
        graphs = [start, *(mutator.mutate(start).child for _ in range(candidates - 1))]
        modules = {f"candidate{i}": graph.to_module() for i, graph in enumerate(graphs)}
        self.network = LayerChoice(modules, label="network")

    def forward(self, x):
        return self.network(x)


class ByEvaluator:
    """Scores for a search, each network judged by the evaluator that NNI uses."""

    def __init__(self, start: ComputeGraph) -> None:
        self.facts = Scorer.of(Gennape.from_pretrained(), start)
        self.evaluator = GennapeEvaluator(input_shape=INPUT)

    def __call__(self, graphs: Sequence[ComputeGraph]) -> list[Scores]:
        return [
            replace(scores, quality=self.evaluator.evaluate(graph.to_module()))
            for graph, scores in zip(graphs, self.facts(graphs), strict=True)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    space = Neighbours(args.candidates, args.seed)
    engine = SequentialExecutionEngine(max_model_count=args.candidates)
    strategy = Random(dedup=False, seed=args.seed)
    strategy(SimplifiedModelSpace.from_model(space, GennapeEvaluator(input_shape=INPUT)), engine)
    best = max(engine.list_models(), key=lambda model: model.metric)
    print(f"NNI's best of {args.candidates}: {best.sample['network']}, score {best.metric:+.3f}")

    start, rng = start_network(), random.Random(args.seed)
    search = Search(
        Mutator(rng),
        ByEvaluator(start),
        LocalSearch(),
        Goal(max_flops=start.flops),
        rng=rng,
        population=4,
        children=8,
    )
    found = search.run(start, args.iterations)
    print(f"start: score {found.start.scores.quality:+.3f}, {start.flops / 1e9:.3f} GFLOPs")
    for candidate in found.front[:3]:
        scores = candidate.scores
        print(
            f"found: score {scores.quality:+.3f}, {scores.flops / 1e9:.3f} GFLOPs, "
            f"{'; '.join(candidate.changes)}"
        )


if __name__ == "__main__":
    main()
