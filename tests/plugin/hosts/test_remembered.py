"""What hosts keep between their questions."""

import os
import random

import pytest
from gennape_plugin.core.errors import WeightsError
from gennape_plugin.core.weights import CARD_FILE

from gennape_plugin import Gennape
from gennape_plugin.families import family
from gennape_plugin.hosts.remembered import estimator, remembered_scores


def test_weights_that_were_replaced_are_read_again(tmp_path) -> None:
    space, rng = family("nasbench201"), random.Random(0)
    graphs = [space.graph(space.sample(rng)) for _ in range(12)]
    by_hash = {graph.hash: graph for graph in graphs}
    shipped = Gennape.from_pretrained()
    folder = tmp_path / "tuned"
    for turn, labels in enumerate(([60.0 + i for i in range(12)], [90.0 - i for i in range(12)])):
        shipped.fine_tune(graphs, labels).save(folder)
        # Files written within one tick of a coarse clock have the same time.
        os.utime(folder / CARD_FILE, ns=(turn + 1, turn + 1))
        fresh = Gennape.from_pretrained(folder)
        expected = {p.graph_hash: p.score for p in fresh.score_many(by_hash.values())}
        assert remembered_scores(str(folder), by_hash) == expected
        assert remembered_scores(str(folder), by_hash) == expected
        assert estimator(str(folder)) is estimator(str(folder))


def test_weights_that_are_missing_are_named(tmp_path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        estimator(str(tmp_path))
