"""Networks of NAS-Bench-101, which is what the shipped weights know best.

gennape score examples/nasbench_cells.py:resnet_cell --input 3x32x32
"""

from gennape_plugin.adapters.families import NASBench101
from torch import nn

CONV3, CONV1, POOL3 = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"


def resnet_cell() -> nn.Module:
    """Two 3x3 convolutions beside a projected shortcut."""
    return network(
        [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]],
        [CONV3, CONV3],
    )


def plain_cell() -> nn.Module:
    """The same two convolutions in a row, without the shortcut."""
    return network(
        [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]],
        [CONV3, CONV3],
    )


def pooling_cell() -> nn.Module:
    """A 1x1 convolution and a pool: cheap, and poor."""
    return network(
        [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]],
        [CONV1, POOL3],
    )


def network(matrix: list[list[int]], interior: list[str]) -> nn.Module:
    """The benchmark's network around a cell."""
    family = NASBench101()
    cell = family.parse({"matrix": matrix, "ops": ["input", *interior, "output"]})
    return family.module(cell)
