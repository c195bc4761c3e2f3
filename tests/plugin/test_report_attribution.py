import numpy as np
import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.statistics import STATISTICS, statistics
from small_models import chain, graphs_of, small_model

from gennape_plugin import Gennape
from gennape_plugin.report.attribution import attribute, held_score, without


@pytest.fixture(scope="module")
def model():
    return Gennape.from_pretrained().model


ENDS = {"input", "output", "zero"}
#: Networks near the training graphs (scored by the members) and far from them (by size).
NEAR = [("nasbench101", seed) for seed in (1, 7, 9, 12)]
FAR = [
    *[("nasbench101", 0), ("nasbench201", 0), ("ofa_mobilenetv3", 0), ("hiaml", 0)],
]


def strongest(values, k):
    """The ``k`` operations of one sign with the largest sum: those of both would cancel."""
    order = np.argsort(values)
    low, high = order[:k], order[-k:]
    return (low if -values[low].sum() > values[high].sum() else high).tolist()


@pytest.mark.parametrize(("networks", "basis"), [(NEAR, "members"), (FAR, "size")])
def test_deleting_the_top_operations_matters_more_than_deleting_random_ones(
    model, networks, basis
) -> None:
    k, draws = 5, 8
    rng = np.random.default_rng(0)
    top, costly, random_, wins, trials = [], [], [], 0, 0
    for family, first in networks:
        (graph,) = graphs_of(family, 1, first)
        found = attribute(model, graph)
        assert found.basis == basis
        kind, score = held_score(model, graph)
        assert kind == basis
        could = [i for i, n in enumerate(graph.nodes) if n.paper and n.op not in ENDS]
        chosen = [
            strongest(found.values, k),
            sorted(could, key=lambda i: -graph.nodes[i].macs)[:k],
            *(rng.choice(could, k, replace=False).tolist() for _ in range(draws)),
        ]
        change = np.abs(found.score - score([without(graph, nodes) for nodes in chosen]))
        top.append(change[0])
        costly.append(change[1])
        random_.append(change[2:].mean())
        wins += int((change[0] > change[2:]).sum())
        trials += draws
    assert np.mean(top) > 3 * np.mean(random_)
    assert np.mean(top) > np.mean(costly)
    assert wins >= 0.9 * trials


def test_signs_say_which_way_a_deletion_moves_the_score(model) -> None:
    (graph,) = graphs_of("nasbench101", 1, 1)
    found = attribute(model, graph)
    _, score = held_score(model, graph)
    order = np.argsort(found.values)
    assert score([without(graph, order[-5:].tolist())])[0] < found.score
    assert score([without(graph, order[:5].tolist())])[0] > found.score


def test_a_single_deletion_is_what_the_attribution_says(model) -> None:
    (graph,) = graphs_of("hiaml", 1)
    found = attribute(model, graph)
    _, score = held_score(model, graph)
    for i in np.argsort(-np.abs(found.values))[:3]:
        assert score([without(graph, [int(i)])])[0] == pytest.approx(found.score - found.values[i])


def test_deleting_takes_cost_and_depth_and_keeps_the_rest() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 3, 8, 8)), 4, kernel=3)
    graph = b.build(b.linear(b.mean(b.conv(b.relu(x), 6, kernel=3), (2, 3)), 10))
    (conv,) = [i for i, n in enumerate(graph.nodes) if n.op == "conv" and n.shape[1] == 6]
    shorter = without(graph, [conv])
    assert graph.macs - shorter.macs == graph.nodes[conv].macs
    assert graph.params - shorter.params == graph.nodes[conv].params
    before = dict(zip(STATISTICS, statistics(graph), strict=True))
    after = dict(zip(STATISTICS, statistics(shorter), strict=True))
    assert before["depth"] - after["depth"] == pytest.approx(1)
    assert shorter.paper_view().num_nodes == graph.paper_view().num_nodes - 1
    assert without(graph, []) == graph


def test_shared_weights_pass_to_the_next_that_uses_them() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 8, 8))
    for _ in range(3):
        x = b.conv(x, 4, kernel=3)
    plain = b.build(x)
    graph = ComputeGraph(plain.nodes, plain.operands, weight_of=[0, 1, 1, 1, 4])
    assert without(graph, [1]).params == graph.params
    assert without(graph, [1]).weight_of == (0, 1, 2, 2, 4)
    assert without(graph, [1, 2, 3]).params == 0


def test_operations_that_no_view_shows_have_no_part(model) -> None:
    b = GraphBuilder()
    x = b.relu(b.conv(b.input((1, 3, 8, 8)), 4, kernel=3))
    x = b.add("reshape", [x], shape=(1, 256))
    graph = b.build(b.linear(x, 10))
    values = dict(zip([n.op for n in graph.nodes], attribute(model, graph).values, strict=True))
    assert values["reshape"] == values["input"] == values["output"] == 0
    assert values["conv"] > 0
    assert values["linear"] > 0


def test_large_networks_share_measurements_and_stay_within_the_budget(model) -> None:
    (graph,) = graphs_of("hiaml", 1)
    exact = attribute(model, graph)
    assert (exact.reach, exact.skipped) == (None, 0)
    shared = attribute(model, graph, budget=40 * len(graph))
    assert shared.reach is not None
    assert shared.deletions <= 40
    assert shared.skipped == 0
    assert np.corrcoef(shared.values, exact.values)[0, 1] > 0.9
    least = attribute(model, graph, budget=5 * len(graph))
    assert (least.deletions, least.reach) == (5, 0)
    assert least.skipped > 0
    none = attribute(model, graph, budget=len(graph) - 1)
    assert (none.deletions, bool(none.values.any())) == (0, False)


def test_fine_tuned_models_are_explained_by_their_regressions() -> None:
    est = Gennape(small_model(), {})
    graphs = [chain(length) for length in range(2, 10)]
    tuned = est.fine_tune(graphs, [80 + len(graph) / 2 for graph in graphs])
    tuned.model.few_shot.blend.fill_(1.0)
    found = attribute(tuned.model, graphs[0])
    assert found.basis == "labels"
    assert found.score == pytest.approx(tuned.score(graphs[0]).score, abs=1e-5)
    tuned.model.few_shot.blend.fill_(0.0)
    assert attribute(tuned.model, graphs[0]).basis != "labels"


def test_the_kind_of_score_is_held(model) -> None:
    (graph,) = graphs_of("nasbench101", 1, 1)
    found = attribute(model, graph)
    assert found.basis == "members"
    assert found.score == pytest.approx(Gennape(model, {}).score(graph).score, abs=1e-5)
