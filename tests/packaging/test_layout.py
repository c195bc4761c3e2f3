"""The repository's layout: what pyproject.toml lists, and who may import whom."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TREES = {
    "gennape_plugin": "gennape_plugin",
    "core": "gennape_plugin.core",
    "adapters": "gennape_plugin.adapters",
}


def packages_on_disk() -> set[str]:
    """The dotted name of each folder that holds Python files, as it is to be installed."""
    return {
        ".".join([package, *path.parent.relative_to(ROOT / top).parts])
        for top, package in TREES.items()
        for path in (ROOT / top).rglob("*.py")
    }


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    executable = Path(sys.executable).with_name("lint-imports")
    command = [executable, ROOT / "pyproject.toml", "--no-cache"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The package as it is installed, made of links; import-linter cannot follow package-dir."""
    package = tmp_path / "gennape_plugin"
    package.mkdir()
    for top in TREES:
        for path in (ROOT / top).rglob("*.py"):
            relative = path.relative_to(ROOT if top != "gennape_plugin" else ROOT / top)
            (package / relative).parent.mkdir(parents=True, exist_ok=True)
            (package / relative).symlink_to(path)
    return tmp_path


def test_every_folder_with_python_files_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    found = packages_on_disk()
    assert listed == found, (
        "[tool.setuptools] packages in pyproject.toml and the folders disagree: "
        f"add {sorted(found - listed)}, remove {sorted(listed - found)}"
    )


def test_every_package_has_an_init() -> None:
    folders = {path.parent for top in TREES for path in (ROOT / top).rglob("*.py")}
    bare = sorted(str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists())
    assert not bare, f"folders without __init__.py: {bare}"


def test_test_folders_are_not_packages() -> None:
    # tests/ is on sys.path, so tests/packaging/__init__.py would hide the library `packaging`.
    inits = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests").rglob("__init__.py"))
    assert not inits, f"remove {inits}; tests are imported by path and need none"


def test_import_contracts_hold(tree: Path) -> None:
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("core", "import gennape_plugin.adapters"),
        ("core", "import gennape_plugin"),
        ("core", "import gennape_plugin.top_room"),
        ("core", "import nni"),
        ("adapters", "from gennape_plugin import top_room"),
        ("adapters", "import gennape_plugin"),
    ],
)
def test_import_contracts_catch(tree: Path, importer: str, line: str) -> None:
    package = tree / "gennape_plugin"
    (package / "top_room.py").touch()
    (package / importer / "intruder.py").write_text(f"def later():\n    {line}\n")
    result = lint_imports(tree)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"gennape_plugin.{importer}.intruder -> " in result.stdout
