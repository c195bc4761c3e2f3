"""What reads a model's outputs stays where they are."""

import pytest
import torch
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.few_shot import fit_few_shot
from gennape_plugin.core.model import GennapeModel
from small_models import small_model, store_of


@pytest.fixture
def model() -> GennapeModel:
    return small_model()


def test_a_model_that_moves_still_scores(model: GennapeModel) -> None:
    store: GraphStore = store_of("nasbench101", 12)
    model.add_untrained()
    outputs = model.predict(store)
    accuracy = torch.linspace(0.8, 0.95, 12).double()
    size = model.ranker.size(outputs.statistics)
    model.few_shot, _ = fit_few_shot(outputs, accuracy, size)
    model.few_shot.blend.fill_(1)
    before = model.score(outputs), model.population_score(outputs), model.accuracy(outputs)[1]
    moved = model.to("meta")
    assert moved.space.mean.is_meta
    assert moved.encoder.embedding.resolution.weight.is_meta
    after = moved.score(outputs), moved.population_score(outputs), moved.accuracy(outputs)[1]
    for one, two in zip(before, after, strict=True):
        assert torch.equal(one, two)
    moved.few_shot.blend.fill_(0)
    assert torch.equal(moved.score_on("size", outputs), size)


def test_half_precision_leaves_it_exact(model: GennapeModel) -> None:
    statistics = store_of("nasbench101", 4).statistics
    before = model.ranker.size(statistics)
    assert torch.equal(model.half().ranker.size(statistics), before)
