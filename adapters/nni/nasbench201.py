"""NNI's NAS-Bench-201: one cell, repeated, between reductions."""

from collections.abc import Mapping
from typing import Any, Final

from gennape_plugin.adapters.families._conv_norm import unary
from gennape_plugin.adapters.families.base import conv_node
from gennape_plugin.adapters.families.nasbench201 import EDGES, Cell201, cell_op, reduction
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.shapes import Shape

from .choices import Choices
from .parts import flattened, linear, pooled, stacked_sum

#: NNI's names of the benchmark's operations.
OPERATIONS: Final = {
    "none": "none",
    "skip_connect": "skip_connect",
    "conv_1x1": "nor_conv_1x1",
    "conv_3x3": "nor_conv_3x3",
    "avg_pool_3x3": "avg_pool_3x3",
}
_STAGES: Final = 3


def cell_of(sample: Mapping[str, Any]) -> Cell201:
    """The benchmark's cell that a sample stands for; its text is the benchmark's string.

    Raises:
        ArchitectureError: for a sample that lacks a choice, or has a wrong one.
    """
    choices = Choices("NasBench201", sample)
    return Cell201(
        tuple(
            OPERATIONS[choices.one(f"cell/{source}_{target}", OPERATIONS)]
            for source, target in EDGES
        )
    )


def graph(arguments: Mapping[str, Any], choices: Choices, shape: Shape) -> ComputeGraph:
    """The network that NNI builds: sums are of stacked maps."""
    cell = cell_of(choices.sample)
    ops = dict(zip(EDGES, cell.ops, strict=True))
    b = GraphBuilder(f"NasBench201/{cell}")
    b.set_scope("stem")
    x = b.input((1, *shape))
    channels = arguments["stem_out_channels"]
    x = unary(b, "batch_norm", b.append(conv_node(b.nodes[x].shape, channels, 3), (x,)))
    for stage in range(_STAGES):
        if stage:
            channels *= 2
            b.set_scope(f"reduction{stage}")
            x = reduction(b, x, channels)
        for index in range(arguments["num_modules_per_stack"]):
            b.set_scope(f"stage{stage}.cell{index}")
            states = [x]
            for target in (1, 2, 3):
                made = [cell_op(b, ops[source, target], states[source]) for source in range(target)]
                states.append(stacked_sum(b, made))
            x = states[-1]
    b.set_scope("head")
    x = unary(b, "relu", unary(b, "batch_norm", x))
    x = linear(b, flattened(b, pooled(b, x)), arguments["num_labels"])
    return b.build(x, prune=True)
