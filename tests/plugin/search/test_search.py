import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.graph_json import load_graph
from gennape_plugin.core.mutation import Mutator
from gennape_plugin.core.search import Candidate, Goal, RunFolder, Scores

from gennape_plugin import Gennape
from gennape_plugin.families import family
from gennape_plugin.region import Region, known_region
from gennape_plugin.search import SearchConfig, search
from gennape_plugin.search.family_moves import FamilyMutator
from gennape_plugin.search.nsga2 import NSGA2
from gennape_plugin.search.page import changed_nodes
from gennape_plugin.search.results import write_results
from gennape_plugin.search.scoring import Scorer


@pytest.fixture(scope="module")
def shipped() -> Gennape:
    return Gennape.from_pretrained()


@pytest.fixture(scope="module")
def cell() -> ComputeGraph:
    """A NAS-Bench-101 network like those the weights were trained on."""
    space = family("nasbench101")
    matrix = [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    ops = ["input", "conv3x3-bn-relu", "conv3x3-bn-relu", "output"]
    return space.graph(space.parse({"matrix": matrix, "ops": ops}))


def plain() -> ComputeGraph:
    b = GraphBuilder("plain")
    x = b.input((1, 3, 32, 32))
    for channels in (16, 32, 64):
        x = b.relu(b.batch_norm(b.conv(x, channels, kernel=3, stride=2)))
    return b.build(b.linear(b.mean(x, (2, 3)), 10))


def test_a_familiar_network_is_searched_within_the_known_region(
    shipped: Gennape, cell: ComputeGraph
) -> None:
    config = SearchConfig(iterations=3, population=8, min_accuracy="start")
    found, goal, scorer = search(shipped, cell, config)
    assert scorer.basis == "members"
    first = found.start.scores
    assert goal.min_accuracy == pytest.approx(first.accuracy)
    assert found.front
    for c in found.front:
        assert c.scores.excess == 0
        assert c.scores.distance <= 1
        assert c.scores.accuracy >= first.accuracy
        assert c.scores.quality >= first.quality
    again, _, _ = search(shipped, cell, config)
    assert [c.graph.hash for c in again.population] == [c.graph.hash for c in found.population]


def test_scores_are_those_of_the_estimator(shipped: Gennape, cell: ComputeGraph) -> None:
    scorer = Scorer.of(shipped, cell, cautious=False)
    rng = random.Random(0)
    graphs = [Mutator(rng).mutate(cell).child for _ in range(6)]
    for scores, p in zip(scorer(graphs), shipped.score_many(graphs), strict=True):
        assert scores.accuracy == pytest.approx(p.accuracy, abs=1e-4)
        assert (scores.flops, scores.params) == (p.flops, p.params)
        assert scores.distance == pytest.approx(p.distance, abs=1e-4)
        if p.basis == "members":
            assert scores.quality == pytest.approx(p.score, abs=1e-4)
    # The pessimist never thinks more of a network than the mean of the same members' range.
    cautious = Scorer.of(shipped, cell)(graphs)
    assert all(c.quality <= s.quality + 1.5 for c, s in zip(cautious, scorer(graphs), strict=True))


@pytest.mark.slow
def test_the_region_holds_known_cells_and_not_what_a_search_invents(
    shipped: Gennape, cell: ComputeGraph
) -> None:
    region = known_region(shipped.model, "members")
    assert region is not None
    cells, rng = family("nasbench101"), random.Random(77)
    scorer = Scorer.of(shipped, cell)
    known = [cells.graph(cells.sample(rng)) for _ in range(60)]
    inside = [s.excess for s in scorer(known) if s.distance <= 1]
    assert np.mean(np.array(inside) == 0) > 0.9
    config = SearchConfig(iterations=6, population=12, cautious=False, max_flops="1x")
    found, _, _ = search(shipped, cell, config)
    best = found.front[0]
    assert best.scores.quality > found.start.scores.quality
    assert scorer([best.graph])[0].excess > 0


def test_a_region_is_an_ellipsoid_around_its_points() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(400, 5)) * [1, 2, 3, 4, 0.1] + 7
    region = Region.fit(known)
    assert 0.97 < np.mean(region.distance(known) <= 1) <= 1
    fresh = rng.normal(size=(2000, 5)) * [1, 2, 3, 4, 0.1] + 7
    assert 0.96 < np.mean(region.distance(fresh) <= 1) < 1
    assert region.distance(known + np.array([0, 0, 0, 0, 3])).min() > 1
    assert known_region(Gennape.from_pretrained().model, "size") is None


def test_far_networks_are_searched_by_size_with_a_caution(shipped: Gennape, tmp_path: Path) -> None:
    config = SearchConfig(iterations=3, population=8, max_flops="0.9x", engine="local")
    result, goal, scorer = search(shipped, plain(), config, folder=tmp_path / "run")
    assert scorer.basis == "size"
    rows = write_results(RunFolder(tmp_path / "run"), shipped, result, goal, scorer)
    summary = json.loads((tmp_path / "run" / "results.json").read_text())
    assert "size prior" in summary["caution"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "size prior" in page
    assert len(rows) == len(summary["networks"]) > 1
    for row in summary["networks"]:
        assert load_graph(tmp_path / "run" / row["graph"]).hash == row["hash"]
        source = (tmp_path / "run" / row["module"]).read_text()
        compile(source, row["module"], "exec")
    # Written again with fewer networks, nothing of the larger front is left.
    smaller = replace(result, front=result.front[:1])
    write_results(RunFolder(tmp_path / "run"), shipped, smaller, goal, scorer, modules=False)
    left = sorted(path.name for path in (tmp_path / "run" / "graphs").iterdir())
    assert left == ["01.json", "start.json"]
    assert list((tmp_path / "run" / "modules").iterdir()) == []
    with pytest.raises(InvalidInputError, match="not to be relied on; give 'start'"):
        search(shipped, plain(), SearchConfig(min_accuracy="91"))


def test_tuned_weights_search_by_their_labels(shipped: Gennape) -> None:
    rng = random.Random(0)
    mutator = Mutator(rng, moves=["widen", "narrow"])
    graphs = [plain()]
    for _ in range(30):
        graphs.append(mutator.mutate(graphs[-1] if len(graphs) % 3 else plain()).child)
    # Labels that contradict the size prior, so that the regressions are kept.
    labels = [90 - g.params / 5e3 for g in graphs]
    tuned = shipped.fine_tune(graphs, labels)
    found, _, scorer = search(tuned, plain(), SearchConfig(iterations=3, population=8))
    assert scorer.basis == "labels"
    assert found.front
    assert all(c.scores.excess == 0 for c in found.front)


def test_a_folder_goes_on_with_the_same_tuned_weights_only(
    shipped: Gennape, tmp_path: Path
) -> None:
    graphs = [plain(), *(family("nasbench101").graph(family("nasbench101").sample(random.Random(i)))
                         for i in range(7))]  # fmt: skip
    one = shipped.fine_tune(graphs, [90.0 - i for i in range(8)])
    two = shipped.fine_tune(graphs, [60.0 + i for i in range(8)])
    config = SearchConfig(iterations=1, population=4)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json.partial").write_text("{")  # of a run that was killed at once
    search(one, plain(), config, folder=folder)
    search(one, plain(), replace(config, iterations=2), folder=folder)
    with pytest.raises(InvalidInputError, match="holds a search with "):
        search(two, plain(), config, folder=folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "luck"}, "unknown engine 'luck': choose from nsga2, local"),
        ({"max_flops": "much"}, "--max-flops 'much': give a number"),
        ({"max_flops": "-1"}, "--max-flops -1: give a number above 0"),
        ({"max_params": "0x"}, "--max-params 0x: give a number above 0"),
        ({"objectives": ("luck",)}, "unknown objective"),
        ({"freeze": ("nowhere",)}, "no part of the network is called 'nowhere'"),
        ({"population": 0}, "give at least 1"),
    ],
)
def test_settings_without_meaning_are_refused(
    shipped: Gennape, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        search(shipped, plain(), SearchConfig(**settings))  # type: ignore[arg-type]


def test_operations_that_were_never_trained_on_stay_out(shipped: Gennape) -> None:
    config = SearchConfig(iterations=2, population=8)
    found, _, _ = search(shipped, plain(), config)
    groups = [n.attr("groups") for c in found.population for n in c.graph.nodes if n.op == "conv"]
    assert set(groups) == {1}
    free, _, _ = search(shipped, plain(), SearchConfig(iterations=2, population=30, any_op=True))
    groups = [n.attr("groups") for c in free.population for n in c.graph.nodes if n.op == "conv"]
    assert max(groups) > 1


def some(quality: float, flops: int, excess: float = 0.0) -> Candidate:
    scores = Scores(quality, excess, 90.0, None, 0.5, 0.0, flops, 10, 3)
    b = GraphBuilder()
    return Candidate(b.build(b.conv(b.input((1, 3, 8, 8)), flops, kernel=1)), scores)


def test_nsga2_keeps_fronts_and_spread_and_prefers_valid_parents() -> None:
    front = [some(float(q), 10 * q) for q in range(1, 9)]
    worse = [some(q - 0.5, 10 * q + 5) for q in range(1, 9)]
    broken = [some(20.0, 1, excess=float(e)) for e in range(1, 4)]
    engine, rng = NSGA2(), random.Random(0)
    kept = engine.survivors([*broken, *worse, *front], 8, Goal(), rng)
    assert sorted(c.scores.quality for c in kept) == list(range(1, 9))
    kept = engine.survivors([*broken, *front], 4, Goal(), rng)
    assert {1.0, 8.0} <= {c.scores.quality for c in kept}  # the ends of the front
    kept = engine.survivors([*broken, *front], 10, Goal(), rng)
    assert [c.scores.excess for c in kept][8:] == [1.0, 2.0]
    parents = engine.parents([*broken, *front], 200, Goal(), rng)
    assert sum(c.scores.excess > 0 for c in parents) < 30
    assert NSGA2().parents(front, 5, Goal(), random.Random(3)) == NSGA2().parents(
        front, 5, Goal(), random.Random(3)
    )


@pytest.mark.parametrize("name", ["nasbench201", "nasbench_macro", "transnas101_micro"])
def test_family_mutations_change_one_choice(name: str) -> None:
    space, rng = family(name), random.Random(0)
    mutator = FamilyMutator(space, rng)
    graph = space.graph(space.sample(rng))
    for _ in range(30):
        found = mutator.propose(graph)
        assert found is not None
        before, after = mutator.arch(graph), mutator.arch(found.child)
        (name_of,) = before.__dataclass_fields__
        pairs = zip(getattr(before, name_of), getattr(after, name_of), strict=True)
        assert sum(a != b for a, b in pairs) == 1
        graph = found.child
    with pytest.raises(InvalidInputError, match="is not one tuple of choices"):
        FamilyMutator(family("nasbench101"), rng)


def test_what_changed_is_marked() -> None:
    start = plain()
    child = Mutator(random.Random(0), moves=["insert"]).mutate(start).child
    gone, new = changed_nodes(start, child)
    assert gone.sum() == 0
    assert new.sum() == len(child) - len(start) > 0
    gone, new = changed_nodes(start, start)
    assert not gone.any()
    assert not new.any()
