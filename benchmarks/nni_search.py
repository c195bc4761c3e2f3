"""NNI searches NAS-Bench-201 with GENNAPE as its only evaluator, against true evaluations.

    python benchmarks/nni_search.py --data FOLDER

FOLDER holds nasbench201.jsonl.gz. What a search finds is the best CIFAR-10 test accuracy after
200 epochs (mean of the benchmark's seeds) among its ten best models: with GENNAPE or FLOPs in
the search, no accuracy is looked up before these ten are chosen. Searches by true evaluations
choose by that very accuracy, which favours them; so does fine-tuning by 50 of these.
"""

import argparse
import gzip
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import nni  # noqa: E402
from gennape_plugin.adapters.nni.nasbench201 import EDGES, OPERATIONS, cell_of  # noqa: E402
from gennape_plugin.core.batch import GraphStore  # noqa: E402
from nni.nas.evaluator import Evaluator  # noqa: E402
from nni.nas.execution import SequentialExecutionEngine  # noqa: E402
from nni.nas.hub.pytorch import NasBench201  # noqa: E402
from nni.nas.space import SimplifiedModelSpace  # noqa: E402
from nni.nas.strategy import Random, RegularizedEvolution  # noqa: E402

from gennape_plugin.architectures import to_graph  # noqa: E402
from gennape_plugin.estimator import DEFAULT_WEIGHTS  # noqa: E402
from gennape_plugin.hosts.nni import (  # noqa: E402
    GennapeEvaluator,
    GennapeProfiler,
    estimator,
    fine_tune,
)

COLUMN = "c10_test_acc_200ep"
TOP = 10
LABELS = 50
ROWS = ("score", "population", "flops", "true", "tuned")
Sample = Mapping[str, Any]


class FunctionOfSample(Evaluator):
    """Reports a number for a sample; no model is built."""

    def __init__(self, function: Callable[[Sample], float]) -> None:
        self.function = function

    def _execute(self, model: Any) -> None:
        nni.report_final_result(self.function(model.sample))


def read_accuracies(folder: Path) -> dict[str, float]:
    with gzip.open(folder / "nasbench201.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    return {row["arch_str"]: row[COLUMN] for row in rows}


def searched(evaluator: Evaluator, strategy: Any, models: int) -> list[Any]:
    """Every model that a search tried, best first by its own metric."""
    space = SimplifiedModelSpace.from_model(NasBench201(), evaluator)
    strategy(space, SequentialExecutionEngine(max_model_count=models))
    return list(strategy.list_models(sort=True))


def strategies(seed: int) -> dict[str, Any]:
    return {
        "Random": Random(seed=seed),
        "RegularizedEvolution": RegularizedEvolution(
            population_size=25, sample_size=5, mutation_prob=0.2, seed=seed
        ),
    }


class Tuned:
    """Scores of all cells after fine-tuning; the encoder, which is frozen, runs once."""

    def __init__(self) -> None:
        space = SimplifiedModelSpace.from_model(NasBench201())
        labels = [f"cell/{source}_{target}" for source, target in EDGES]
        samples = [
            dict(zip(labels, ops, strict=True)) for ops in product(OPERATIONS, repeat=len(labels))
        ]
        self.names = [str(cell_of(sample)) for sample in samples]
        store = GraphStore.of(to_graph(space.freeze(sample)) for sample in samples)
        self.outputs = estimator(DEFAULT_WEIGHTS).model.predict(store)

    def by(self, trained: list[Any]) -> Callable[[Sample], float]:
        """The score after fine-tuning by some models and their metrics."""
        scores = fine_tune(trained).model.score(self.outputs).tolist()
        table = dict(zip(self.names, scores, strict=True))
        return lambda sample: table[str(cell_of(sample))]


def by_population(models: list[Any]) -> list[Any]:
    scores = estimator(DEFAULT_WEIGHTS).score_population([to_graph(model) for model in models])
    order = sorted(range(len(models)), key=lambda i: -scores[i].score)
    return [models[i] for i in order]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--models", type=int, default=500, help="scored by GENNAPE")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)

    accuracies = read_accuracies(arguments.data)
    flops = GennapeProfiler(NasBench201(), "flops")

    def accuracy(sample: Sample) -> float:
        return accuracies[str(cell_of(sample))]

    def best(models: list[Any]) -> float:
        return max(accuracy(model.sample) for model in models[:TOP])

    n, wanted = arguments.models, set(arguments.rows)
    tuned = Tuned() if "tuned" in wanted else None
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(arguments.seeds):
        for name in strategies(seed):

            def run(evaluator: Evaluator, models: int, seed=seed, name=name) -> list[Any]:
                return searched(evaluator, strategies(seed)[name], models)

            rows = {}
            if {"score", "population"} & wanted:
                scored = run(GennapeEvaluator(), n)
                rows[f"GENNAPE score, {n} models"] = scored
                if "population" in wanted:
                    rows[f"the same {n}, ten chosen by population score"] = by_population(scored)
            if "flops" in wanted:
                rows[f"FLOPs as the score, {n} models"] = run(FunctionOfSample(flops.profile), n)
            if tuned is not None:
                trained = searched(FunctionOfSample(accuracy), Random(seed=seed), LABELS)
                score = FunctionOfSample(tuned.by(trained))
                rows[f"fine-tuned by {LABELS} random true evaluations, {n} models"] = run(score, n)
            for count in (TOP, LABELS, 200) if "true" in wanted else ():
                rows[f"{count} true evaluations"] = run(FunctionOfSample(accuracy), count)
            for row, models in rows.items():
                found.setdefault((name, row), []).append(best(models))
        print(f"seed {seed} done", flush=True)

    print(f"\nBest of NAS-Bench-201: {max(accuracies.values()):.2f} % ({len(accuracies)} cells)")
    print(f"Best of a search's first {TOP}, {arguments.seeds} seeds\n")
    print("| strategy | evaluator | mean, % | std | least | most |\n|---|---|---|---|---|---|")
    for (name, row), values in found.items():
        spread = stdev(values) if len(values) > 1 else 0.0
        print(
            f"| {name} | {row} | {mean(values):.2f} | {spread:.2f} | {min(values):.2f} | "
            f"{max(values):.2f} |"
        )


if __name__ == "__main__":
    main()
