import math

import pytest
import torch
from gennape_plugin.core.contrastive import ContrastiveHeads, contrastive_loss, positive_weights
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.spectra import spectra
from small_models import store_of


def rows(count, size, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def equation_1(z, alpha, temperature):
    """The loss as printed, one pair at a time."""
    z = [[float(v) for v in row] for row in z]

    def sim(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.hypot(*a) / math.hypot(*b) / temperature

    total = 0.0
    for i in range(len(z)):
        below = sum(math.exp(sim(z[i], z[t])) for t in range(len(z)) if t != i)
        for r in range(len(z)):
            if r != i:
                total -= float(alpha[i, r]) * math.log(math.exp(sim(z[i], z[r])) / below)
    return total / len(z)


class TestLoss:
    @pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
    @pytest.mark.parametrize("sharpness", [0.05, 1.0])
    def test_equation_1(self, temperature, sharpness):
        alpha = positive_weights(rows(5, 4), sharpness=sharpness)
        z = rows(10, 6, seed=1)
        found = contrastive_loss(z, alpha, temperature=temperature)
        assert float(found) == pytest.approx(equation_1(z, alpha, temperature), rel=1e-5)

    def test_the_length_of_a_projection_does_not_matter(self):
        alpha, z = positive_weights(rows(4, 3), sharpness=0.5), rows(8, 5)
        scale = torch.linspace(0.1, 30, 8)[:, None]
        torch.testing.assert_close(
            contrastive_loss(z * scale, alpha, temperature=0.1),
            contrastive_loss(z, alpha, temperature=0.1),
        )

    def test_identical_views_minimise(self):
        """With one positive each, the best is every view on its twin and far from all others."""
        alpha = positive_weights(20 * rows(3, 6), sharpness=0.01)
        apart = torch.eye(3).repeat(2, 1)
        best = contrastive_loss(apart, alpha, temperature=0.1)
        assert float(best) < 1e-3
        for seed in range(20):
            other = apart + 0.5 * rows(6, 3, seed)
            assert float(contrastive_loss(other, alpha, temperature=0.1)) > float(best)
        swapped = apart[[0, 1, 2, 1, 2, 0]]
        assert float(contrastive_loss(swapped, alpha, temperature=0.1)) > 9

    def test_descent_brings_the_views_of_a_graph_together(self):
        signatures = rows(6, 8)
        alpha = positive_weights(signatures, sharpness=0.05)
        z = rows(12, 6, seed=2).requires_grad_()
        optimizer = torch.optim.Adam([z], lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            contrastive_loss(z, alpha, temperature=0.1).backward()
            optimizer.step()
        similarity = torch.cosine_similarity(z[:, None], z[None], dim=2).detach()
        similarity.fill_diagonal_(-2)
        assert similarity.argmax(1).tolist() == [*range(6, 12), *range(6)]

    @pytest.mark.parametrize("temperature", [0.01, 0.1])
    def test_gradients_are_finite(self, temperature):
        alpha = positive_weights(rows(4, 3), sharpness=0.001)
        z = rows(8, 5)
        z[4] = z[0]  # a view equal to its twin
        z[5] = 0  # dead projection
        z.requires_grad_()
        contrastive_loss(z, alpha, temperature=temperature).backward()
        assert z.grad.isfinite().all()
        assert z.grad[1].abs().max() > 0

    def test_gradient(self):
        alpha = positive_weights(rows(3, 3), sharpness=0.5).double()
        z = rows(6, 4).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda z: contrastive_loss(z, alpha, temperature=0.5), (z,))


class TestWeights:
    @pytest.mark.parametrize("views", [2, 3])
    def test_softmax_of_distances(self, views):
        signatures = rows(4, 3)
        alpha = positive_weights(signatures, sharpness=0.7, views=views)
        assert alpha.shape == (4 * views, 4 * views)
        for i in range(4 * views):
            weight = [
                0.0
                if r == i
                else math.exp(-float(torch.dist(signatures[i % 4], signatures[r % 4])) / 0.7)
                for r in range(4 * views)
            ]
            expected = torch.tensor([w / sum(weight) for w in weight])
            torch.testing.assert_close(alpha[i], expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("sharpness", [1e-3, 0.05, 1.0, 100.0])
    def test_rows_sum_to_one(self, sharpness):
        alpha = positive_weights(rows(9, 5), sharpness=sharpness)
        torch.testing.assert_close(alpha.sum(1), torch.ones(18))
        assert alpha.diagonal().abs().max() == 0

    def test_sharper_means_nearest_only(self):
        signatures = rows(6, 4)
        nearest = [
            float(positive_weights(signatures, sharpness=s)[0, 6]) for s in (10.0, 1.0, 0.1, 0.01)
        ]
        assert nearest == sorted(nearest)
        assert nearest[0] < 0.12
        assert nearest[-1] > 0.999

    def test_the_other_view_of_a_graph_weighs_most(self):
        """In a whole batch of networks too, where distances are small."""
        count = 128
        alpha = positive_weights(spectra(store_of("nasbench101", count), 21), sharpness=0.05)
        twin = alpha[torch.arange(2 * count), torch.arange(2 * count).roll(count)]
        # Equal up to the rounding of a distance, where another graph has the same spectrum.
        assert (twin >= alpha.max(1).values * 0.97).all()
        assert (twin == alpha.max(1).values).float().mean() > 0.8

    @pytest.mark.parametrize("sharpness", [0.0, -1.0])
    def test_impossible_sharpness(self, sharpness):
        with pytest.raises(InvalidInputError, match="positive"):
            positive_weights(rows(3, 2), sharpness=sharpness)


def test_heads():
    heads = ContrastiveHeads(16, projection=5)
    projections, flops = heads(rows(7, 16))
    assert projections.shape == (7, 5)
    assert flops.shape == (7,)
    torch.testing.assert_close(flops, heads.flops(rows(7, 16)).squeeze(1))
