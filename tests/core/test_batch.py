import numpy as np
import pytest
import torch
from gennape_plugin.core.batch import GraphBatch, GraphStore, Kinds
from gennape_plugin.core.effective import effective
from gennape_plugin.core.errors import InvalidInputError
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import chain, dags, graphs_of, store_of


def unbatched(batch):
    """Each graph of a batch as ``(features of its nodes, edges)``, read off node by node."""
    found = []
    for number in range(batch.num_graphs):
        start, end = batch.ptr[number].item(), batch.ptr[number + 1].item()
        nodes = []
        for node in range(start, end):
            assert batch.graph[node] == number
            row = batch.kind[node]
            kinds = batch.kinds
            nodes.append(
                (
                    kinds.label[row].item(),
                    tuple(kinds.resolution[row].tolist()),
                    tuple(kinds.kernel[row].tolist()),
                    kinds.bias[row].item(),
                    kinds.weighted[row].item(),
                )
            )
        edges = {(a - start, b - start) for a, b in batch.edges.T.tolist() if start <= b < end}
        found.append((nodes, edges))
    return found


def expected(graph):
    view = effective(graph).paper_view()
    nodes = [(op.label, op.resolution, op.kernel, op.bias, op.weighted) for op in view.ops]
    return nodes, set(map(tuple, view.edges.T.tolist()))


def test_a_batch_holds_exactly_its_graphs():
    graphs = [*graphs_of("nasbench101", 5), chain(1), *graphs_of("nasbench201", 3)]
    batch = GraphBatch.of(graphs)
    assert unbatched(batch) == [expected(graph) for graph in graphs]
    assert batch.edges.shape[1] == sum(effective(graph).paper_view().num_edges for graph in graphs)
    assert batch.gflops.tolist() == pytest.approx([graph.flops / 1e9 for graph in graphs])
    assert batch.num_nodes == batch.ptr[-1] == len(batch.kind)


@settings(max_examples=30)
@given(st.lists(dags(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_choice_in_any_order(graphs, rng):
    store = GraphStore.of(graphs)
    chosen = [rng.randrange(len(graphs)) for _ in range(rng.randint(1, 6))]
    assert unbatched(store.batch(chosen)) == [expected(graphs[i]) for i in chosen]


def test_a_batch_carries_only_the_kinds_it_uses():
    store = GraphStore.of([chain(3), *graphs_of("nasbench101", 4)])
    batch = store.batch([0])
    assert len(batch.kinds) == len(set(chain(3).paper_view().ops))
    assert sorted(set(batch.kind.tolist())) == list(range(len(batch.kinds)))


def test_a_store_grows_after_a_batch_was_cut():
    store = GraphStore.of([chain(2)])
    store.batch([0])
    graph = graphs_of("nasbench201", 1)[0]
    store.add(graph)
    assert unbatched(store.batch([1])) == [expected(graph)]


def test_take():
    graphs = graphs_of("nasbench101", 6)
    taken = GraphStore.of(graphs).take([4, 1])
    assert len(taken) == 2
    assert unbatched(taken.batch([0, 1])) == [expected(graphs[4]), expected(graphs[1])]
    assert taken.gflops.tolist() == pytest.approx([graphs[4].flops / 1e9, graphs[1].flops / 1e9])
    assert taken.nodes.tolist() == [
        graph.paper_view().num_nodes for graph in (graphs[4], graphs[1])
    ]
    np.testing.assert_array_equal(taken.edges(1), graphs[1].paper_view().edges)


def test_a_taken_store_may_grow_too():
    parent = GraphStore.of([chain(2)])
    taken = parent.take([0])
    taken.add(chain(2, channels=16))
    assert unbatched(taken.batch([1])) == [expected(chain(2, channels=16))]
    assert unbatched(parent.batch([0])) == [expected(chain(2))]


def test_kinds_take_and_move():
    kinds = Kinds.of(chain(2).paper_view().ops)
    rows = torch.tensor([2, 0])
    taken = kinds.take(rows).to("cpu")
    assert len(taken) == 2
    assert taken.label.tolist() == kinds.label[rows].tolist()
    assert taken.kernel.tolist() == kinds.kernel[rows].tolist()


def test_moving_keeps_everything():
    batch = store_of("nasbench101", 2).batch([0, 1])
    assert unbatched(batch.to("cpu")) == unbatched(batch)


def test_nothing_to_batch():
    with pytest.raises(InvalidInputError, match="at least one graph"):
        GraphStore.of([chain(1)]).batch([])


def test_memory_is_compact():
    store = store_of("nasbench101", 5)
    assert {kind.dtype for kind in store._kind} == {np.dtype(np.int32)}
    assert {edges.dtype for edges in store._edges} == {np.dtype(np.int32)}
