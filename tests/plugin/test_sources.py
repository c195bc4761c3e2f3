"""The built-in sources: one network, by every road."""

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from gennape_plugin.core.errors import CaptureError, CaptureWarning, GennapeError, InvalidInputError
from mutations import TOKENS, bounded, mutated_bytes, mutated_json
from torch import nn

from gennape_plugin.architectures import capture_any, resolve, to_graph
from gennape_plugin.families import family
from gennape_plugin.hooks import Example, WithExample
from gennape_plugin.sources import graphs, zoo

SHAPE = (3, 16, 16)
CELL = family("nasbench201").graph(family("nasbench201").sample(random.Random(0)))


class Net(nn.Module):
    """Small, with a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.left = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = x + self.left(x)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return Net().eval()


@pytest.fixture(scope="module")
def files(net, tmp_path_factory) -> dict[str, Path]:
    """The network as an exported program's file and as ONNX."""
    folder = tmp_path_factory.mktemp("files")
    example = (torch.zeros(1, *SHAPE),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, example), folder / "net.pt2")
        torch.onnx.export(net, example, folder / "net.onnx", dynamo=False)
    return {"pt2": folder / "net.pt2", "onnx": folder / "net.onnx"}


def test_all_roads_lead_to_one_graph(net, files) -> None:
    expected = to_graph(net, SHAPE)
    program = torch.export.export(net, (torch.zeros(1, *SHAPE),))
    traced = torch.fx.symbolic_trace(net)
    onnx = pytest.importorskip("onnx")
    found = {
        "fx": capture_any(traced, Example(SHAPE)),
        "program": capture_any(program),
        "pt2": capture_any(files["pt2"]),
        "pt2 text": capture_any(str(files["pt2"])),
        "onnx": capture_any(files["onnx"]),
        "proto": capture_any(onnx.load(files["onnx"])),
        "example of its own": capture_any(WithExample(net, Example(SHAPE))),
    }
    routes = {name: captured.route for name, captured in found.items()}
    assert routes["program"] == "export"
    assert routes["onnx"] == routes["proto"] == "onnx"
    for name, captured in found.items():
        graph = captured.graph
        assert (graph.macs, graph.params) == (expected.macs, expected.params), name
        assert graph.paper_view().num_nodes == expected.paper_view().num_nodes, name
        if "onnx" not in routes[name]:
            assert graph.hash == expected.hash, name


def test_an_fx_graph_that_knows_its_shapes(net) -> None:
    from torch.fx.passes.shape_prop import ShapeProp

    traced = torch.fx.symbolic_trace(net)
    with pytest.raises(InvalidInputError, match="say what it reads"):
        capture_any(traced)
    ShapeProp(traced).propagate(torch.zeros(1, *SHAPE))
    assert capture_any(traced).graph.hash == to_graph(net, SHAPE).hash


def test_references(files) -> None:
    for path in files.values():
        assert resolve(str(path)) == ("net", str(path))


def test_examples_where_shapes_are_known(files) -> None:
    with pytest.raises(InvalidInputError, match="leave out input_shape"):
        to_graph(files["pt2"], SHAPE)
    with pytest.raises(InvalidInputError, match="an ONNX model is not run"):
        to_graph(files["onnx"], inputs=torch.zeros(1, *SHAPE))


@pytest.mark.parametrize("ending", ["onnx", "pt2", "json"])
def test_not_such_a_file(tmp_path, ending) -> None:
    with pytest.raises((GennapeError, OSError)):
        to_graph(tmp_path / f"missing.{ending}")
    garbage = tmp_path / f"garbage.{ending}"
    garbage.write_bytes(b"\x80\x04garbage")
    with pytest.raises(GennapeError):
        to_graph(garbage)


def test_configurations(tmp_path) -> None:
    with pytest.raises(InvalidInputError, match="does not exist: give a config"):
        resolve(f"hf-config:{tmp_path / 'config.json.missing'}")
    path = tmp_path / "config.txt"
    for text, message in (
        ("{", "is not JSON"),
        ("[]", "no 'model_type'"),
        ("{}", "no 'model_type'"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidInputError, match=message):
            resolve(f"hf-config:{path}")
    for sizes in ({"num_hidden_layers": 1 << 40}, {"vision": {"depths": [3, 2000, 100]}}):
        path.write_text(json.dumps({"model_type": "bert", **sizes}))
        with pytest.raises(InvalidInputError, match="more than the 2,048 layers"):
            resolve(f"hf-config:{path}")
    path.write_text(json.dumps({"model_type": "no-such-type"}))
    with pytest.raises(InvalidInputError, match="transformers"):
        resolve(f"hf-config:{path}")


def test_damaged_configurations(tmp_path) -> None:
    """The reader alone: what it lets through is for transformers, where that is installed."""
    path, rng, read = tmp_path / "config.json", random.Random(0), 0
    config = {
        "model_type": "swin",
        "depths": [2, 2, 6, 2],
        "hidden_size": 32,
        "layer_norm_eps": 1e-5,
        "text_config": {"num_hidden_layers": 2, "rope": {"theta": 1e4}},
    }
    for turn in range(600):
        whole = json.dumps(mutated_json(config, rng, nest=False) if turn % 2 else config).encode()
        path.write_bytes(whole if turn % 2 else mutated_bytes(whole, rng, tokens=TOKENS))
        with bounded():
            try:
                read += isinstance(zoo._read_config(path)["model_type"], str)
            except InvalidInputError as error:
                assert "\n" not in str(error)  # noqa: PT017
    assert 100 < read < 400


def test_collections_that_are_not_installed() -> None:
    code = (
        "import sys\n"
        "sys.modules['torchvision'] = sys.modules['timm'] = None\n"
        "from gennape_plugin.architectures import resolve\n"
        "for name in ('torchvision:resnet18', 'timm:resnet18'):\n"
        "    try: resolve(name)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(
        line.startswith("InvalidInputError torchvision cannot be imported") for line in lines
    )


def test_a_network_that_cannot_be_built(monkeypatch) -> None:
    def fail() -> None:
        raise KeyError("width")

    monkeypatch.setattr("gennape_plugin.zoo.catalogue.catalogue_of", lambda _: {"odd": fail})
    with pytest.raises(CaptureError, match="building timm:odd raised KeyError: 'width'"):
        resolve("timm:odd")
    with pytest.raises(
        InvalidInputError, match="timm has no network 'odt': did you mean one of odd"
    ):
        resolve("timm:odt")


def test_a_configuration_is_no_graph(tmp_path) -> None:
    """``hf-config:config.json`` ends as a graph's file does."""
    assert graphs.gennape_resolve(f"hf-config:{tmp_path / 'config.json'}") is None
    path = tmp_path / "graph.json"
    assert graphs.gennape_resolve(str(path)) == ("graph", str(path))


@pytest.mark.parametrize("shape", [(3, 32, 32), ((3, 32, 32),), None])
def test_a_graph_may_be_told_what_it_reads(shape) -> None:
    for architecture in (CELL, f"nasbench201:{CELL.name.partition('/')[2]}"):
        assert to_graph(architecture, shape) == CELL


@pytest.mark.parametrize(
    "given", [{"input_shape": (3, 64, 64)}, {"inputs": torch.zeros(1, 3, 32, 32)}]
)
def test_a_graph_is_told_nothing_else(given) -> None:
    for architecture in (CELL, f"nasbench201:{CELL.name.partition('/')[2]}"):
        with pytest.raises(InvalidInputError, match="leave"):
            to_graph(architecture, **given)


def test_several_samples_are_named() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    with pytest.warns(CaptureWarning, match="holds 8 samples"):
        to_graph(net, inputs=torch.zeros(8, 3, 9, 9))
    with pytest.warns(CaptureWarning, match="holds 8 samples"):
        to_graph(torch.export.export(net, (torch.zeros(8, 3, 9, 9),)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_graph(net, inputs=torch.zeros(1, 3, 9, 9))
        to_graph(nn.ReLU(), inputs=torch.zeros(3, 9, 9))  # one image without a batch, perhaps
