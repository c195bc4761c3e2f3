"""Optuna over a module of one's own: no network is trained.

python examples/optuna_search.py --trials 50 --max-flops 2e8
"""

import argparse

import optuna
from gennape_plugin.core.errors import GennapeError
from torch import nn

from gennape_plugin.hosts.optuna import GennapeObjective


def build(trial: optuna.Trial) -> nn.Module:
    """A CIFAR-10 network of three stages, whose widths, depths and kernels are suggested."""
    layers: list[nn.Module] = []
    channels = 3
    for stage in range(3):
        width = trial.suggest_categorical(f"width{stage}", [16, 32, 64, 128])
        kernel = trial.suggest_categorical(f"kernel{stage}", [1, 3, 5])
        for block in range(trial.suggest_int(f"depth{stage}", 1, 3)):
            stride = 2 if stage and not block else 1
            layers += [
                nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--max-flops", type=float, default=2e8, help="2 x multiply-adds")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objective = GennapeObjective(build, input_shape=(3, 32, 32), max_flops=args.max_flops)
    sampler = optuna.samplers.TPESampler(seed=args.seed)
    study = optuna.create_study(directions=objective.directions, sampler=sampler)
    study.optimize(objective, n_trials=args.trials, catch=(GennapeError,))

    feasible = [t for t in study.trials if t.values and max(t.constraints.values()) <= 0]
    print(f"{len(feasible)} of {len(study.trials)} trials within {args.max_flops:.3g} FLOPs")
    for trial in sorted(feasible, key=lambda t: -t.values[0])[:3]:
        flops, params = trial.user_attrs["flops"], trial.user_attrs["params"]
        print(f"score {trial.values[0]:+.3f}  {flops:.3g} FLOPs  {params:,} params  {trial.params}")


if __name__ == "__main__":
    main()
