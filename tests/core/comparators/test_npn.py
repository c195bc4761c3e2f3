from dataclasses import replace

import numpy as np
import pytest
import torch
from gennape_plugin.core.comparators.npn import NPN_CONFIG, Npn, fit_npn
from gennape_plugin.core.training import seeded

SHORT = replace(NPN_CONFIG, epochs=12, learning_rate=2e-3)


@pytest.fixture(scope="module")
def network():
    with seeded(0):
        return Npn().eval()


def test_a_layer_by_hand(examples, archs):
    """Means over each vertex with its successors, and with its predecessors, halved."""
    with seeded(1):
        model = Npn(width=6, layers=2, hidden=4).eval()
    cells, _ = examples(8)
    found = model(cells).detach().numpy()
    layers = [
        [w.detach().numpy() for w in pair]
        for pair in zip(model.forward_weights, model.backward_weights, strict=True)
    ]
    for arch, codes, value in zip(archs(8), cells.operations.numpy(), found, strict=True):
        edges, x = np.array(arch.matrix), codes[: len(arch.ops)]
        for along, against in layers:
            rows = []
            for v in range(len(edges)):
                after = [v, *np.flatnonzero(edges[v])]
                before = [v, *np.flatnonzero(edges[:, v])]
                one = np.maximum(np.mean(x[after] @ along, axis=0), 0)
                other = np.maximum(np.mean(x[before] @ against, axis=0), 0)
                rows.append((one + other) / 2)
            x = np.array(rows)
        with torch.no_grad():
            expected = model.head(torch.tensor(x.mean(axis=0), dtype=torch.float32))
        assert value == pytest.approx(float(expected), abs=1e-5)


def test_neither_order_nor_padding_matters(network, examples, reorder):
    cells, _ = examples(50)
    straight = network(cells)
    for order in ([6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 1, 5, 2, 4]):
        assert torch.allclose(network(reorder(cells, order)), straight, atol=1e-5)


def test_directions_matter(network, examples):
    cells, _ = examples(50)
    turned = replace(cells, adjacency=cells.adjacency.transpose(1, 2))
    assert (network(turned) - network(cells)).abs().min() > 1e-5


def test_the_batch_does_not_matter(network, examples):
    cells, _ = examples(50)
    pieces = [network(cells.take(torch.tensor([i]))) for i in range(50)]
    assert torch.allclose(torch.cat(pieces), network(cells), atol=1e-5)
    assert torch.allclose(network.predict(cells, batch_size=7), network.predict(cells), atol=1e-5)


def test_published_sizes(network):
    shapes = [tuple(w.shape) for w in network.forward_weights]
    assert shapes == [(5, 144), (144, 144), (144, 144)]
    assert network.head[0].out_features == 128
    assert (NPN_CONFIG.batch_size, NPN_CONFIG.learning_rate) == (10, 2e-4)


def test_it_learns(check_training):
    check_training(fit_npn, SHORT, best=0.95)


def test_a_seed_fixes_everything(check_seed):
    check_seed(fit_npn, replace(SHORT, epochs=2))
