"""The example package: installed as a third party would, and run from outside."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "examples" / "gennape_plain"


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Environment variables under which the package is installed."""
    folder = tmp_path_factory.mktemp("third_party")
    source = shutil.copytree(PACKAGE, folder / "source")  # building writes into it
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [*install, "--no-build-isolation", "--target", target, source], check=True, timeout=300
    )
    return {**os.environ, "PYTHONPATH": str(target)}


def run(environment: dict[str, str], *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_it_is_listed(environment, tmp_path) -> None:
    code = "import sys; from gennape_plugin.cli import main; sys.exit(main(['plugins']))"
    done = run(environment, "-c", code, cwd=tmp_path)
    line = done.stdout.splitlines()[1].split()
    assert line == ["plain", "0.2.0", "gennape_commands,", "gennape_families,", "gennape_member"]
    without = run({**environment, "GENNAPE_PLUGINS": ""}, "-c", code, cwd=tmp_path)
    assert without.returncode == 0
    assert "plain" not in without.stdout
    unknown = run({**environment, "GENNAPE_PLUGINS": "plain,other"}, "-c", code, cwd=tmp_path)
    assert unknown.returncode == 2
    assert "no plugin 'other' is installed; there are plain" in unknown.stderr


@pytest.mark.slow
def test_it_keeps_the_contracts(environment, tmp_path) -> None:
    tests = shutil.copytree(PACKAGE / "tests", tmp_path / "tests")
    done = run(
        environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout
    assert "18 passed" in done.stdout
