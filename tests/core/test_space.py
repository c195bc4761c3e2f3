"""Distances from the training graphs, and the score that heeds them."""

from dataclasses import replace

import pytest
import torch
from gennape_plugin.core.members import SegmentMember
from gennape_plugin.core.model import GennapeModel, Outputs
from gennape_plugin.core.space import COMPONENTS, EmbeddingSpace
from small_models import small_model, store_of


def fitted(graphs: int = 4000, features: int = 40) -> tuple[EmbeddingSpace, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    mixing = torch.randn(features, features, generator=draw)
    h = torch.randn(graphs, features, generator=draw) @ mixing
    gflops = torch.rand(graphs, generator=draw) * 10
    space = EmbeddingSpace(features)
    space.fit(h, gflops)
    return space, space(h, gflops)


def test_features_are_standardised() -> None:
    _, x = fitted()
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(x.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(dim=0), torch.ones(x.shape[1]), atol=1e-3, rtol=0)


def test_one_is_the_99th_percentile_of_training() -> None:
    space, x = fitted()
    assert (space.distance(x) > 1).float().mean() == pytest.approx(0.01, abs=1e-3)


def test_distance_is_mahalanobis_over_the_leading_components() -> None:
    space, x = fitted()
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0).double())
    leading = vectors[:, -COMPONENTS:]
    squared = ((x.double() @ leading) ** 2 / values[-COMPONENTS:]).sum(dim=1)
    expected = squared.sqrt() / squared.sqrt().quantile(0.99)
    torch.testing.assert_close(space.distance(x).double(), expected, rtol=1e-3, atol=1e-3)


def test_far_points_are_far_and_a_fresh_space_calls_all_near() -> None:
    space, x = fitted()
    assert bool((space.distance(10 * x[:100]) > 1).all())
    assert bool((EmbeddingSpace(40).distance(10 * x) == 0).all())


class TestScoreHeedsDistance:
    def outputs(self) -> tuple[GennapeModel, Outputs]:
        model = small_model()
        return model, model.predict(store_of("nasbench101", 6))

    def test_near_graphs_get_the_ensemble_and_far_ones_their_size(self) -> None:
        model, near = self.outputs()
        distance = torch.tensor([0.0, 0.5, 1.0, 1.01, 3.0, 50.0])
        score = model.score(replace(near, distance=distance))
        torch.testing.assert_close(score[:3], model.ensemble_score(near.members)[:3])
        size = model.ranker.size(near.statistics).float()
        torch.testing.assert_close(score[3:], size[3:])
        assert not torch.allclose(size, model.ensemble_score(near.members))

    def test_far_graphs_rank_as_their_sizes_do(self) -> None:
        model, near = self.outputs()
        far = replace(near, distance=torch.full((6,), 2.0))
        assert (
            model.score(far).argsort().tolist()
            == model.ranker.size(near.statistics).argsort().tolist()
        )

    def test_a_population_like_the_training_graphs_is_ranked_by_the_ensemble(self) -> None:
        model, _ = self.outputs()
        outputs = model.predict(store_of("nasbench101", 10))
        distance = torch.zeros(10)
        distance[3] = 1.2  # one in ten is a little further out: still of the same kind
        score = model.population_score(replace(outputs, distance=distance))
        torch.testing.assert_close(score, model.ensemble_score(outputs.members).double())
        distance[4] = 1.2
        score = model.population_score(replace(outputs, distance=distance))
        torch.testing.assert_close(score, model.ranker(outputs.statistics))

    def test_a_graph_that_is_unfamiliar_to_a_member_is_unfamiliar(self) -> None:
        model, _ = self.outputs()
        cells, others = store_of("nasbench101", 40), store_of("nasbench201", 4)
        member = model.members["segments"]
        assert isinstance(member, SegmentMember)
        model.space = EmbeddingSpace(model.encoder.size)  # one that calls every graph near
        before = model.predict(others)
        member.fit_space(cells)
        assert float(model.predict(cells).distance.median()) < 1
        own = [member.raw_and_distance(others.batch([i]), torch.empty(1, 65))[1] for i in range(4)]
        found = model.predict(others)
        torch.testing.assert_close(found.distance, torch.cat(own), rtol=1e-4, atol=1e-4)
        assert bool((found.distance > 1).all())
        for name, values in found.members.items():
            torch.testing.assert_close(values, before.members[name])
