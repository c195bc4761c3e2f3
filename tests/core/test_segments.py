import random
from collections import Counter

import pytest
import torch
from gennape_plugin.core.batch import GraphBatch
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.ops import PAPER_LABELS
from gennape_plugin.core.segments import segments
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import chain, dags, graphs_of, store_of

from gennape_plugin.testing import renumbered


def contents(batch):
    """The labels of every segment's operations, sorted, by segment."""
    cut = segments(batch)
    by_kind = [[] for _ in range(cut.kinds)]
    for op, kind in cut.members.T.tolist():
        by_kind[kind].append(PAPER_LABELS[int(batch.kinds.label[op])])
    return [tuple(sorted(by_kind[kind])) for kind in cut.kind.tolist()]


def test_a_convolution_takes_its_norm_and_activation_along():
    b = GraphBuilder("plain")
    x = b.input((1, 3, 8, 8))
    for _ in range(2):
        x = b.relu(b.batch_norm(b.conv(x, 8, kernel=3)))
    batch = GraphBatch.of([b.build(b.linear(b.mean(x, (2, 3)), 10))])
    conv = ("BatchNorm", "Conv", "ReLU")
    assert Counter(contents(batch)) == Counter(
        [("Input",), conv, conv, ("Mean",), ("MatMul", "Output")]
    )


def test_what_two_operations_read_ends_a_segment():
    b = GraphBuilder("fork")
    x = b.conv(b.input((1, 3, 8, 8)), 8, kernel=3)
    x = b.relu(b.join("add", b.relu(x), b.batch_norm(x)))
    batch = GraphBatch.of([b.build(x)])
    found = contents(batch)
    assert {("Conv",), ("ReLU",), ("BatchNorm",), ("Add", "Output", "ReLU")} <= set(found)


def test_a_pre_activation_stays_with_what_made_its_input():
    b = GraphBuilder("pre")
    x = b.max_pool(b.input((1, 3, 8, 8)), kernel=2, stride=2)
    batch = GraphBatch.of([b.build(b.conv(b.relu(b.batch_norm(x)), 8, kernel=3))])
    assert ("BatchNorm", "Maxpool", "ReLU") in contents(batch)


@settings(max_examples=40)
@given(st.lists(dags(), min_size=1, max_size=3))
def test_every_operation_is_in_one_segment_and_every_edge_between_or_within(graphs):
    batch = GraphBatch.of(graphs)
    cut = segments(batch)
    labels = Counter(PAPER_LABELS[i] for i in batch.kinds.label[batch.kind].tolist())
    assert Counter(label for ops in contents(batch) for label in ops) == labels
    assert int(cut.ptr[-1]) == len(cut.kind)
    assert cut.ptr[0] == 0
    assert (cut.ptr[1:] > cut.ptr[:-1]).all()
    # A chain of k operations has k - 1 edges within it.
    within = batch.num_nodes - len(cut.kind)
    assert cut.edges.shape[1] == batch.edges.shape[1] - within
    graph = torch.bucketize(cut.edges, cut.ptr[1:], right=True)
    assert torch.equal(graph[0], graph[1])


@settings(max_examples=25)
@given(dags(), st.randoms(use_true_random=False))
def test_node_order_does_not_matter(graph, rng):
    one, other = (GraphBatch.of([g]) for g in (graph, renumbered(graph, rng)))
    assert Counter(contents(one)) == Counter(contents(other))
    assert segments(one).edges.shape == segments(other).edges.shape


def test_a_graph_is_cut_alike_alone_and_in_a_batch():
    store = store_of("nasbench101", 6)
    together = contents(store.batch(range(6)))
    alone = [ops for i in range(6) for ops in contents(store.batch([i]))]
    assert together == alone


@pytest.mark.parametrize("length", [1, 7])
def test_long_chains_of_light_operations_are_one_segment(length):
    b = GraphBuilder("long")
    x = b.conv(b.input((1, 3, 8, 8)), 8, kernel=3)
    for _ in range(9 * length):
        x = b.relu(b.batch_norm(x))
    batch = GraphBatch.of([b.build(x)])
    assert max(map(len, contents(batch))) >= 1 + 18 * length


def test_it_shrinks_networks():
    for graph in (*graphs_of("nasbench101", 3), chain(5)):
        batch = GraphBatch.of([graph, *random.Random(0).sample(graphs_of("nasbench201", 3), 1)])
        assert len(segments(batch).kind) < 0.75 * batch.num_nodes
