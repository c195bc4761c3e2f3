"""The built wheel, installed apart from the source tree, is complete and works from anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command, offline and away from the sources, and return what it printed."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "GENNAPE_DATA")}
    result = subprocess.run(
        command, cwd=cwd, env=inherited | variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    work = tmp_path_factory.mktemp("wheel")
    # Build from copies: setuptools would leave build/ and *.egg-info in the source tree.
    source = work / "source"
    source.mkdir()
    tops = ("gennape_plugin", "core", "adapters", "pyproject.toml", "LICENSE", "README.md")
    run("cp", "-r", *(ROOT / name for name in tops), source, cwd=work)
    python = sys.executable
    run(python, "-m", "build", "--wheel", "--no-isolation", "--outdir", work, source, cwd=work)
    (wheel,) = work.glob("*.whl")
    pip = (python, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--target")
    run(*pip, work / "site", wheel, cwd=work)
    return work / "site"


def in_site(site: Path, code: str) -> str:
    """Run code against the installed wheel, with this environment's dependencies."""
    # PYTHONPATH precedes the editable install, whose finder could still lend the sources' folders.
    prelude = f"""
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in repr(finder)]
import gennape_plugin
assert gennape_plugin.__file__.startswith({str(site)!r}), gennape_plugin.__file__
"""
    command = (sys.executable, "-c", prelude + code)
    return run(*command, cwd=site.parent, PYTHONPATH=str(site))


def test_only_the_package_is_installed(site: Path) -> None:
    names = {path.name for path in site.iterdir()}
    scripts = {"bin", "Scripts"}  # where pip --target puts the console script
    assert "gennape_plugin" in names
    extra = {n for n in names - scripts - {"gennape_plugin"} if not n.endswith(".dist-info")}
    assert not extra


def test_every_module_is_inside(site: Path) -> None:
    package = site / "gennape_plugin"
    expected = {
        path.relative_to(ROOT / "gennape_plugin" if top == "gennape_plugin" else ROOT)
        for top in ("gennape_plugin", "core", "adapters")
        for path in (ROOT / top).rglob("*.py")
    }
    assert {path.relative_to(package) for path in package.rglob("*.py")} == expected


def test_marker_and_weights_are_inside(site: Path) -> None:
    package = site / "gennape_plugin"
    assert (package / "py.typed").is_file()
    shipped = {path.suffix for path in (package / "weights").rglob("*") if path.is_file()}
    assert shipped == {".safetensors", ".json"}


def test_imports_leave_the_sources_alone(site: Path) -> None:
    code = """
import gennape_plugin.adapters, gennape_plugin.core
ours = {name: m for name, m in sys.modules.items() if name.partition(".")[0] == "gennape_plugin"}
print(*(m.__file__ for m in ours.values()), sep="\\n")
"""
    files = in_site(site, code).splitlines()
    assert len(files) >= 3
    assert all(file.startswith(str(site)) for file in files), files


def test_importing_loads_no_optional_framework(site: Path) -> None:
    code = """
optional = {"nni", "onnx", "pytorch_lightning", "naslib", "timm", "torchvision"}
print(*optional & set(sys.modules))
"""
    assert in_site(site, code).split() == []


def test_the_shipped_weights_score_a_module(site: Path) -> None:
    code = """
import math
from torch import nn
from gennape_plugin import Gennape

network = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
)
# --- the scoring line: change it here when the public call changes -------------------------------
prediction = Gennape.from_pretrained().score(network, input_shape=(3, 32, 32))
# -------------------------------------------------------------------------------------------------
assert math.isfinite(prediction.score), prediction
print("finite")
"""
    assert in_site(site, code).split() == ["finite"]


def test_the_version_is_the_projects(site: Path) -> None:
    code = "from importlib.metadata import version; print(version('gennape-plugin'))"
    (info,) = site.glob("gennape_plugin-*.dist-info")
    assert in_site(site, code).strip() == info.name.removesuffix(".dist-info").split("-")[1]
