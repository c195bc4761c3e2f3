import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.mutation import Mutator
from gennape_plugin.core.search import (
    Candidate,
    Goal,
    LocalSearch,
    RunFolder,
    Scores,
    Search,
    SearchResult,
)

SETTINGS = {"start": "abc", "seed": 1}


def start() -> ComputeGraph:
    b = GraphBuilder("start")
    x = b.input((1, 3, 16, 16))
    for _ in range(3):
        x = b.relu(b.batch_norm(b.conv(x, 16, kernel=3)))
    return b.build(b.linear(b.mean(x, (2, 3)), 4))


class Counted:
    """Scores that can be checked: more operations are better. Stops after ``limit`` networks."""

    def __init__(self, limit: int = 10**9) -> None:
        self.limit, self.seen = limit, list[str]()

    def __call__(self, graphs: Sequence[ComputeGraph]) -> list[Scores]:
        if len(self.seen) + len(graphs) > self.limit:
            raise KeyboardInterrupt
        self.seen += [g.hash for g in graphs]
        return [
            Scores(len(g) / 10, 0.0, 90.0, None, 0.5, 0.0, g.flops, g.params, len(g))
            for g in graphs
        ]


def run(
    evaluate: Counted, iterations: int, folder: RunFolder | None = None, seed: int = 0
) -> SearchResult:
    rng = random.Random(seed)
    search = Search(
        Mutator(rng, max_nodes=60),
        evaluate,
        LocalSearch(),
        Goal(max_flops=start().flops),
        rng=rng,
        population=8,
        children=66,
        folder=folder,
    )
    return search.run(start(), iterations)


def described(result: SearchResult) -> list[object]:
    return [(c.graph.hash, c.generation, c.changes) for c in result.population] + [
        sorted(result.scored),
        result.proposals,
        result.duplicates,
    ]


def test_a_search_improves_and_scores_nothing_twice() -> None:
    evaluate = Counted()
    found = run(evaluate, 4)
    assert len(evaluate.seen) == len(set(evaluate.seen)) == len(found.scored) == 1 + 4 * 66
    first = found.start.scores
    assert found.front[0].scores.quality > 1.2 * first.quality
    assert all(c.scores.flops <= first.flops for c in found.front)
    for best in found.front:
        assert best.generation >= 1
        assert len(best.changes) <= best.generation
    assert set(found.seconds) == {"moves", "repair", "hashing", "scoring", "writing"}


def test_the_same_seed_gives_the_same_search() -> None:
    assert described(run(Counted(), 2)) == described(run(Counted(), 2))
    assert described(run(Counted(), 2)) != described(run(Counted(), 2, seed=1))


@pytest.mark.parametrize("limit", [1, 65, 120])
def test_a_killed_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, limit: int) -> None:
    whole, killed, rest = Counted(), Counted(limit), Counted()
    expected = described(run(whole, 2))
    with pytest.raises(KeyboardInterrupt):
        run(killed, 2, RunFolder.opened(tmp_path / "run", SETTINGS))
    assert described(run(rest, 2, RunFolder.opened(tmp_path / "run", SETTINGS))) == expected
    assert killed.seen + rest.seen == whole.seen  # nothing twice, nothing left out
    again = Counted()
    assert described(run(again, 2, RunFolder.opened(tmp_path / "run", SETTINGS))) == expected
    assert again.seen == []


def test_more_iterations_go_on(tmp_path: Path) -> None:
    run(Counted(), 1, RunFolder.opened(tmp_path / "run", SETTINGS))
    more = Counted()
    found = run(more, 2, RunFolder.opened(tmp_path / "run", SETTINGS))
    assert described(found) == described(run(Counted(), 2))
    assert len(more.seen) == 66


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    folder = RunFolder.opened(tmp_path / "run", SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        run(Counted(65), 2, folder)
    log = tmp_path / "run" / "scores.jsonl"
    os.truncate(log, log.stat().st_size - 30)
    rest = Counted()
    found = run(rest, 2, RunFolder.opened(tmp_path / "run", SETTINGS))
    assert described(found) == described(run(Counted(), 2))
    assert len(rest.seen) == 64 + 2 + 66


def test_other_settings_versions_and_folders_are_refused(tmp_path: Path) -> None:
    RunFolder.opened(tmp_path / "run", SETTINGS)
    with pytest.raises(InvalidInputError, match="a search with seed 1, not 2"):
        RunFolder.opened(tmp_path / "run", {**SETTINGS, "seed": 2})
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(InvalidInputError, match="another version"):
        RunFolder.opened(tmp_path / "run", SETTINGS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("kept")
    with pytest.raises(InvalidInputError, match="holds no search"):
        RunFolder.opened(tmp_path / "other", SETTINGS)
    with pytest.raises(InvalidInputError, match="is a file"):
        RunFolder.opened(path, SETTINGS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", "{"),
        ("state.json", "[]"),
        ("state.json", '{"generation": 1}'),
        ("state.json", '{"generation": 1, "population": [{}]}'),
        ("state.json", '{"generation": 1, "population": []}'),
        ("scores.jsonl", "{}\n"),
        ("scores.jsonl", '{"generation": 1, "scores": {"a": {}}}\n'),
    ],
)
def test_damaged_folders_are_one_clear_error(tmp_path: Path, name: str, content: str) -> None:
    run(Counted(), 1, RunFolder.opened(tmp_path / "run", SETTINGS))
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(InvalidInputError, match=r"damaged|cannot be read|JSON object"):
        run(Counted(), 2, RunFolder.opened(tmp_path / "run", SETTINGS))


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.opened(tmp_path / "run", SETTINGS)
    run(Counted(), 1, folder)
    before = {p.name: p.read_bytes() for p in folder.path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"scores\.jsonl could not be written .*make room"):
            run(Counted(), 2, folder)
        with pytest.raises(OSError, match=r"state\.json could not be written"):
            folder.write("state.json", {})
    assert (folder.path / "state.json").read_bytes() == before["state.json"]
    assert not list(folder.path.glob("*.partial"))
    found = run(Counted(), 2, RunFolder.opened(tmp_path / "run", SETTINGS))
    assert described(found) == described(run(Counted(), 2))


def test_nothing_new_is_an_error() -> None:
    class Nothing:
        def __init__(self) -> None:
            self.seconds = {"moves": 0.0}

        def propose(self, graph: ComputeGraph) -> None:
            return None

    search = Search(Nothing(), Counted(), LocalSearch(), Goal(), rng=random.Random(0))
    with pytest.raises(InvalidInputError, match="no new valid network was found in generation 1"):
        search.run(start(), 1)
    with pytest.raises(InvalidInputError, match="population 0"):
        Search(Nothing(), Counted(), LocalSearch(), Goal(), rng=random.Random(0), population=0)


def test_a_local_search_keeps_valid_networks_first_and_then_those_of_the_pools_front() -> None:
    def candidate(quality: float, flops: int, excess: float = 0.0) -> Candidate:
        return Candidate(start(), Scores(quality, excess, 90.0, None, 0.5, 0.0, flops, 1, 1))

    costly, cheap, beaten = candidate(2.0, 10), candidate(0.5, 1), candidate(0.4, 1)
    broken = [candidate(3.0, 9, excess=0.1), candidate(4.0, 8, excess=0.2)]
    goal = Goal(("quality", "flops"), trust_region=True)
    engine, rng = LocalSearch(), random.Random(0)
    found = engine.survivors([beaten, costly, cheap, *broken], 5, goal, rng)
    assert found[0] == cheap
    assert set(map(id, found[:3])) == set(map(id, (costly, cheap, beaten)))
    assert found[3:] == broken
    assert engine.survivors(broken, 1, goal, rng) == broken[:1]
