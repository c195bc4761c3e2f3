"""Predictions made of readings."""

import random

import pytest
from gennape_plugin.core.builder import GraphBuilder

from gennape_plugin import Gennape
from gennape_plugin.families import family

SPACE = family("nasbench201")
CELLS = [SPACE.graph(SPACE.sample(random.Random(i))) for i in range(8)]


@pytest.fixture(scope="module")
def tuned() -> Gennape:
    return Gennape.from_pretrained().fine_tune(CELLS, [70.0 + i for i in range(8)], dataset="mine")


def test_the_card_says_the_data_set_and_the_model_how_many_labels(tuned: Gennape) -> None:
    found = tuned.score(CELLS[0])
    assert (found.dataset, found.unit) == ("mine", "accuracy on the 8 labels' scale")


@pytest.mark.parametrize("entry", [{"mode": "x"}, 5, None, []])
def test_a_damaged_card_loses_the_name_only(tuned: Gennape, entry: object) -> None:
    damaged = Gennape(tuned.model, {**tuned.card, "fine_tuned": entry})
    one, two = damaged.score(CELLS[0]), tuned.score(CELLS[0])
    assert (one.score, one.unit, one.dataset) == (two.score, two.unit, "")


def test_networks_unlike_the_labelled_ones_are_named() -> None:
    labels = [70.0 + i for i in range(30)]
    cells = [SPACE.graph(SPACE.sample(random.Random(i))) for i in range(60)]
    tuned = Gennape.from_pretrained().fine_tune(cells[:30], labels)
    alike = tuned.score_many(cells[30:])
    assert sum(p.familiar for p in alike) > 20
    b = GraphBuilder("stack")
    x = b.input((1, 3, 32, 32))
    for _ in range(30):
        x = b.relu(b.conv(x, 3, kernel=3))
    far = tuned.score(b.build(b.linear(b.mean(x, (2, 3)), 10)))
    assert far.label_distance > 5
    assert not far.familiar
    assert far.interval is None
    assert far.notes[0].startswith("unlike the networks with labels")
    near = max(alike, key=lambda p: p.familiar)
    assert near.notes == ()
    assert near.interval is not None


def test_scores_of_ones_own(tuned: Gennape) -> None:
    readings = tuned.read([(graph.name, graph) for graph in CELLS])
    size = tuned.model.score_on("size", readings.outputs)
    found = tuned.predictions(readings, size, "size")
    assert [p.score for p in found] == size.tolist()
    assert {p.basis for p in found} == {"size"}
    assert [p.score for p in tuned.predictions(readings)] == [
        p.score for p in tuned.score_many(CELLS)
    ]
