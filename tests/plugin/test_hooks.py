"""Plugins: what they see, who is asked first, and what happens when they fail."""

import inspect
import random
import re
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest
from gennape_plugin.adapters.families import NASBenchMacro
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import (
    CaptureError,
    CaptureWarning,
    InvalidInputError,
    LabelsError,
    PluginError,
    WeightsError,
)
from gennape_plugin.core.members import Member
from small_models import chain
from torch import nn, zeros

from gennape_plugin import Gennape, hookspecs
from gennape_plugin.architectures import capture_any, resolve, to_graph
from gennape_plugin.cli import main
from gennape_plugin.families import families, family
from gennape_plugin.hooks import Command, Example, WithExample, hookimpl, plugins
from gennape_plugin.hosts.evaluators import evaluator
from gennape_plugin.label_sets import LabelSet, label_set
from gennape_plugin.labels import read_labels

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"
HOOKS = [name for name in vars(hookspecs) if name.startswith("gennape_")]


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
def register():
    """Registers plugins until the test ends."""
    made = []

    def add(found: object, name: str = "stranger") -> None:
        plugins().register(found, name=name)
        made.append(found)

    yield add
    for found in made:
        plugins().unregister(found)


@pytest.fixture
def plugin(register):
    found = Plugin()
    register(found, "drawings")
    return found


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"| `{hook}({arguments})` |" in DOCS.read_text(encoding="utf-8")
    assert inspect.getdoc(getattr(hookspecs, hook))
    assert f"test_{hook}" in globals()


def test_nothing_else_is_documented_as_a_hook() -> None:
    assert set(re.findall(r"^\| `(gennape_\w+)\(", DOCS.read_text(), re.MULTILINE)) == set(HOOKS)


def test_gennape_capture(plugin) -> None:
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


def test_gennape_resolve(plugin, capsys) -> None:
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


class Macro(NASBenchMacro):
    """A family under another name."""

    name = "macro_again"


class Families:
    """Brings a family, and its labels in a format of its own."""

    @hookimpl
    def gennape_families(self):
        return [Macro()]

    @hookimpl
    def gennape_label_sets(self):
        return {"macro_again": LabelSet("top1", percent=False)}

    @hookimpl
    def gennape_label_rows(self, path: Path):
        if path.suffix != ".txt":
            return None
        if not path.is_file():
            raise LabelsError(f"{path} does not exist")
        lines = path.read_text().splitlines()
        pairs = (line.split() for line in lines)
        return [
            (i + 1, {"arch": arch, "top1": float(top1)}) for i, (arch, top1) in enumerate(pairs)
        ]


def test_gennape_families(register, capsys) -> None:
    register(Families())
    assert isinstance(family("macro_again"), Macro)
    assert next(iter(families())) == "nasbench101"
    built = families()["nasbench_macro"]
    expected = built.graph(built.parse("02012100"))
    assert to_graph("macro_again:02012100") == expected
    assert main(["trace", "macro_again:02012100"]) == 0
    assert f"{len(expected)} " in capsys.readouterr().out
    register(Families(), "again")
    with pytest.raises(PluginError, match="two plugins bring a family 'macro_again'"):
        families()


def test_gennape_label_sets(register) -> None:
    with pytest.raises(InvalidInputError, match="unknown family 'macro_again': choose from"):
        label_set("macro_again")
    found = Families()
    register(found)
    assert label_set("macro_again") == LabelSet("top1", percent=False)
    assert label_set("nasbench201").target == "c10_test_acc_200ep"


def test_a_family_without_a_label_set_has_the_usual_one(register) -> None:
    class Only:
        @hookimpl
        def gennape_families(self):
            return [Macro()]

    register(Only())
    assert label_set("macro_again") == LabelSet("accuracy", file="macro_again.jsonl.gz")


def test_gennape_label_rows(register, tmp_path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("02012100 0.9\n22222222 0.8\n")
    space = family("nasbench_macro")
    with pytest.raises(LabelsError, match=r"line 1: (not JSON|each line holds)"):
        list(read_labels(path, space))
    register(Families())
    rows = list(read_labels(path, space))
    assert [row.labels for row in rows] == [{"top1": 0.9}, {"top1": 0.8}]
    assert [row.line for row in rows] == [1, 2]
    path.write_text("99999999 0.9\n")
    with pytest.raises(LabelsError, match=r"labels.txt, line 1: "):
        list(read_labels(path, space))


class Nodes(Member):
    """Ranks by the number of nodes."""

    kind = "test-nodes"
    predicts_accuracy = False

    def raw(self, batch, x):
        return (batch.ptr[1:] - batch.ptr[:-1]).float().log()


class Broken(Member):
    """Says the same of every network."""

    kind = "test-broken"

    def raw(self, batch, x):
        return zeros(batch.num_graphs)


class Members:
    @hookimpl
    def gennape_member(self, description):
        return Nodes() if description.get("kind") == Nodes.kind else None


def test_gennape_member(register, tmp_path) -> None:
    plain = Gennape.from_pretrained()
    made = plain.with_member("nodes", Nodes())
    with pytest.raises(InvalidInputError, match="'nodes': give a name without dots that is not"):
        made.with_member("nodes", Nodes())
    with pytest.raises(InvalidInputError, match="one finite number a graph that differs"):
        plain.with_member("same", Broken())
    assert "nodes" not in plain.model.members
    cells = family("nasbench101")
    rng = random.Random(0)
    graphs = [cells.graph(cells.sample(rng)) for _ in range(8)]
    scored = plain.score_many(graphs)
    graph = next(g for g, p in zip(graphs, scored, strict=True) if p.basis == "members")
    one, other = plain.score(graph), made.score(graph)
    assert 1 < other.members["nodes"] < 10
    assert one.score != other.score
    assert one.accuracy == other.accuracy
    assert other.interval is None
    assert "nodes " in str(other)
    made.save(tmp_path)
    with pytest.raises(WeightsError, match="no plugin makes members of kind 'test-nodes'"):
        Gennape.from_pretrained(tmp_path)
    register(Members())
    assert Gennape.from_pretrained(tmp_path).score(graph) == other


def test_gennape_evaluator(register) -> None:
    class Evaluators:
        @hookimpl
        def gennape_evaluator(self, framework, options):
            return ("mine", dict(options)) if framework == "mine" else None

    with pytest.raises(InvalidInputError, match=r"no evaluator for 'mine': there are .*nni"):
        evaluator("mine")
    register(Evaluators())
    assert evaluator("mine", weights="x") == ("mine", {"weights": "x"})


def test_the_framework_of_an_evaluator_may_be_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gennape_plugin.hosts.pymoo", None)
    with pytest.raises(InvalidInputError, match=r"pymoo cannot be imported .* install pymoo"):
        evaluator("pymoo")


def test_gennape_scored(register) -> None:
    seen = []

    class Observer:
        @hookimpl
        def gennape_scored(self, graphs, predictions):
            seen.extend(zip(graphs, predictions, strict=True))

    class Failing:
        @hookimpl
        def gennape_scored(self, predictions):
            raise KeyError(predictions[0].name)

    estimator = Gennape.from_pretrained()
    register(Observer())
    found = estimator.score_many([chain(1), chain(2)])
    assert [prediction for _, prediction in seen] == found
    assert [graph for graph, _ in seen] == [chain(1), chain(2)]
    estimator.score_population([chain(1), chain(2)])
    assert len(seen) == 4
    register(Failing(), "failing")
    with pytest.warns(RuntimeWarning, match="plugin 'failing' failed to observe scores: KeyError"):
        assert estimator.score(chain(1)).graph_hash == found[0].graph_hash
    assert len(seen) == 5


def test_gennape_commands(register, monkeypatch, capsys) -> None:
    def configure(parser) -> None:
        parser.add_argument("number", type=int)

    def run(args) -> int:
        sys.stdout.write(f"{args.number}\n")
        if args.number < 0:
            raise InvalidInputError("a negative number: give another")
        return args.number

    class Commands:
        @hookimpl
        def gennape_commands(self):
            return [Command("echo", "print a number", configure, run)]

    register(Commands())
    entry = metadata.EntryPoint("any", "nothing", "gennape")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    assert main(["echo", "3"]) == 3
    assert capsys.readouterr().out == "3\n"
    assert main(["echo", "-1"]) == 2
    assert "gennape echo: a negative number" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "print a number" in capsys.readouterr().out
    register(Commands(), "again")
    assert main(["echo", "3"]) == 2
    assert "a plugin brings a command 'echo', which there is already" in capsys.readouterr().err


def test_a_failing_hook_names_itself(register) -> None:
    class Failing:
        @hookimpl
        def gennape_families(self):
            raise ZeroDivisionError("oops")

    register(Failing())
    message = "a plugin failed in gennape_families: ZeroDivisionError: oops; GENNAPE_TRACE=1"
    with pytest.raises(PluginError, match=message):
        families()


@pytest.fixture
def fresh(monkeypatch):
    """Pretends that plugins are installed."""

    def installed(**found: object) -> None:
        entries = [metadata.EntryPoint(name, f"plugin_{name}", "gennape") for name in found]
        for name, value in found.items():
            if value is not None:
                monkeypatch.setitem(sys.modules, f"plugin_{name}", value)
        monkeypatch.setattr(metadata, "entry_points", lambda group: entries)
        plugins.cache_clear()

    yield installed
    plugins.cache_clear()


def test_a_broken_installed_plugin_is_left_out(fresh, capsys) -> None:
    fresh(broken=None, working=Plugin())
    with pytest.warns(CaptureWarning, match="plugin 'broken' .* is left out: ModuleNotFound"):
        assert capture_any(Drawing(1)).route == "drawing"
    assert main(["plugins"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["plugin", "version", "hooks"]
    assert lines[1] == ["working", "-", "gennape_capture,", "gennape_resolve"]
    built_in = {line[0]: line for line in lines[2:]}
    assert built_in["gennape:modules"][1] == metadata.version("gennape-plugin")


def test_a_plugin_with_unknown_hooks_or_arguments_is_left_out(fresh) -> None:
    class Misspelt:
        @hookimpl
        def gennape_captures(self, architecture, example):
            return None

    class WrongArguments:
        @hookimpl
        def gennape_capture(self, model):
            return None

    fresh(misspelt=Misspelt(), wrong=WrongArguments(), working=Plugin())
    with pytest.warns(CaptureWarning) as found:
        assert capture_any(Drawing(1)).route == "drawing"
    assert ["'misspelt'" in str(w.message) for w in found] == [True, False]
    assert "'wrong'" in str(found[1].message)
    assert len(plugins().list_name_plugin()) == len({n for n, _ in plugins().list_name_plugin()})


def test_variables_restrict_and_trace(fresh, monkeypatch, capsys) -> None:
    fresh(one=Plugin(), two=Plugin())
    names = {name for name, _ in plugins().list_name_plugin()}
    assert {"one", "two"} <= names
    for wanted, kept in (("two", {"two"}), ("", set()), (" one , two ", {"one", "two"})):
        monkeypatch.setenv("GENNAPE_PLUGINS", wanted)
        plugins.cache_clear()
        assert {n for n, _ in plugins().list_name_plugin()} & {"one", "two"} == kept
    monkeypatch.setenv("GENNAPE_PLUGINS", "three")
    plugins.cache_clear()
    with pytest.raises(InvalidInputError, match="no plugin 'three' is installed; there are one, t"):
        plugins()
    monkeypatch.setenv("GENNAPE_PLUGINS", "one")
    monkeypatch.setenv("GENNAPE_TRACE", "1")
    plugins.cache_clear()
    capture_any(Drawing(1))
    assert "gennape_capture" in capsys.readouterr().err
