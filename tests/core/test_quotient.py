import random

import pytest
import torch
from gennape_plugin.core.batch import GraphBatch, GraphStore
from gennape_plugin.core.layers import GraphLayers, NodeEmbedding, mean_readout
from gennape_plugin.core.quotient import quotient, unmerged
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import chain, dags, graphs_of, store_of

from gennape_plugin.testing import renumbered

WIDTH = 32


class Network(torch.nn.Module):
    """Embedding, message passing and mean, over whichever plan is given."""

    def __init__(self, convolution, layers):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.embedding = NodeEmbedding(WIDTH)
            self.graph_layers = GraphLayers(WIDTH, layers, convolution=convolution)
        self.count = layers

    def forward(self, batch, build=quotient):
        plan = build(batch, self.count)
        x = self.graph_layers(self.embedding(batch.kinds), batch, plan)
        return mean_readout(x, plan, batch)


def gradients(network, batch, build):
    network.zero_grad()
    out = network(batch, build)
    (out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def assert_exact(network, batch):
    torch.testing.assert_close(network(batch), network(batch, unmerged), rtol=1e-5, atol=1e-5)
    merged, plain = gradients(network, batch, quotient), gradients(network, batch, unmerged)
    assert merged.keys() == plain.keys()
    assert any(grad.abs().max() > 0 for grad in plain.values())
    for name, grad in plain.items():
        scale = float(grad.abs().max().clamp(min=1.0))
        torch.testing.assert_close(merged[name] / scale, grad / scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("convolution", ["kgnn", "gin"])
@pytest.mark.parametrize("family", ["nasbench101", "nasbench201"])
def test_equals_the_plain_computation(convolution, family):
    assert_exact(Network(convolution, 4), store_of(family, 12).batch(range(12)))


@settings(max_examples=40)
@given(
    st.lists(dags(), min_size=1, max_size=3),
    st.integers(1, 5),
    st.sampled_from(["kgnn", "gin"]),
)
def test_equals_the_plain_computation_on_any_graphs(graphs, layers, convolution):
    assert_exact(Network(convolution, layers), GraphBatch.of(graphs))


def test_it_merges():
    batch = store_of("nasbench101", 12).batch(range(12))
    plan = quotient(batch, 4)
    sizes = [len(block.own) for block in plan.blocks]
    assert len(batch.kinds) <= sizes[0] <= sizes[-1] < batch.num_nodes / 2
    assert sizes == sorted(sizes)
    assert plan.blocks[0].edges.shape[1] < batch.edges.shape[1] / 2


def test_classes_are_those_of_colour_refinement():
    """Nested tuples in place of hashes: what a node sees within ``layers`` steps upstream."""
    batch = GraphBatch.of([chain(5), *graphs_of("nasbench101", 2)])
    colours = [(kind,) for kind in batch.kind.tolist()]
    for _ in range(3):
        into = [[] for _ in colours]
        for source, target in batch.edges.T.tolist():
            into[target].append(colours[source])
        # Numbers stand for the tuples, which would otherwise grow with every round.
        full = [(own, tuple(sorted(seen))) for own, seen in zip(colours, into, strict=True)]
        table = {colour: (number,) for number, colour in enumerate(sorted(set(full)))}
        colours = [table[colour] for colour in full]
    classes = quotient(batch, 3).classes.tolist()
    assert len(set(zip(classes, colours, strict=True))) == len(set(classes)) == len(set(colours))


@pytest.mark.parametrize("convolution", ["kgnn", "gin", "gcn"])
def test_a_graph_is_embedded_alike_alone_and_in_any_batch(convolution):
    network = Network(convolution, 4)
    build = quotient if network.graph_layers.merges else unmerged
    store = GraphStore.of([*graphs_of("nasbench101", 5), chain(1), *graphs_of("nasbench201", 2)])
    alone = torch.cat([network(store.batch([i]), build) for i in range(len(store))])
    for chosen in ([7, 0, 5, 3], [5, 5, 1], range(8)):
        torch.testing.assert_close(
            network(store.batch(chosen), build), alone[list(chosen)], rtol=1e-5, atol=1e-5
        )


@settings(max_examples=25)
@given(dags(), st.randoms(use_true_random=False))
def test_node_order_does_not_matter(graph, rng):
    network = Network("kgnn", 4)
    other = renumbered(graph, rng)
    assert other.hash == graph.hash
    torch.testing.assert_close(
        network(GraphBatch.of([other])), network(GraphBatch.of([graph])), rtol=1e-5, atol=1e-5
    )


def test_node_order_does_not_matter_in_large_graphs():
    network = Network("kgnn", 4)
    for graph in graphs_of("nasbench201", 3):
        other = renumbered(graph, random.Random(1))
        assert other.nodes != graph.nodes
        torch.testing.assert_close(
            network(GraphBatch.of([other])), network(GraphBatch.of([graph])), rtol=1e-5, atol=1e-5
        )
