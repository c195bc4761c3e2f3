import random

import pytest
import torch
from gennape_plugin.core.batch import GraphBatch, GraphStore
from gennape_plugin.core.encoder import CLEncoder, EncoderConfig
from gennape_plugin.core.layers import CONVOLUTIONS, mean_readout
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import UnchangedRng, chain, dags, graphs_of, store_of

from gennape_plugin.testing import renumbered

SMALL = EncoderConfig(width=32, layers=3, heads=2, hidden=16)


def encoder(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return CLEncoder(EncoderConfig(**{**SMALL.to_dict(), **changes})).eval()


def test_the_papers_sizes():
    model = CLEncoder()
    assert (model.size, len(model.graph_layers.layers), model.transformer.heads) == (128, 4, 2)
    assert model.graph_layers.convolution == "kgnn"


def test_message_passing_beside_attention():
    model, batch = encoder(), store_of("nasbench101", 3).batch(range(3))
    plan = model.plan(batch)
    x = model.embedding(batch.kinds)
    local = mean_readout(model.graph_layers(x, batch, plan), plan, batch)
    expected = torch.cat([local, model.transformer(x, batch)[0]], dim=1)
    torch.testing.assert_close(model(batch), expected)
    torch.testing.assert_close(model(batch, plan=plan), expected)


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_single_equals_batch(convolution):
    model = encoder(convolution=convolution)
    store = GraphStore.of([chain(1), *graphs_of("nasbench101", 4), *graphs_of("nasbench201", 2)])
    alone = torch.cat([model(store.batch([i])) for i in range(len(store))])
    torch.testing.assert_close(model(store.batch(range(7))), alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        model(store.batch([6, 2, 2])), alone[[6, 2, 2]], rtol=1e-5, atol=1e-5
    )


@settings(max_examples=20)
@given(dags(), st.randoms(use_true_random=False))
def test_node_order_does_not_matter(graph, rng):
    model = encoder()
    torch.testing.assert_close(
        model(GraphBatch.of([renumbered(graph, rng)])),
        model(GraphBatch.of([graph])),
        rtol=1e-5,
        atol=1e-5,
    )


def test_different_networks_differ():
    embedded = encoder()(GraphBatch.of([chain(2), chain(3), chain(2, channels=16)]))
    assert torch.pdist(embedded).min() > 1e-3


def test_both_halves_tell_networks_apart():
    a, b = (graphs_of("nasbench101", 2, first=s)[0] for s in (0, 1))
    model = encoder()
    difference = (model(GraphBatch.of([a])) - model(GraphBatch.of([b]))).abs()
    assert difference[:, :32].max() > 1e-3
    assert difference[:, 32:].max() > 1e-3


def test_views_share_the_message_passing_only():
    model, batch = encoder().train(), store_of("nasbench101", 3).batch(range(3))
    torch.manual_seed(0)
    first, second = model.views(batch, 2)
    assert torch.equal(first[:, :32], second[:, :32])
    assert (first[:, 32:] != second[:, 32:]).any(1).all()


def test_evaluation_draws_no_random_numbers():
    model, batch = encoder(), store_of("nasbench101", 3).batch(range(3))
    with UnchangedRng():
        first, second = model.views(batch, 2)
    assert torch.equal(first, second)


def test_every_parameter_learns():
    model = encoder()
    batch = GraphBatch.of([*graphs_of("nasbench101", 3), chain(2)])
    weight = torch.randn(4, model.size, generator=torch.Generator().manual_seed(0))
    (model(batch) * weight).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_large_node_orders():
    model, graph = encoder(), graphs_of("nasbench201", 1)[0]
    embedded = model(GraphBatch.of([graph, renumbered(graph, random.Random(2))]))
    torch.testing.assert_close(embedded[0], embedded[1], rtol=1e-5, atol=1e-5)
