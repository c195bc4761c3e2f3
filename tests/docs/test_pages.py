"""What the documentation promises is checked against the code."""

import importlib.util
import re
from pathlib import Path

import pytest

from gennape_plugin.cli import COMMANDS, parser
from gennape_plugin.label_sets import LABEL_SETS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_ops_page_is_what_the_table_says() -> None:
    path = ROOT / "docs" / "render_ops.py"
    spec = importlib.util.spec_from_file_location("render_ops", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.render() == (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_and_only_those_are_documented() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"gennape {command}" in readme
    for page in PAGES:
        for command in re.findall(r"^gennape ([a-z]+)", page.read_text(encoding="utf-8"), re.M):
            assert command in COMMANDS, f"{page.name} shows `gennape {command}`"


def test_documented_options_exist() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    lines = re.findall(r"^gennape ([a-z]+)(.*)$", text, re.M)
    choices = next(a for a in parser()._actions if a.dest == "command").choices
    assert isinstance(choices, dict)
    for command, rest in lines:
        known = choices[command]._option_string_actions
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", rest.split("#")[0]):
            assert option in known, f"gennape {command} has no {option}"


def test_labels_of_every_family_are_described() -> None:
    page = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    for name, known in LABEL_SETS.items():
        unit = "percent" if known.percent else "fraction"
        row = rf"^\| `{name}` \| `{re.escape(known.file)}` \| .* \| `{known.target}` \| {unit} \|$"
        assert re.search(row, page, re.M), name
