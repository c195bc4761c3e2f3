"""What GENNAPE costs inside NNI, by model, and whether memory stays flat.

    python benchmarks/nni_overhead.py [--candidates 20000] [--manager]

Searches are Random over one space, in this process (SequentialExecutionEngine, simplified
format). "Constant" is an evaluator that reports 0 without building a model: what NNI itself
costs. Times are medians of the repeats, each of which runs all evaluators in turn; scores are
not remembered between them. ``--manager`` also times NNI's default engine, a process a trial.
"""

import argparse
import logging
import os
import time
import warnings
from statistics import median
from typing import Any

warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import nni  # noqa: E402
import nni.nas.hub.pytorch as hub  # noqa: E402
import torch  # noqa: E402
from nni.experiment import launcher  # noqa: E402
from nni.mutable.exception import SampleValidationError  # noqa: E402
from nni.nas.evaluator import Evaluator  # noqa: E402
from nni.nas.execution import SequentialExecutionEngine  # noqa: E402
from nni.nas.experiment import NasExperiment  # noqa: E402
from nni.nas.experiment.config import NasExperimentConfig  # noqa: E402
from nni.nas.space import SimplifiedModelSpace  # noqa: E402
from nni.nas.strategy import Random  # noqa: E402
from numpy.random import RandomState  # noqa: E402

from gennape_plugin import Gennape  # noqa: E402
from gennape_plugin.architectures import to_graph  # noqa: E402
from gennape_plugin.hosts import remembered  # noqa: E402
from gennape_plugin.hosts.nni import GennapeEvaluator  # noqa: E402

SPACES = {
    "NasBench201": (3, 32, 32),
    "NasBench101": (3, 32, 32),
    "DARTS": (3, 32, 32),
    "ProxylessNAS": (3, 224, 224),
    "MobileNetV3Space": (3, 224, 224),
    "ShuffleNetSpace": (3, 224, 224),
    "AutoFormer": (3, 224, 224),
}
BATCH = 256


@nni.trace
class Constant(Evaluator):
    """Reports 0 at once."""

    def _execute(self, model: Any) -> None:
        nni.report_final_result(0.0)


class Captured(GennapeEvaluator):
    """Builds and captures every model, as for a space of one's own."""

    def _execute(self, model: Any) -> float:
        return self.evaluate(model.executable_model())


def seconds_a_model(space: Any, evaluator: Evaluator, models: int, seed: int) -> float:
    remembered.forget()
    executable = SimplifiedModelSpace.from_model(space, evaluator)
    strategy, engine = Random(seed=seed), SequentialExecutionEngine(max_model_count=models)
    start = time.perf_counter()
    strategy(executable, engine)
    return (time.perf_counter() - start) / models


def compare(models: int, repeats: int) -> None:
    print("| space | constant, ms | GENNAPE from the sample | by capture | capture / sample |")
    print("|---|---|---|---|---|")
    for name, shape in SPACES.items():
        space = getattr(hub, name)()
        evaluators = (Constant(), GennapeEvaluator(), Captured(input_shape=shape))
        for evaluator in evaluators:  # weights, and caches of operations
            seconds_a_model(space, evaluator, 2, 99)
        times: list[list[float]] = [[], [], []]
        for repeat in range(repeats):
            for kept, evaluator in zip(times, evaluators, strict=True):
                kept.append(1e3 * seconds_a_model(space, evaluator, models, repeat))
        constant, native, captured = map(median, times)
        low, high = min(times[1]), max(times[1])
        print(
            f"| {name} | {constant:.1f} | {native:.1f} ({low:.1f} to {high:.1f}) | "
            f"{captured:.1f} | {captured / native:.1f} |",
            flush=True,
        )


def resident() -> float:
    """MiB of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def graphs(space: SimplifiedModelSpace, seed: int, count: int) -> Any:
    state = RandomState(seed)
    while count:
        try:
            model = space.random({}, state)
        except SampleValidationError:
            continue
        count -= 1
        yield to_graph(model)


def stream(candidates: int) -> None:
    """Candidates of DARTS, all different networks, scored one by one and in batches."""
    space = SimplifiedModelSpace.from_model(hub.DARTS())
    estimator = Gennape.from_pretrained()
    print(f"\nDARTS, {candidates} candidates in batches of {BATCH}: models a second, RSS")
    start = time.perf_counter()
    steps = {candidates * i // 10 for i in range(1, 11)}
    scores = estimator.score_stream(graphs(space, 0, candidates), batch_size=BATCH)
    for done, _ in enumerate(scores, start=1):
        if done in steps or done == BATCH:
            rate = done / (time.perf_counter() - start)
            print(f"{done:8d}  {rate:6.1f}/s  {resident():.0f} MiB", flush=True)


def manager(models: int) -> None:
    # NNI waits four seconds for its manager to start: too few on a busy machine.
    launcher._check_rest_server.__defaults__ = (60, None)
    for name, evaluator in (("constant", Constant()), ("GENNAPE", GennapeEvaluator())):
        config = NasExperimentConfig("ts", "simplified", "local")
        config.max_trial_number = models
        config.trial_concurrency = 1
        config.trial_gpu_number = 0
        experiment = NasExperiment(hub.NasBench201(), evaluator, Random(seed=0), config=config)
        start = time.perf_counter()
        experiment.run(port=18080)
        elapsed = time.perf_counter() - start
        experiment.stop()
        print(f"manager, {name}: {elapsed / models:.1f} s a model ({models} models)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=20, help="by space and repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=0, help="of the stream")
    parser.add_argument("--manager", type=int, default=0, help="models of the manager")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if arguments.models:
        compare(arguments.models, arguments.repeats)
    if arguments.candidates:
        stream(arguments.candidates)
    if arguments.manager:
        manager(arguments.manager)


if __name__ == "__main__":
    main()
