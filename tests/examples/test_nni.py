"""The examples of NNI run, and find what they should."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nni
import pytest

from gennape_plugin.architectures import to_graph
from gennape_plugin.hosts.nni import estimator

nni.silence_stdout()  # it logs at exit, when pytest has closed the stream

ROOT = Path(__file__).resolve().parents[2]
#: Where `make rl` puts tianshou, which asks for packages that .venv has not.
RL = ROOT / ".venv" / "rl"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs an example; what NNI writes goes into a folder of the test."""

    def run(name: str, *arguments: str, folder: bool = True) -> Any:
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        if folder:
            return module.main([*arguments, "--folder", str(tmp_path)])
        # As the README has it: NNI logs into the home folder.
        monkeypatch.setenv("HOME", str(tmp_path))
        return module.main([*arguments])

    return run


def test_search(run, capsys) -> None:
    best = run("nni_search", "--strategy", "evolution", "--models", "25")
    printed = [line for line in capsys.readouterr().out.splitlines() if "MFLOPs" in line]
    assert len(best) == len(printed) == 5
    metrics = [model.metric for model in best]
    assert metrics == sorted(metrics, reverse=True)
    scores = [estimator("gennape-nb101").score(model).score for model in best]
    assert metrics == pytest.approx(scores, abs=1e-5)


def test_search_under_a_constraint(run, capsys) -> None:
    options = ("--strategy", "random", "--models", "8", "--max-flops", "1e8")
    best = run("nni_search", *options, folder=False)
    assert len(best) == 5
    assert all(to_graph(model).flops <= 1e8 for model in best)


def test_a_space_of_ones_own(run, capsys) -> None:
    best = run("nni_custom_space", "--models", "10", folder=False)
    assert len(best) == 3
    assert best[0].metric >= best[1].metric >= best[2].metric
    assert capsys.readouterr().out.count("'depth':") >= 3


@pytest.mark.slow
def test_search_by_a_policy(tmp_path) -> None:
    if importlib.util.find_spec("tianshou") is None and not RL.is_dir():
        pytest.skip("no tianshou: make rl")
    folder = f"--folder={tmp_path}"
    done = subprocess.run(
        [sys.executable, "examples/nni_search.py", "--strategy=rl", "--models=20", folder],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(RL)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum("MFLOPs" in line for line in done.stdout.splitlines()) == 5
