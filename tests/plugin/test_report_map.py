import random

import numpy as np
import pytest
from gennape_plugin.adapters.families import families
from gennape_plugin.core.batch import GraphStore
from small_models import graphs_of, small_model

from gennape_plugin import Gennape
from gennape_plugin.report import embedding_map
from gennape_plugin.report.embedding_map import family_map, from_json, make_map, to_json
from gennape_plugin.report.map_section import map_section


@pytest.fixture(scope="module")
def made():
    return make_map(small_model(), "abc", samples=4)


def test_every_family_is_on_the_map(made) -> None:
    assert list(made.families) == list(families())
    assert all(family.points.shape == (4, 6) for family in made.families.values())
    assert np.allclose(made.axes @ made.axes.T, np.eye(6), atol=1e-6)
    assert sorted(made.explained, reverse=True) == list(made.explained)
    assert 0 < sum(made.explained) <= 1


def test_a_kept_map_is_the_same_to_within_rounding(made) -> None:
    again = from_json(to_json(made))
    assert again.sha256 == "abc"
    for name, family in made.families.items():
        assert np.allclose(again.families[name].points, family.points, atol=0.006)


def test_a_sampled_network_lies_where_its_map_has_it(made) -> None:
    space = families()["hiaml"]
    graph = space.graph(space.sample(random.Random("hiaml 2")))
    embedding = small_model().predict(GraphStore.of([graph])).embedding[0]
    assert np.allclose(made.place(embedding), made.families["hiaml"].points[2], atol=1e-3)
    assert made.distances(embedding)["hiaml"] == min(made.distances(embedding).values())


def test_other_weights_get_a_map_of_their_own(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        embedding_map, "make_map", lambda model, sha256, samples: asked.append(sha256)
    )
    family_map(small_model(), {"sha256": "other"})
    family_map(small_model(), {})
    assert asked == ["other", ""]
    est = Gennape.from_pretrained()
    assert len(family_map(est.model, est.card).families) == len(families())
    assert len(asked) == 2


def test_families_are_nearest_to_their_own(made) -> None:
    est = Gennape.from_pretrained()
    kept = family_map(est.model, est.card)
    for name in ("nasbench201", "ofa_proxyless", "inception"):
        x = est.model.predict(GraphStore.of(graphs_of(name, 3))).embedding
        for row in x:
            far = kept.distances(row)
            assert min(far, key=lambda key, far=far: far[key]) == name


def test_a_network_far_out_stays_on_the_drawing(made) -> None:
    embedding = small_model().predict(GraphStore.of(graphs_of("hiaml", 1))).embedding[0]
    html = map_section(made, 1e6 * embedding, "<far>")
    assert "&lt;far&gt;" in html
    assert "nan" not in html
    assert "<far>" not in html
