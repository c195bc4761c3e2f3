import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph_json import save_graph

from gennape_plugin.cli import main

RUN = "import sys; from gennape_plugin.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    b = GraphBuilder("plain")
    x = b.input((1, 3, 32, 32))
    for channels in (16, 32, 64):
        x = b.relu(b.batch_norm(b.conv(x, channels, kernel=3, stride=2)))
    path = tmp_path_factory.mktemp("network") / "plain.json"
    save_graph(b.build(b.linear(b.mean(x, (2, 3)), 10)), path)
    return str(path)


def words(network: str, folder: Path, *more: str) -> list[str]:
    sizes = ["--iterations", "3", "--population", "8", "--children", "70", "--max-flops", "0.9x"]
    return ["search", network, *sizes, "-o", str(folder), *more]


def hashes(folder: Path) -> list[str]:
    lines = (folder / "scores.jsonl").read_text().splitlines()
    return [h for line in lines for h in json.loads(line)["scores"]]


def test_a_search_writes_what_it_found(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(network, tmp_path / "run")) == 0
    out, err = capsys.readouterr()
    assert err.count("generation") == 3
    assert "Caution: The start is far from the networks" in out
    assert "networks scored of" in out
    rows = [line.split() for line in out.splitlines()]
    best = [r for r in rows if r[:1] == ["01"]]
    assert len(best) == 1
    folder = tmp_path / "run"
    page = (folder / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<h3>Before</h3>" in page
    assert "<h3>After</h3>" in page
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    for name in ("graphs/start.json", "graphs/01.json", "modules/01.py", "pareto.svg"):
        assert (folder / name).stat().st_size > 0
    assert not list(folder.rglob("*.partial"))


@pytest.mark.slow
def test_a_killed_search_goes_on_and_scores_nothing_twice(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", RUN, *words(network, killed)]
    log, until = killed / "scores.jsonl", time.monotonic() + 300
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            while not (log.exists() and log.read_bytes().count(b"\n") >= 3):
                assert process.poll() is None, "the search ended before it could be killed"
                assert time.monotonic() < until
                time.sleep(0.01)
        finally:
            process.kill()
    before = len(hashes(killed)) if log.read_bytes().endswith(b"\n") else 1
    assert 1 <= before < 1 + 3 * 70
    assert main(words(network, killed)) == 0
    assert main(words(network, whole)) == 0
    found = hashes(killed)
    assert len(found) == len(set(found)) == 1 + 3 * 70
    assert found == hashes(whole)
    one, other = (json.loads((f / "results.json").read_text()) for f in (killed, whole))
    assert one["networks"] == other["networks"]


def test_bad_input_is_one_line(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*given: str) -> str:
        assert main(list(given)) == 2
        err = capsys.readouterr().err.strip().splitlines()[-1]
        assert err.startswith("gennape search: ")
        return err

    folder = tmp_path / "run"
    assert "give at least 1" in error(*words(network, folder, "--iterations", "0"))
    assert not folder.exists()
    few = ("--iterations", "1", "--children", "8")
    tight = words(network, folder, "--max-flops", "0.0001x", *few)
    assert "no network met the constraints in 1 generations" in error(*tight)
    assert (folder / "report.html").exists()
    assert "a search with seed 0, not 1" in error(*tight, "--seed", "1")
    b = GraphBuilder("odd")
    x = b.conv(b.input((1, 3, 8, 8)), 8, kernel=3)
    x = b.add("custom", (x,), target="my.op", out_shape=(1, 8, 8, 8))
    odd = tmp_path / "odd.json"
    save_graph(b.build(b.linear(b.mean(x, (2, 3)), 2)), odd)
    told = error(*words(str(odd), tmp_path / "odd"))
    assert "cannot be rebuilt because of node 2" in told
    assert "--no-modules searches without" in told
    assert main(words(str(odd), tmp_path / "odd", "--no-modules", *few)) == 0
    assert not (tmp_path / "odd" / "modules").exists()
