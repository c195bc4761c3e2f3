from dataclasses import replace

import numpy as np
import pytest
import torch
from gennape_plugin.core.comparators.tnasp import (
    TNASP_CONFIG,
    Tnasp,
    fit_tnasp,
    laplacian_eigenvectors,
    laplacian_rows,
)
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.training import seeded
from scipy.sparse.csgraph import laplacian

SHORT = replace(TNASP_CONFIG, epochs=8, learning_rate=5e-4)


def network(positions):
    with seeded(0):
        return Tnasp(positions=positions).eval()


def reference(arch):
    """The cell's normalised undirected Laplacian, by scipy."""
    edges = np.array(arch.matrix, dtype=float)
    return laplacian(edges + edges.T, normed=True)


class TestEigenvectors:
    def test_they_are_eigenvectors_in_order(self, archs, examples):
        for arch, found in zip(archs(60), laplacian_eigenvectors(examples(60)[0]), strict=True):
            count = len(arch.ops)
            vectors = found[:count, : count - 1].double().numpy()
            matrix = reference(arch)
            values = np.linalg.eigvalsh(matrix)
            assert abs(values[0]) < 1e-12
            assert np.allclose(matrix @ vectors, vectors * values[1:], atol=1e-5)
            assert np.allclose(vectors.T @ vectors, np.eye(count - 1), atol=1e-5)

    def test_they_are_orthogonal_to_the_trivial_one(self, archs, examples):
        for arch, found in zip(archs(60), laplacian_eigenvectors(examples(60)[0]), strict=True):
            edges = np.array(arch.matrix)
            degrees = edges.sum(axis=0) + edges.sum(axis=1)
            assert np.allclose(np.sqrt(degrees) @ found[: len(degrees)].numpy(), 0, atol=1e-5)

    def test_padding_is_zero(self, archs, examples):
        found = laplacian_eigenvectors(examples(60)[0])
        for arch, rows in zip(archs(60), found, strict=True):
            count = len(arch.ops)
            assert not rows[count:].any()
            assert not rows[:, count - 1 :].any()

    def test_the_sign_is_fixed(self, examples):
        found = laplacian_eigenvectors(examples(60)[0])
        assert torch.allclose(found.amax(dim=1), found.abs().amax(dim=1), atol=1e-6)

    def test_they_do_not_tell_directions(self, examples):
        cells, _ = examples(10)
        turned = replace(cells, adjacency=cells.adjacency.transpose(1, 2))
        assert torch.equal(laplacian_eigenvectors(turned), laplacian_eigenvectors(cells))


class TestRows:
    def test_they_sum_to_zero(self, examples):
        assert not laplacian_rows(examples(60)[0]).sum(dim=2).any()

    def test_they_tell_the_graph(self, examples):
        cells, _ = examples(60)
        rows = laplacian_rows(cells)
        assert torch.equal(rows.triu(1), -cells.adjacency)
        assert torch.equal(rows.diagonal(dim1=1, dim2=2), cells.adjacency.sum(dim=2))


@pytest.mark.parametrize("positions", ["laplacian", "eigenvectors"])
class TestNetwork:
    def test_padding_is_not_seen(self, positions, examples):
        model = network(positions)
        cells, _ = examples(40)
        codes = model.encode(cells)
        assert torch.equal(model.encoded(cells, codes), model(cells))
        spoilt = torch.where(cells.present[:, :, None], codes, 5.0)
        assert not torch.equal(spoilt, codes)
        assert torch.allclose(model.encoded(cells, spoilt), model(cells), atol=1e-5)

    def test_vertices_are_a_set_but_for_their_codes(self, positions, examples, reorder):
        model = network(positions)
        cells, _ = examples(40)
        codes, order = model.encode(cells), [3, 0, 6, 1, 5, 2, 4]
        found = model.encoded(reorder(cells, order), codes[:, order])
        assert torch.allclose(found, model(cells), atol=1e-5)

    def test_positions_matter(self, positions, examples):
        model = network(positions)
        cells, _ = examples(40)
        elsewhere = model.encoded(cells, model.encode(cells).roll(1, dims=0))
        assert (elsewhere - model(cells)).abs().mean() > 1e-3

    def test_the_batch_does_not_matter(self, positions, examples):
        model = network(positions)
        cells, _ = examples(40)
        pieces = model.predict(cells, batch_size=7)
        assert torch.allclose(pieces, model.predict(cells), atol=1e-5)


def test_it_learns(check_training):
    check_training(fit_tnasp, SHORT, best=0.95)


def test_a_seed_fixes_everything(check_seed):
    check_seed(fit_tnasp, replace(SHORT, epochs=2))


def test_unknown_positions():
    with pytest.raises(InvalidInputError, match="choose from laplacian, eigenvectors"):
        Tnasp(positions="sine")
