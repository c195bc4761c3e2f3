"""Benchmarks run for minutes to hours; that they still start is tested here."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
#: What the package itself does not need.
HOSTS = {"naslib", "torchvision", "fvcore"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_starts(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", [str(script)])
    before = set(sys.modules)
    try:
        runpy.run_path(str(script), run_name="imported")
    except ModuleNotFoundError as error:
        if error.name not in HOSTS:
            raise
        pytest.skip(f"needs {error.name}")
    finally:
        local = {path.stem for path in SCRIPTS}
        for name in local & (set(sys.modules) - before):
            del sys.modules[name]
