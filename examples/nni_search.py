"""Search a space of NNI's hub, with GENNAPE's score in the place of training.

python examples/nni_search.py --strategy evolution --models 200
python examples/nni_search.py --space ProxylessNAS --strategy random --max-flops 6e8
python examples/nni_search.py --strategy rl  # pip install tianshou==0.5.1 gym gymnasium
"""

import argparse
from collections.abc import Sequence

import nni.nas.hub.pytorch as hub
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.strategy import PolicyBasedRL, Random, RegularizedEvolution
from nni.nas.strategy.middleware import Chain, Filter

from gennape_plugin.hosts.nni import GennapeEvaluator, GennapeProfiler


def strategy_of(name: str, seed: int):
    if name == "random":
        return Random(seed=seed)
    if name == "evolution":
        return RegularizedEvolution(population_size=20, sample_size=5, seed=seed)
    return PolicyBasedRL(max_collect=50, trial_per_collect=10)


def main(argv: Sequence[str] | None = None) -> list:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="NasBench201", help="a class of nni.nas.hub.pytorch")
    parser.add_argument("--strategy", choices=["random", "evolution", "rl"], default="evolution")
    parser.add_argument("--models", type=int, default=100, help="how many are scored")
    parser.add_argument("--max-flops", type=float, help="2 x multiply-adds")
    parser.add_argument("--weights", default="gennape-nb101", help="or an absolute path")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where NNI logs; ~/nni-experiments by default")
    arguments = parser.parse_args(argv)

    space = getattr(hub, arguments.space)()
    flops = GennapeProfiler(space, "flops")
    strategy = strategy_of(arguments.strategy, arguments.seed)
    if arguments.max_flops:
        limit = arguments.max_flops
        strategy = Chain(strategy, Filter(lambda model: flops.profile(model.sample) <= limit))

    config = NasExperimentConfig("sequential", "simplified")  # in this process
    config.max_trial_number = arguments.models
    if arguments.folder:
        config.experiment_working_directory = arguments.folder
    experiment = NasExperiment(space, GennapeEvaluator(arguments.weights), strategy, config=config)
    experiment.run()

    best = experiment.export_top_models(5)
    for model in best:
        print(
            f"{model.metric:+.3f}  {flops.profile(model.sample) / 1e6:.1f} MFLOPs  {model.sample}"
        )
    return best


if __name__ == "__main__":
    main()
