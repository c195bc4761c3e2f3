"""Sums of stacks are additions to the estimator."""

import random

import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.adapters.torch import capture_module
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.effective import effective
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.sums import plain_sums
from torch import Tensor, nn


def ops(graph: ComputeGraph) -> list[str]:
    return [node.op for node in graph.nodes]


class Stacked(nn.Module):
    def __init__(self, branches: int, *, dim: int = 0, keepdim: bool = False, axis: int = 0):
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(3, 4, 1) for _ in range(branches))
        self.dim, self.keepdim, self.axis = dim, keepdim, axis

    def forward(self, x: Tensor) -> Tensor:
        stack = torch.stack([branch(x) for branch in self.branches], self.dim)
        return torch.relu(stack.sum(self.axis, keepdim=self.keepdim))


def test_a_sum_over_a_stack_is_an_addition() -> None:
    graph = capture_module(Stacked(3), (3, 8, 8))
    assert ops(graph) == ["input", "conv", "conv", "conv", "stack", "reduce", "relu", "output"]
    found = plain_sums(graph)
    assert ops(found) == ["input", "conv", "conv", "conv", "add", "relu", "output"]
    assert found.nodes[4].shape == (1, 4, 8, 8)
    assert (found.macs, found.params) == (graph.macs, graph.params)
    assert ComputeGraph(found.nodes, found.operands) == found  # valid


def test_the_sum_of_one_map_is_that_map() -> None:
    assert ops(plain_sums(capture_module(Stacked(1), (3, 8, 8)))) == [
        "input",
        "conv",
        "relu",
        "output",
    ]


def test_another_axis_is_another_sum() -> None:
    for module in (Stacked(2, dim=1), Stacked(2, axis=1), Stacked(2, keepdim=True)):
        graph = capture_module(module, (3, 8, 8))
        assert plain_sums(graph) is graph


def test_a_stack_that_others_read_stays() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 8, 8))
    stack = b.add("stack", (x, b.relu(x)), dim=0)
    total = b.add("reduce", (stack,), function="sum", axes=(0,))
    found = plain_sums(b.build(total, stack))
    assert ops(found) == ["input", "relu", "stack", "add", "output"]


def test_graphs_without_stacks_are_returned_as_they_are() -> None:
    space = family("nasbench101")
    graph = space.graph(space.sample(random.Random(0)))
    assert plain_sums(graph) is graph


def test_zeros_in_a_stack_go() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 3, 8, 8)), 4, kernel=3)
    stack = b.add("stack", (x, b.add("zero", (b.relu(x),))), dim=0)
    graph = b.build(b.relu(b.add("reduce", (stack,), function="sum", axes=(0,))))
    assert ops(effective(graph)) == ["input", "conv", "relu", "output"]
