"""`.pt2` files: read as data, whoever wrote them."""

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.adapters.torch.exported import capture_exported
from gennape_plugin.adapters.torch.pt2 import capture_pt2
from gennape_plugin.adapters.torch.pt2_targets import target_of
from gennape_plugin.core.errors import CaptureError, GennapeError, InvalidInputError
from networks import IMAGE, Net
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export, save

pytestmark = pytest.mark.filterwarnings("ignore")

Edit = Callable[[dict[str, Any]], object]


def forward(self: nn.Module, x: Tensor) -> dict[str, Tensor]:
    y = self.norm(self.conv(x)).relu_()
    with torch.no_grad():
        pooled = y.mean((2, 3)) + 1
    left, right = self.fc(pooled).chunk(2, -1)
    top, _ = y.amax((2, 3)).max(-1)
    folded = y.flatten(1).view(y.shape[0] * 2, -1).view(y.shape[0], -1)
    return {"out": self.tied(torch.cat([left, right], -1)) + top[:, None], "sum": folded.sum()}


def program(decompose: bool = False) -> ExportedProgram:
    parts = {"conv": nn.Conv2d(3, 8, 3), "norm": nn.BatchNorm2d(8)}
    net = Net(forward, **parts, fc=nn.Linear(8, 8), tied=nn.Linear(8, 8)).eval()
    net.tied.weight = net.fc.weight
    shapes = (({0: Dim("batch"), 3: Dim("width", min=8)},),)  # of *args
    made = export(net, (torch.zeros(2, 3, 16, 16),), dynamic_shapes=shapes)
    return made.run_decompositions() if decompose else made


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    save(program(), path)
    return path


def edited(saved: Path, tmp_path: Path, edit: Edit) -> Path:
    """A copy of the archive with another description of the network."""
    path = tmp_path / "edited.pt2"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith("models/model.json"):
                record = json.loads(data)
                edit(record)
                data = json.dumps(record).encode()
            target.writestr(info.filename, data)
    return path


def calls(record: dict[str, Any]) -> list[dict[str, Any]]:
    return record["graph_module"]["graph"]["nodes"]


@pytest.mark.parametrize("decompose", [False, True])
def test_the_file_is_the_program(decompose: bool, tmp_path: Path) -> None:
    made = program(decompose)
    save(made, tmp_path / "net.pt2")
    captured = capture_pt2(tmp_path / "net.pt2")
    expected = capture_exported(made)
    assert captured.route == "pt2"
    assert captured.graph.hash == expected.graph.hash
    assert captured.graph.params == expected.graph.params
    assert captured.graph.scopes == expected.graph.scopes
    assert captured.warnings == expected.warnings
    assert captured.graph.name == "net"


@pytest.mark.parametrize(
    "net",
    [
        nn.LSTM(8, 16, batch_first=True),
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Conv2d(5, 5, 1), nn.Upsample(scale_factor=2)),
    ],
)
def test_files_of_layers(net: nn.Module, tmp_path: Path) -> None:
    save(export(net.eval(), (torch.zeros(1, 5, 8),)), tmp_path / "layer.pt2")
    assert capture_pt2(tmp_path / "layer.pt2").graph.hash == capture(net, (5, 8)).graph.hash


def test_weights_are_not_read(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "bare.pt2"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if name.endswith(".json"):
                target.writestr(name, source.read(name))
    assert capture_pt2(path).graph == capture_pt2(saved, name="bare").graph


# -- files by strangers -----------------------------------------------------------------------


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt2", tmp_path):
        with pytest.raises(InvalidInputError, match=r"is not a file: give a file that torch\.exp"):
            capture_pt2(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", bytes(100)])
def test_no_archive(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt2"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=r"not an archive that torch\.export\.save wrote"):
        capture_pt2(path)


def test_truncated_and_flipped(saved: Path, tmp_path: Path) -> None:
    data, path = saved.read_bytes(), tmp_path / "x.pt2"
    for end in range(0, len(data), len(data) // 50):
        path.write_bytes(data[:end])
        with pytest.raises(CaptureError):
            capture_pt2(path)
    for place in range(0, len(data), len(data) // 400):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with suppress(GennapeError):  # most bytes are weights, which do not matter
            capture_pt2(path)


def archive(path: Path, records: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as target:
        for name, data in records.items():
            target.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"m/version": b"1"}, "holds no exported program"),
        ({"m/models/../../x.json": b"{}"}, "outside its folder"),
        ({"/etc/models/x.json": b"{}"}, "outside its folder"),
        ({"m\\models\\x.json": b"{}"}, "outside its folder"),
        ({"m/models/model.json": b"{"}, "is no JSON"),
        ({"m/models/model.json": b"\xff\xfe"}, "is no JSON"),
        ({"m/models/model.json": b"[" * 100_000}, "is no JSON"),
        ({"m/models/model.json": b"[1, 2]"}, "is no JSON object"),
        ({"m/models/model.json": b"{}"}, "describes no exported program"),
        ({"m/models/model.json": b'{"graph_module": 3}'}, "describes no exported program"),
    ],
)
def test_damaged_archives(records: dict[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=message) as caught:
        capture_pt2(archive(tmp_path / "x.pt2", records))
    assert "\n" not in str(caught.value)


def test_a_zip_bomb(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "x.pt2", {"m/models/model.json": b" " * (64 << 20)}, zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(CaptureError, match="more than a network's description takes"):
        capture_pt2(path)


def test_several_networks(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as source:
        data = source.read(f"{source.namelist()[0].split('/')[0]}/models/model.json")
    path = archive(tmp_path / "x.pt2", {"m/models/a.json": data, "m/models/b.json": data})
    with pytest.raises(InvalidInputError, match="holds a, b: choose one with model="):
        capture_pt2(path)
    assert capture_pt2(path, model="b").graph.name == "b"


def set_target(target: str) -> Edit:
    return lambda record: calls(record)[1].update(target=target)


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.os.system.default",
        "torch.load",
        "torch.hub.load",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "math.__loader__.load_module",
        "builtins.eval",
        "torch.ops.aten.__class__.__init__",
        "#custom:op",
        "",
    ],
)
def test_other_functions_are_not_called(target: str, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="only operators of this torch's own ATen library"):
        capture_pt2(edited(saved, tmp_path, set_target(target)))


def test_formulas_are_not_evaluated(saved: Path, tmp_path: Path) -> None:
    def edit(record: dict[str, Any]) -> None:
        marker = tmp_path / "run"
        text = f"__import__('pathlib').Path({str(marker)!r}).touch()"
        for meta in record["graph_module"]["graph"]["tensor_values"].values():
            meta["sizes"] = [{"as_expr": {"expr_str": text, "hint": {"as_int": 8}}}]

    with pytest.raises(CaptureError):
        capture_pt2(edited(saved, tmp_path, edit))
    assert not (tmp_path / "run").exists()


def test_pickles_are_not_loaded(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pt2"
    evil = b"cbuiltins\nexec\n(S'raise SystemExit'\ntR."
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data if name.endswith(".json") else evil)
    assert capture_pt2(path).graph.macs == capture_pt2(saved).graph.macs


def sizes(record: dict[str, Any], value: Any) -> None:
    record["graph_module"]["graph"]["tensor_values"]["args_0"]["sizes"][2] = value


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: sizes(r, {"as_int": -3}),
        lambda r: sizes(r, {"as_int": 2**80}),
        lambda r: sizes(r, {"as_int": "3"}),
        lambda r: sizes(r, {"as_expr": {"expr_str": "(" * 5000, "hint": None}}),
        lambda r: calls(r).reverse(),
        lambda r: calls(r)[1]["inputs"].pop(0),
        lambda r: calls(r)[1].pop("outputs"),
        lambda r: calls(r)[1]["inputs"][0].update(arg={"as_nonsense": 1}),
        lambda r: calls(r)[1]["inputs"][0].update(arg={"as_tensor": {"name": "nothing"}}),
        lambda r: calls(r)[1]["inputs"][0].update(arg={"as_tensor": {"name": ["x"]}}),
        lambda r: r["graph_module"]["signature"]["input_specs"].clear(),
        lambda r: r["graph_module"]["graph"]["outputs"].clear(),
    ],
)
def test_damaged_descriptions(edit: Edit, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CaptureError) as caught:
        capture_pt2(edited(saved, tmp_path, edit))
    assert "\n" not in str(caught.value)


def test_endless_cuts(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    save(export(Net(lambda self, x: x.unbind(1)[0].relu()), (torch.zeros(1, *IMAGE),)), buffer)
    path = tmp_path / "x.pt2"
    path.write_bytes(buffer.getvalue())
    assert capture_pt2(path).graph.macs == 0

    def edit(record: dict[str, Any]) -> None:
        meta = record["graph_module"]["graph"]["tensor_values"]["args_0"]
        meta["sizes"][1] = {"as_int": 1 << 36}
        meta["strides"] = [{"as_int": 1}] * 4

    with pytest.raises(CaptureError, match="into pieces of 1"):
        capture_pt2(edited(path, tmp_path, edit))


@pytest.mark.parametrize(
    "name", ["aten.chunk.default", "aten.unsafe_chunk.default", "aten.tensor_split.sections"]
)
def test_endless_counted_cuts(name: str) -> None:
    function, _ = target_of(f"torch.ops.{name}")
    x = torch.zeros(4, 1 << 30, device="meta")
    assert len(function(x, 2, 1)) == 2
    with pytest.raises(ValueError, match="into 1073741824 pieces"):
        function(x, 1 << 30, 1)


def test_numbers_do_not_grow_for_ever() -> None:
    function, _ = target_of("_operator.mul")
    assert function(3, 4) == 12
    value = 1 << 40
    with pytest.raises(ValueError, match="its result has 81 bits"):
        function(value, value)
    with pytest.raises(ValueError, match="takes numbers, not str"):
        function("x", 3)
