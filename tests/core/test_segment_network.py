import random

import pytest
import torch
from gennape_plugin.core.batch import GraphBatch, GraphStore
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.quotient import Block
from gennape_plugin.core.segment_network import SegmentNetwork
from gennape_plugin.core.segments import segments
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import chain, dags, graphs_of, store_of
from torch.nn import functional as F

from gennape_plugin.testing import renumbered


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return SegmentNetwork(32, 3).eval()


def plainly(network, batch):
    """The same network with every segment on its own, none merged with its equals."""
    cut = segments(batch)
    ops, kinds = cut.members
    each = network.embedding(batch.kinds)
    start = each.new_zeros(cut.kinds, each.shape[1]).index_add(0, kinds, each[ops])
    pooled = []
    for stack, edges in zip(network.stacks, (cut.edges, cut.edges.flip(0)), strict=True):
        x = start[cut.kind]
        for layer in stack.layers:
            x = layer(x, Block(edges, torch.arange(len(x))))
        x = F.relu(stack.out(stack.norm(x)))
        parts = [x[a:b] for a, b in zip(cut.ptr[:-1], cut.ptr[1:], strict=True)]
        pooled.append(torch.stack([torch.cat([p.mean(0), p.amax(0)]) for p in parts]))
    count = (cut.ptr[1:] - cut.ptr[:-1]).float()
    sizes = torch.stack([count.log() / 5, torch.log10(batch.gflops + 1)], dim=1)
    return network.head(torch.cat([*pooled, sizes], dim=1))[:, 0]


@pytest.mark.parametrize("family", ["nasbench101", "nasbench201", "ofa_resnet50"])
def test_merging_equal_segments_changes_nothing(network, family):
    batch = store_of(family, 8).batch(range(8))
    torch.testing.assert_close(network(batch), plainly(network, batch), rtol=1e-4, atol=1e-5)


@settings(max_examples=30)
@given(st.lists(dags(), min_size=1, max_size=3))
def test_nor_does_it_on_any_graphs(network, graphs):
    batch = GraphBatch.of(graphs)
    torch.testing.assert_close(network(batch), plainly(network, batch), rtol=1e-4, atol=1e-5)


def test_a_graph_gets_the_same_alone_and_in_any_batch(network):
    store = GraphStore.of([*graphs_of("nasbench101", 5), chain(1), *graphs_of("nasbench201", 2)])
    alone = torch.cat([network(store.batch([i])) for i in range(len(store))])
    assert len(set(alone.tolist())) == len({g.hash for g in graphs_of("nasbench101", 5)}) + 3
    for chosen in ([7, 0, 5, 3], [5, 5, 1], range(8)):
        found = network(store.batch(chosen))
        torch.testing.assert_close(found, alone[list(chosen)], rtol=1e-4, atol=1e-5)


@settings(max_examples=25)
@given(dags(), st.randoms(use_true_random=False))
def test_node_order_does_not_matter(network, graph, rng):
    found, other = (network(GraphBatch.of([g])) for g in (graph, renumbered(graph, rng)))
    torch.testing.assert_close(found, other, rtol=1e-4, atol=1e-5)


def test_it_sees_both_ways(network):
    """Two networks whose operations have the same past, or the same future, differ."""
    graph = graphs_of("nasbench201", 1)[0]
    batch = GraphBatch.of([graph])
    for stack in network.stacks:
        kept = {name: p.clone() for name, p in stack.named_parameters()}
        before = network(batch)
        with torch.no_grad():
            for layer in stack.layers:
                layer.message.weight.zero_()
        assert not torch.allclose(network(batch), before, rtol=1e-6, atol=1e-7)
        stack.load_state_dict(kept)


def test_training_drops_units_and_every_parameter_learns():
    torch.manual_seed(0)
    network = SegmentNetwork(32, 2, dropout=0.5)
    batch = store_of("nasbench101", 8).batch(range(8))
    first, second = network(batch), network(batch)
    assert not torch.equal(first, second)
    first.square().sum().backward()
    unused = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # Of the embedding tables only the rows of operations that occur get a gradient.
    assert not unused


def test_description(network):
    again = SegmentNetwork(**network.describe())
    again.load_state_dict(network.state_dict())
    batch = store_of("nasbench101", 3).batch(range(3))
    assert torch.equal(again.eval()(batch), network(batch))


@pytest.mark.parametrize("wrong", [{"width": 30}, {"layers": 0}, {"dropout": 1.0}])
def test_wrong_sizes(wrong):
    with pytest.raises(InvalidInputError):
        SegmentNetwork(**wrong)


def test_large_graphs_in_another_order(network):
    graph = graphs_of("nasbench301", 1)[0]
    other = renumbered(graph, random.Random(1))
    assert other.nodes != graph.nodes
    found, again = (network(GraphBatch.of([g])) for g in (graph, other))
    torch.testing.assert_close(found, again, rtol=1e-4, atol=1e-5)
