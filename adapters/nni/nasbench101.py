"""NNI's NAS-Bench-101: the benchmark's own network, with another way of pooling."""

from collections.abc import Mapping
from typing import Any, Final

from gennape_plugin.adapters.families.base import conv_bn_relu
from gennape_plugin.adapters.families.nasbench101 import (
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    OPERATIONS,
    OUTPUT,
    Cell101,
    NASBench101,
    cell_graph,
    downsample,
)
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.shapes import Shape

from .choices import Choices
from .parts import flattened, linear, pooled

_EPS: Final = 1e-5
_FAMILY: Final = NASBench101()


def cell_of(sample: Mapping[str, Any]) -> Cell101:
    """The benchmark's pruned cell that a sample stands for.

    Raises:
        ArchitectureError: for a sample that lacks a choice, has a wrong one, or whose cell
            breaks a rule of the benchmark.
    """
    choices = Choices("NasBench101", sample)
    vertices = choices.one("cell/num_nodes", range(2, MAX_VERTICES + 1))
    ops = [choices.one(f"cell/op{v}", OPERATIONS) for v in range(1, vertices - 1)]
    matrix = [[0] * vertices for _ in range(vertices)]
    for v in range(1, vertices):
        for u in choices.among(f"cell/input{v}", range(v)):
            matrix[u][v] = 1
    return _FAMILY.parse({"matrix": matrix, "ops": [INPUT, *ops, OUTPUT]})


def graph(arguments: Mapping[str, Any], choices: Choices, shape: Shape) -> ComputeGraph | None:
    """The network that NNI builds; ``None`` for larger cells than the benchmark's."""
    limits = arguments["max_num_vertices"], arguments["max_num_edges"]
    if limits[0] > MAX_VERTICES or limits[1] > MAX_EDGES or arguments["bn_eps"] != _EPS:
        return None
    cell = cell_of(choices.sample)
    b = GraphBuilder(f"NasBench101/{cell.hash}")
    b.set_scope("stem")
    x = b.input((1, *shape))
    channels = arguments["stem_out_channels"]
    x = conv_bn_relu(b, x, channels, 3)
    for stack in range(arguments["num_stacks"]):
        if stack:
            channels *= 2
            b.set_scope(f"downsample{stack}")
            x = b.append(downsample(b.nodes[x].shape), (x,))
        for index in range(arguments["num_modules_per_stack"]):
            b.set_scope(f"stack{stack}.cell{index}")
            x = cell_graph(b, x, channels, cell)
    b.set_scope("head")
    return b.build(linear(b, flattened(b, pooled(b, x)), arguments["num_labels"]))
