"""The part of a network that its output depends on."""

import random

import pytest
import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.effective import effective
from gennape_plugin.core.graph import ComputeGraph


def ops(graph: ComputeGraph) -> list[str]:
    return [node.op for node in graph.nodes]


def test_a_graph_without_none_is_returned_as_it_is() -> None:
    graph = family("nasbench101").graph(family("nasbench101").sample(random.Random(0)))
    assert effective(graph) is graph


def test_what_only_none_reads_goes_and_its_sum_too() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 3, 8, 8)), 4, kernel=3)
    dead = b.add("zero", (b.relu(b.conv(x, 4, kernel=3)),))
    graph = b.build(b.relu(b.join("add", x, dead)))
    assert ops(effective(graph)) == ["input", "conv", "relu", "output"]


def test_what_reads_only_constants_is_one() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 3, 8, 8)), 4, kernel=3)
    constant = b.batch_norm(b.conv(b.add("zero", (x,)), 4, kernel=1))
    graph = b.build(b.join("add", x, b.relu(x), constant))
    found = effective(graph)
    assert ops(found) == ["input", "conv", "relu", "add", "output"]
    assert len(found.operands[3]) == 2


def test_a_product_with_a_constant_is_one() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 8, 8))
    gated = b.join("mul", b.conv(x, 4, kernel=3), b.add("zero", (x,)))
    assert ops(effective(b.build(b.join("add", x, gated)))) == ["input", "output"]


def test_concatenated_zeros_stay() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 8, 8))
    graph = b.build(b.conv(b.concat([x, b.add("zero", (x,))]), 4, kernel=1))
    assert effective(graph) == graph


def test_a_network_of_nothing_but_zeros_is_returned_as_it_is() -> None:
    space = family("nasbench201")
    graph = space.graph(space.parse(["none"] * 6))
    assert effective(graph) is graph


@pytest.mark.parametrize("seed", range(12))
def test_valid_and_stable_on_random_cells(seed: int) -> None:
    for name in ("nasbench201", "transnas101_micro"):
        space = family(name)
        graph = space.graph(space.sample(random.Random(seed)))
        found = effective(graph)
        ComputeGraph(found.nodes, found.operands, weight_of=found.weight_of)
        assert effective(found) == found
        assert found.macs <= graph.macs


@pytest.mark.parametrize("seed", range(6))
def test_the_output_depends_on_what_is_left_and_not_on_the_rest(seed: int) -> None:
    """Gradients say which convolutions of a real network matter."""
    space = family("nasbench201")
    cell = space.sample(random.Random(seed))
    module = space.module(cell).double().train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module(torch.randn(4, 3, 32, 32, dtype=torch.float64)).square().sum().backward()
    weights = [p for p in module.parameters() if p.dim() == 4]
    used = sum(p.numel() for p in weights if p.grad is not None and bool(p.grad.abs().max() > 1e-9))
    graph = space.graph(cell)
    found = effective(graph)
    if found is graph and any(node.op == "zero" for node in graph.nodes):
        pytest.skip("nothing but zeros")
    assert sum(node.params for node in found.nodes if node.op == "conv") == used
