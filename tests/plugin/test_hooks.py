"""Plugins: what they see, who is asked first, and what happens when they fail."""

import warnings
from importlib import metadata

import pytest
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureError, CaptureWarning, InvalidInputError
from small_models import chain
from torch import nn

from gennape_plugin import Gennape
from gennape_plugin.architectures import capture_any, resolve, to_graph
from gennape_plugin.cli import main
from gennape_plugin.hooks import Example, WithExample, hookimpl, plugins


class Drawing:
    """A stranger's architecture."""

    def __init__(self, length: int) -> None:
        self.length = length


class Plugin:
    """Reads drawings, and nothing else."""

    def __init__(self) -> None:
        self.seen: list[Example] = []

    @hookimpl
    def gennape_capture(self, architecture: object, example: Example) -> Capture | None:
        if not isinstance(architecture, Drawing):
            return None
        self.seen.append(example)
        if architecture.length < 0:
            raise ZeroDivisionError("too short")
        return Capture(chain(architecture.length), "drawing", warnings=("drawn by hand",))

    @hookimpl
    def gennape_resolve(self, reference: str) -> tuple[str, object] | None:
        scheme, _, rest = reference.partition(":")
        return (f"drawing{rest}", Drawing(int(rest))) if scheme == "drawing" else None


@pytest.fixture
def plugin():
    found = Plugin()
    plugins().register(found, name="drawings")
    yield found
    plugins().unregister(found)


def test_a_plugin_reads_its_own(plugin) -> None:
    captured = capture_any(Drawing(3))
    assert captured.graph == chain(3)
    assert captured.route == "drawing"
    assert plugin.seen == [Example()]
    assert not plugin.seen[0]
    with pytest.warns(CaptureWarning, match="Drawing: drawn by hand"):
        assert to_graph(Drawing(2), (3, 8, 8)) == chain(2)
    assert plugin.seen[-1] == Example((3, 8, 8))


def test_the_estimator_takes_what_plugins_take(plugin) -> None:
    estimator = Gennape.from_pretrained()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CaptureWarning)
        found = estimator.score_many([Drawing(3), chain(3)])
    assert found[0].score == found[1].score


def test_text_is_resolved_by_plugins(plugin, capsys) -> None:
    assert resolve("drawing:4")[0] == "drawing4"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CaptureWarning)
        assert main(["trace", "drawing:4"]) == 0
    assert "drawing4" in capsys.readouterr().out


def test_plugins_come_before_the_built_in(plugin) -> None:
    class Everything:
        @hookimpl
        def gennape_capture(self, architecture: object, example: Example) -> Capture | None:
            return Capture(chain(1), "everything")

    greedy = Everything()
    plugins().register(greedy)
    try:
        assert capture_any(nn.ReLU(), Example((3, 4, 4))).route == "everything"
    finally:
        plugins().unregister(greedy)
    assert capture_any(nn.Conv2d(3, 3, 1), Example((3, 4, 4))).route == "meta"


def test_a_plugin_that_fails(plugin) -> None:
    with pytest.raises(CaptureError, match="reading Drawing failed: ZeroDivisionError: too short"):
        capture_any(Drawing(-1))


def test_nobody_takes_it() -> None:
    with pytest.raises(InvalidInputError, match="type Drawing is not an architecture: give an nn"):
        capture_any(Drawing(1))


def test_an_example_of_its_own_gives_way() -> None:
    net = WithExample(nn.Conv2d(3, 4, 1), Example((3, 8, 8)))
    assert to_graph(net).nodes[0].shape == (1, 3, 8, 8)
    assert to_graph(net, (3, 5, 5)).nodes[0].shape == (1, 3, 5, 5)


def test_a_broken_installed_plugin_is_left_out(monkeypatch, capsys) -> None:
    broken = metadata.EntryPoint("broken", "no_such_package_at_all", "gennape")
    working = metadata.EntryPoint("working", "test_hooks_plugin", "gennape")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [broken, working])
    monkeypatch.setitem(__import__("sys").modules, "test_hooks_plugin", Plugin())
    plugins.cache_clear()
    try:
        with pytest.warns(CaptureWarning, match="plugin 'broken' .* is left out: ModuleNotFound"):
            assert capture_any(Drawing(1)).route == "drawing"
        assert main(["plugins"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["working", "gennape_capture,", "gennape_resolve"]
        assert any(line.startswith("gennape:modules") for line in lines)
    finally:
        plugins.cache_clear()
