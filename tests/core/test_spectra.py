import random
from math import cos, pi

import numpy as np
import pytest
import torch
from gennape_plugin.core import spectra as module
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.spectra import normalised_laplacian, spectra, spectrum
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import graphs_of, store_of

from gennape_plugin.testing import renumbered

# Closed forms: Chung, Spectral Graph Theory (1997), examples 1.1 to 1.5.
KNOWN = {
    "path": (
        lambda n: [(i, i + 1) for i in range(n - 1)],
        lambda n: [1 - cos(pi * i / (n - 1)) for i in range(n)],
    ),
    "cycle": (
        lambda n: [(i, (i + 1) % n) for i in range(n)],
        lambda n: [1 - cos(2 * pi * i / n) for i in range(n)],
    ),
    "star": (
        lambda n: [(0, i) for i in range(1, n)],
        lambda n: [0, *[1] * (n - 2), 2],
    ),
    "complete": (
        lambda n: [(j, i) for i in range(n) for j in range(i)],
        lambda n: [0, *[n / (n - 1)] * (n - 1)],
    ),
}


def edges(pairs):
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


def dense(nodes, pairs):
    """All eigenvalues, from the definition."""
    adjacency = np.zeros((nodes, nodes))
    for a, b in pairs:
        adjacency[a, b] = adjacency[b, a] = 1
    degree = adjacency.sum(1)
    root = np.diag([d**-0.5 if d else 0 for d in degree])
    return np.linalg.eigvalsh(np.diag((degree > 0) * 1.0) - root @ adjacency @ root)


@pytest.fixture(params=["dense", "sparse"])
def route(request, monkeypatch):
    if request.param == "sparse":
        monkeypatch.setattr(module, "DENSE_NODES", 3)
    return request.param


@pytest.mark.usefixtures("route")
class TestKnownGraphs:
    @pytest.mark.parametrize("nodes", [6, 9, 40])
    @pytest.mark.parametrize("name", KNOWN)
    def test_closed_form(self, name, nodes):
        pairs, values = KNOWN[name]
        for k in (1, 4, nodes):
            found = spectrum(nodes, edges(pairs(nodes)), k)
            np.testing.assert_allclose(found, sorted(values(nodes))[:k], atol=1e-9)

    @pytest.mark.parametrize("nodes", [2, 3, 5])
    def test_padding_with_the_largest_eigenvalue(self, nodes):
        found = spectrum(nodes, edges(KNOWN["path"][0](nodes)), 8)
        np.testing.assert_allclose(found[:nodes], sorted(KNOWN["path"][1](nodes)), atol=1e-9)
        assert found[nodes:].tolist() == [2.0] * (8 - nodes)

    def test_a_single_node(self):
        assert spectrum(1, edges([]), 3).tolist() == [0, 2, 2]

    @pytest.mark.parametrize("isolated", [1, 5, 30])
    def test_isolated_nodes_each_give_a_zero(self, isolated):
        found = spectrum(40 + isolated, edges(KNOWN["path"][0](40)), 12)
        expected = sorted([*[0.0] * isolated, *KNOWN["path"][1](40)])[:12]
        np.testing.assert_allclose(found, expected, atol=1e-9)

    def test_equal_components_double_every_eigenvalue(self):
        pairs = [(a + shift, b + shift) for shift in (0, 30, 60) for a, b in KNOWN["path"][0](30)]
        expected = sorted(3 * KNOWN["path"][1](30))[:12]
        np.testing.assert_allclose(spectrum(90, edges(pairs), 12), expected, atol=1e-9)

    def test_symmetric_branches(self):
        """Eigenvectors that differ between equal branches are found too."""
        pairs, last = [], 0
        for _ in range(12):
            branches = range(last + 1, last + 5)
            pairs += [(last, b) for b in branches] + [(b, last + 5) for b in branches]
            last += 5
        np.testing.assert_allclose(
            spectrum(last + 1, edges(pairs), 30), dense(last + 1, pairs)[:30], atol=1e-9
        )

    @settings(max_examples=60)
    @given(st.data())
    def test_random_graphs(self, data):
        nodes = data.draw(st.integers(5, 30))
        vertex = st.integers(0, nodes - 1)
        drawn = data.draw(st.sets(st.tuples(vertex, vertex), max_size=60))
        pairs = [(a, b) for a, b in drawn if a != b]
        k = data.draw(st.integers(1, 12))
        found = spectrum(nodes, edges(pairs), k)
        np.testing.assert_allclose(found[:nodes], dense(nodes, pairs)[:k], atol=1e-8)

    def test_relabelling(self):
        rng = np.random.default_rng(0)
        pairs = [(i, i + 1) for i in range(24)] + [(3, 17), (5, 9), (0, 20)]
        names = rng.permutation(25)
        np.testing.assert_allclose(
            spectrum(25, names[edges(pairs)], 10), spectrum(25, edges(pairs), 10), atol=1e-9
        )


def test_direction_and_multiplicity_do_not_count():
    pairs = [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)]
    messy = [(b, a) for a, b in pairs] + pairs + pairs[:2]
    np.testing.assert_allclose(
        normalised_laplacian(5, edges(messy)).toarray(),
        normalised_laplacian(5, edges(pairs)).toarray(),
    )


def test_large_graphs_take_the_sparse_route(monkeypatch):
    called = []
    solve = module.scipy.sparse.linalg.eigsh
    monkeypatch.setattr(
        module.scipy.sparse.linalg, "eigsh", lambda *a, **k: called.append(1) or solve(*a, **k)
    )
    nodes = module.DENSE_NODES + 200
    found = spectrum(nodes, edges(KNOWN["path"][0](nodes)), 21)
    np.testing.assert_allclose(found, sorted(KNOWN["path"][1](nodes))[:21], atol=1e-9)
    assert called == [1]
    spectrum(50, edges(KNOWN["path"][0](50)), 21)
    assert called == [1]


def test_both_routes_agree_on_networks(monkeypatch):
    store = store_of("nasbench101", 6)
    straight = spectra(store, 21)
    monkeypatch.setattr(module, "DENSE_NODES", 10)
    torch.testing.assert_close(spectra(store, 21), straight, rtol=0, atol=1e-6)


def test_signatures_of_a_store():
    store = store_of("nasbench101", 4)
    found = spectra(store, 9)
    assert found.dtype == torch.float32
    for row, graph in zip(found, graphs_of("nasbench101", 4), strict=True):
        view = graph.paper_view()
        np.testing.assert_allclose(row, dense(view.num_nodes, view.edges.T.tolist())[:9], atol=1e-6)
    assert torch.equal(spectra(store, 9, [3, 1]), found[[3, 1]])


def test_node_order_does_not_matter():
    graph = graphs_of("nasbench101", 1, first=3)[0]
    views = [g.paper_view() for g in (graph, renumbered(graph, random.Random(0)))]
    first, second = (spectrum(v.num_nodes, v.edges, 21) for v in views)
    np.testing.assert_allclose(first, second, atol=1e-10)


@pytest.mark.parametrize("k", [0, -3])
def test_no_eigenvalues(k):
    with pytest.raises(InvalidInputError, match="at least 1"):
        spectrum(3, edges([(0, 1), (1, 2)]), k)
