import math

import pytest
import torch
from gennape_plugin.core.attention import GraphTransformerLayer
from gennape_plugin.core.batch import GraphBatch, GraphStore
from gennape_plugin.core.errors import InvalidInputError
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import UnchangedRng, chain, dags, graphs_of, store_of

WIDTH, HEADS = 16, 2


@pytest.fixture
def layer():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return GraphTransformerLayer(WIDTH, heads=HEADS, hidden=24, dropout=0.1).eval()


def features(batch, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(len(batch.kinds), WIDTH, generator=generator)


def dense(layer, x, batch):
    """The layer as Vaswani et al. write it, over all nodes of one graph after the other."""
    means = []
    for number in range(batch.num_graphs):
        nodes = x[batch.kind[batch.graph == number]]
        q, k, v = layer.query_key_value(nodes).chunk(3, dim=1)
        size = WIDTH // HEADS
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = q[:, part] @ k[:, part].T / math.sqrt(size)
            heads.append(torch.softmax(scores, dim=1) @ v[:, part])
        mixed = layer.norm_1(nodes + layer.project(torch.cat(heads, dim=1)))
        mixed = layer.norm_2(mixed + layer.down(torch.relu(layer.up(mixed))))
        means.append(mixed.mean(0))
    return torch.stack(means)


class TestEvaluation:
    def test_equals_dense_attention(self, layer):
        for name in ("nasbench101", "nasbench201"):
            batch = store_of(name, 8).batch(range(8))
            x = features(batch, scale=3.0)
            torch.testing.assert_close(
                layer(x, batch)[0], dense(layer, x, batch), rtol=1e-5, atol=1e-5
            )

    def test_graphs_of_very_different_sizes(self, layer):
        batch = GraphBatch.of(
            [chain(1), graphs_of("nasbench201", 1)[0], chain(400), chain(2), chain(17)]
        )
        x = features(batch, scale=3.0)
        torch.testing.assert_close(layer(x, batch)[0], dense(layer, x, batch), rtol=1e-5, atol=1e-5)

    def test_many_distinct_kinds(self, layer):
        """More than one size of padded block, none of them full."""
        graphs = [chain(3), *graphs_of("nasbench101", 6), *graphs_of("nasbench201", 3)]
        batch = GraphBatch.of(graphs)
        kinds = [len(set(batch.kind[batch.graph == i].tolist())) for i in range(len(graphs))]
        assert min(kinds) < 16 < max(kinds)
        x = features(batch, scale=3.0)
        torch.testing.assert_close(layer(x, batch)[0], dense(layer, x, batch), rtol=1e-5, atol=1e-5)

    @settings(max_examples=30)
    @given(st.lists(dags(), min_size=1, max_size=4))
    def test_any_graphs(self, graphs):
        torch.manual_seed(1)
        layer = GraphTransformerLayer(WIDTH, heads=HEADS, hidden=24).eval()
        batch = GraphBatch.of(graphs)
        x = features(batch, scale=3.0)
        torch.testing.assert_close(layer(x, batch)[0], dense(layer, x, batch), rtol=1e-5, atol=1e-5)

    def test_gradients_equal_dense_attention(self, layer):
        batch = store_of("nasbench101", 3).batch(range(3))
        x = features(batch).requires_grad_()
        weight = torch.randn(3, WIDTH)
        (layer(x, batch)[0] * weight).sum().backward()
        ours = [x.grad.clone(), *(p.grad.clone() for p in layer.parameters())]
        x.grad = None
        layer.zero_grad()
        (dense(layer, x, batch) * weight).sum().backward()
        for found, wanted in zip(
            ours, [x.grad, *(p.grad for p in layer.parameters())], strict=True
        ):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)

    def test_a_graph_alone_and_in_a_batch(self, layer):
        store = GraphStore.of([chain(1), *graphs_of("nasbench101", 3), chain(60)])
        together = store.batch(range(5))
        x = features(together)
        whole = layer(x, together)[0]
        for i in range(5):
            alone = store.batch([i])
            # The kinds of a smaller batch are fewer, in the same order.
            rows = torch.unique(together.kind[together.graph == i])
            torch.testing.assert_close(layer(x[rows], alone)[0, 0], whole[i], rtol=1e-5, atol=1e-5)

    def test_views_are_equal_and_draw_nothing(self, layer):
        batch = store_of("nasbench101", 2).batch(range(2))
        with UnchangedRng():
            views = layer(features(batch), batch, views=3)
        assert views.shape == (3, 2, WIDTH)
        assert torch.equal(views[0], views[1])
        assert torch.equal(views[0], views[2])


class TestTraining:
    def test_views_differ(self, layer):
        batch = store_of("nasbench101", 2).batch(range(2))
        torch.manual_seed(0)
        first, second = layer.train()(features(batch), batch, views=2)
        assert (first - second).abs().min(1).values.max() > 0

    def test_without_dropout_it_is_the_evaluation(self):
        torch.manual_seed(0)
        layer = GraphTransformerLayer(WIDTH, dropout=0.0)
        batch = GraphBatch.of([chain(1), *graphs_of("nasbench201", 2)])
        x = features(batch)
        with UnchangedRng():
            trained = layer.train()(x, batch, views=2)
        torch.testing.assert_close(trained, layer.eval()(x, batch, views=2), rtol=1e-5, atol=1e-5)

    def test_equal_nodes_get_masks_of_their_own(self, layer):
        """Many equal nodes average dropout's noise; a mask for the kind would not."""
        x = torch.randn(len(GraphBatch.of([chain(2)]).kinds), WIDTH)
        torch.manual_seed(0)
        spread = {}
        for length in (2, 100):
            batch = GraphBatch.of([chain(length)])
            views = layer.train()(x, batch, views=200)
            spread[length] = float(views.detach().std(dim=0).mean())
        assert spread[100] < spread[2] / 3

    def test_the_seed_decides(self, layer):
        batch = store_of("nasbench101", 2).batch(range(2))
        drawn = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            drawn.append(layer.train()(features(batch), batch, views=2))
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    "sizes",
    [
        {"heads": 3},
        {"heads": 0},
        {"heads": -2},
        {"hidden": 0},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"dropout": math.nan},
    ],
)
def test_impossible_sizes(sizes):
    with pytest.raises(InvalidInputError, match=next(iter(sizes))):
        GraphTransformerLayer(WIDTH, **sizes)
