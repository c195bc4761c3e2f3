import sys
from pathlib import Path

import pytest
from gennape_plugin.core.errors import CaptureError, GraphError, InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.graph_json import save_graph
from small_models import chain
from torch import nn

from gennape_plugin.architectures import parse_shape, resolve, to_graph

NETS = """
from dataclasses import dataclass

from torch import nn
from gennape_plugin.core.builder import GraphBuilder


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)

    def forward(self, x):
        return self.conv(x)


@dataclass
class Options:
    width: int = 8


def make():
    return Net(Options().width)


def needs(width):
    return Net(width)


def fails():
    raise KeyError("no such layer")


def leaves():
    raise SystemExit(3)


def later():
    import beside_lazily
    return beside_lazily.net


ready = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU())
b = GraphBuilder("drawn")
graph = b.build(b.relu(b.input((1, 3, 4, 4))))
number = 7
_hidden = Net()
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


@pytest.fixture(autouse=True)
def _unchanged_path():
    before = list(sys.path)
    yield
    assert sys.path == before


class TestResolve:
    @pytest.mark.parametrize(
        ("name", "channels"), [("Net", 4), ("make", 8), ("ready", 5), ("_hidden", 4)]
    )
    def test_modules(self, nets, name, channels):
        found, module = resolve(f"{nets}:{name}")
        assert found == name
        assert isinstance(module, nn.Module)
        (conv,) = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
        assert conv.out_channels == channels

    def test_a_graph(self, nets):
        name, graph = resolve(f"{nets}:graph")
        assert name == "graph"
        assert isinstance(graph, ComputeGraph)
        assert graph.name == "drawn"

    def test_an_instance_is_not_called(self, nets):
        """A module is callable too, but wants an input."""
        assert resolve(f"{nets}:ready")[1][0].in_channels == 3

    def test_a_graph_file(self):
        assert resolve("some/where/net.json") == ("net", "some/where/net.json")

    def test_an_installed_module(self):
        name, value = resolve("torch.nn:ReLU")
        assert name == "ReLU"
        assert isinstance(value, nn.ReLU)

    @pytest.mark.parametrize("text", ["", "net", "net.py", ":net", "net.py:", "net:"])
    def test_not_a_reference(self, text):
        with pytest.raises(InvalidInputError, match=r"give file\.py:name, package\.module:name, "):
            resolve(text)

    def test_missing_file(self, tmp_path):
        with pytest.raises(InvalidInputError, match=r"none\.py does not exist"):
            resolve(f"{tmp_path / 'none.py'}:net")
        (tmp_path / "folder.py").mkdir()
        with pytest.raises(InvalidInputError, match=r"folder\.py does not exist"):
            resolve(f"{tmp_path / 'folder.py'}:net")

    def test_a_missing_name_lists_those_there_are(self, nets):
        names = "Net, Options, fails, graph, later, leaves, make, needs, ready"
        with pytest.raises(InvalidInputError, match=f"has no 'nett': it defines {names}$"):
            resolve(f"{nets}:nett")

    def test_a_file_without_anything(self, tmp_path):
        (tmp_path / "empty.py").write_text("import torch\n")
        with pytest.raises(InvalidInputError, match="it defines nothing to call"):
            resolve(f"{tmp_path / 'empty.py'}:net")

    def test_not_callable(self, nets):
        with pytest.raises(InvalidInputError, match="number is a int: give a module"):
            resolve(f"{nets}:number")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("needs", r"raised TypeError: .*width.*give a function that needs none"),
            ("fails", "raised KeyError: 'no such layer'"),
            ("leaves", "raised SystemExit: 3"),
            ("later", "raised ModuleNotFoundError"),
        ],
    )
    def test_a_factory_that_raises(self, nets, name, message):
        with pytest.raises(CaptureError, match=message):
            resolve(f"{nets}:{name}")

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("1 / 0", "raised ZeroDivisionError"),
            ("def (", "raised SyntaxError"),
            ("import not_there_at_all", "raised ModuleNotFoundError"),
            ("import sys; sys.exit('usage')", "raised SystemExit: usage"),
            ("import sys; sys.path.pop(0); 1 / 0", "raised ZeroDivisionError"),
        ],
    )
    def test_a_file_that_raises(self, tmp_path, code, message):
        (tmp_path / "bad.py").write_text(code)
        before = set(sys.modules)
        with pytest.raises(CaptureError, match=message):
            resolve(f"{tmp_path / 'bad.py'}:net")
        assert "gennape_user_bad" not in set(sys.modules) - before

    @pytest.mark.parametrize(
        "module", ["not_there_at_all", ".relative", "..", "torch.no_such", "a b"]
    )
    def test_an_unknown_module(self, module):
        with pytest.raises(InvalidInputError, match="cannot be imported"):
            resolve(f"{module}:net")

    def test_an_installed_module_that_raises(self, tmp_path, monkeypatch):
        (tmp_path / "raises_on_import.py").write_text("raise RuntimeError('broken')")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(CaptureError, match="importing raises_on_import raised RuntimeError"):
            resolve("raises_on_import:net")
        monkeypatch.undo()


class TestNeighbours:
    def write(self, folder, channels):
        folder.mkdir()
        (folder / "layers_beside.py").write_text(
            f"from torch import nn\nnet = nn.Conv2d(3, {channels}, 1)\n"
        )
        package = folder / "package_beside"
        package.mkdir()
        (package / "__init__.py").write_text("from .inner import channels\n")
        (package / "inner.py").write_text(f"channels = {channels}\n")
        net = folder / "net.py"
        net.write_text(
            "from layers_beside import net\n"
            "from package_beside import channels\n"
            "def make():\n"
            "    assert net.out_channels == channels\n"
            "    return net\n"
            "def later():\n"
            "    import package_beside.inner, layers_beside\n"
            "    assert layers_beside.net.out_channels == package_beside.inner.channels\n"
            "    return layers_beside.net\n"
        )
        return net

    def test_they_can_be_imported(self, tmp_path):
        path = self.write(tmp_path / "a", 6)
        assert resolve(f"{path}:make")[1].out_channels == 6
        assert resolve(f"{path}:later")[1].out_channels == 6

    def test_by_a_relative_path(self, tmp_path, monkeypatch):
        self.write(tmp_path / "a", 6)
        monkeypatch.chdir(tmp_path / "a")
        assert resolve("net.py:later")[1].out_channels == 6

    def test_each_file_gets_its_own(self, tmp_path):
        first, second = self.write(tmp_path / "a", 6), self.write(tmp_path / "b", 9)
        found = [
            resolve(f"{path}:{name}")[1].out_channels
            for path, name in (
                (first, "make"),
                (second, "later"),
                (first, "later"),
                (second, "make"),
            )
        ]
        assert found == [6, 9, 6, 9]

    def test_other_modules_stay(self, tmp_path):
        first, second = self.write(tmp_path / "a", 6), self.write(tmp_path / "b", 9)
        before = {name: sys.modules[name] for name in ("torch", "gennape_plugin.architectures")}
        resolve(f"{first}:make")
        resolve(f"{second}:make")
        assert all(sys.modules[name] is module for name, module in before.items())


class TestToGraph:
    def test_graphs_pass_through(self):
        graph = chain(2)
        assert to_graph(graph) is graph
        assert to_graph(graph, (3, 8, 8)) is graph

    def test_modules_are_captured(self):
        net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        graph = to_graph(net, (3, 8, 8))
        assert [node.op for node in graph.nodes] == ["input", "conv", "relu", "output"]
        assert graph.params == sum(p.numel() for p in net.parameters())

    @pytest.mark.parametrize("kind", [str, Path])
    def test_graph_files_are_read(self, tmp_path, kind):
        save_graph(chain(2), tmp_path / "g.json")
        assert to_graph(kind(tmp_path / "g.json")) == chain(2)

    def test_a_damaged_file(self, tmp_path):
        (tmp_path / "g.json").write_text("{")
        with pytest.raises(GraphError, match=r"g\.json"):
            to_graph(str(tmp_path / "g.json"))

    def test_a_module_without_a_shape(self):
        with pytest.raises(
            InvalidInputError, match=r"say what it reads, .*input_shape=\(3, 32, 32\)"
        ):
            to_graph(nn.ReLU())

    @pytest.mark.parametrize("value", [None, 3, "net", "net.h5", [nn.ReLU()], object()])
    def test_anything_else(self, value):
        with pytest.raises(InvalidInputError, match="is not an architecture: give an"):
            to_graph(value, (3, 8, 8))

    def test_a_class(self):
        with pytest.raises(InvalidInputError, match=r"ReLU is a class: give an instance, ReLU\("):
            to_graph(nn.ReLU, (3, 8, 8))


class TestParseShape:
    @pytest.mark.parametrize(
        ("text", "shape"),
        [
            ("3x32x32", (3, 32, 32)),
            ("10", (10,)),
            ("3X8x8", (3, 8, 8)),
            ("3x8x8,10", ((3, 8, 8), (10,))),
            (" 3x8x8 , 2x2 ", ((3, 8, 8), (2, 2))),
        ],
    )
    def test_shapes(self, text, shape):
        assert parse_shape(text) == shape

    @pytest.mark.parametrize(
        "text", ["", "x", "3x", "3x0x3", "-3x2", "3,,4", "3*32*32", "(3, 32)", "3x3.5", "9" * 5000]
    )
    def test_anything_else(self, text):
        with pytest.raises(InvalidInputError, match="without the batch axis, such as 3x32x32"):
            parse_shape(text)
