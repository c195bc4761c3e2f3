"""Networks of random weights: always the same, and of use with few labels only."""

import torch
from gennape_plugin.core.batch import GraphBatch
from gennape_plugin.core.encoder import EncoderConfig
from gennape_plugin.core.untrained import UntrainedNetworks
from small_models import UnchangedRng, graphs_of

SMALL = EncoderConfig(width=32, layers=2, heads=2, hidden=16)


def test_they_are_always_the_same_and_leave_global_randomness_alone() -> None:
    with UnchangedRng():
        first = UntrainedNetworks(SMALL)
    torch.manual_seed(12)
    second = UntrainedNetworks(SMALL)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_unlike_graphs_get_unlike_embeddings() -> None:
    networks, batch = UntrainedNetworks(SMALL).eval(), GraphBatch.of(graphs_of("nasbench201", 6))
    with torch.no_grad():
        found = networks(batch)
    assert [embedding.shape for embedding in found] == [
        (6, networks.encoder.size),
        (6, networks.segments.size),
    ]
    for embedding in found:
        assert float(torch.pdist(embedding).min()) > 1e-4
