"""Search a space of your own in NNI: its models are built and captured, it needs no change.

python examples/nni_custom_space.py
"""

import argparse
from collections.abc import Sequence

import torch
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.nn.pytorch import Cell, InputChoice, LayerChoice, ModelSpace, Repeat
from nni.nas.strategy import Random
from torch import nn

from gennape_plugin.hosts.nni import GennapeEvaluator


def conv(channels: int, kernel: int) -> nn.Module:
    layers = [nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())


class Space(ModelSpace):
    """Every kind of choice; NNI asks for a label on each."""

    def __init__(self, channels: int = 16):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels))
        self.blocks = Repeat(
            lambda i: LayerChoice([conv(channels, 3), conv(channels, 5)], label=f"kernel{i}"),
            (1, 4),
            label="depth",
        )
        self.cell = Cell(
            [conv(channels, 1), nn.MaxPool2d(3, stride=1, padding=1), nn.Identity()],
            num_nodes=3,
            label="cell",
        )
        self.skip = InputChoice(n_candidates=2, n_chosen=1, label="skip")
        self.head = nn.Linear(3 * channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = self.stem(x)
        x = self.skip([stem, self.blocks(stem)])
        return self.head(self.cell([x]).mean((2, 3)))


def main(argv: Sequence[str] | None = None) -> list:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--folder", help="where NNI logs; ~/nni-experiments by default")
    arguments = parser.parse_args(argv)

    config = NasExperimentConfig("sequential", "simplified")
    config.max_trial_number = arguments.models
    if arguments.folder:
        config.experiment_working_directory = arguments.folder
    # A space of your own: say what its models read.
    evaluator = GennapeEvaluator(input_shape=(3, 32, 32))
    experiment = NasExperiment(Space(), evaluator, Random(seed=0), config=config)
    experiment.run()
    best = experiment.export_top_models(3)
    experiment.stop()
    for model in best:
        print(f"{model.metric:+.3f}  {model.sample}")
    return best


if __name__ == "__main__":
    main()
