"""Files that are damaged, or made to do harm: one clear error each, in time and in memory."""

import itertools
import os
import random
import sys
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.onnx import capture_onnx
from gennape_plugin.core.errors import CaptureError, GennapeError, GraphError, InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from torch import nn

onnx = pytest.importorskip("onnx")
node = onnx.helper.make_node

X = {"x": (1, 4, 8, 8)}
LIMIT = 5.0  # seconds of the processor: the machine may be busy


def refused(source: Any, kind: type[GennapeError], match: str) -> None:
    start = time.process_time()
    with pytest.raises(kind, match=match):
        capture_onnx(source)
    assert time.process_time() - start < LIMIT


# -- files --------------------------------------------------------------------------------------


def saved(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    return path


def test_a_file_is_read(tmp_path: Path, model: Any) -> None:
    path = saved(tmp_path, model([node("Relu", ["x"], ["y"])], X).SerializeToString())
    link = tmp_path / "link.onnx"
    link.symlink_to(path)
    for source in (path, str(path), link):
        assert [n.op for n in capture_onnx(source).graph.nodes] == ["input", "relu", "output"]
    assert capture_onnx(path).graph.name == "net"
    assert capture_onnx(path, name="mine").graph.name == "mine"


def test_no_such_files(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", InvalidInputError, "cannot be opened")
    refused(tmp_path, InvalidInputError, "cannot be opened|no regular file")
    refused("\0", InvalidInputError, "cannot be opened")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    refused(tmp_path / "dangling", InvalidInputError, "cannot be opened")
    refused("/dev/zero", InvalidInputError, "no regular file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", InvalidInputError, "no regular file")
    refused(12, InvalidInputError, "an ONNX model is the path")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\x0a",
        b"not a model",
        b"\x3a\xff\xff\xff\xff\x0f",
        b"\x08" + b"\xff" * 12,
        b"\x0b\x0c",
        b"\x3a\x00",
        b"\x08\x07",
        b"\xff" * 100,
        b"PK\x03\x04" + bytes(100),
    ],
)
def test_no_models(tmp_path: Path, content: bytes) -> None:
    refused(saved(tmp_path, content), InvalidInputError, "ONNX")


def test_every_truncation(tmp_path: Path, model: Any) -> None:
    whole = model(
        [node("Conv", ["x", "w"], ["y"])], X, ("y",), {"w": np.ones((2, 4, 3, 3), dtype=np.float32)}
    ).SerializeToString()
    for length in range(len(whole)):
        try:
            capture_onnx(saved(tmp_path, whole[:length]))
        except GennapeError:
            continue
        # What is left after a cut between two fields is a whole message.
        assert length > len(whole) - 40


def test_large_weights_are_skipped(tmp_path: Path, model: Any) -> None:
    size = 2 << 20
    weights = {"w": np.zeros((size, 8), dtype=np.float32)}
    path = saved(
        tmp_path,
        model(
            [node("MatMul", ["x", "w0"], ["y"])], X, ("y",), {"w0": (8, size)}
        ).SerializeToString(),
    )
    assert capture_onnx(path).graph.params == 8 * size
    file = model([node("Gemm", ["x", "w"], ["y"], transB=1)], {"x": (1, 8)}, ("y",), weights)
    path = saved(tmp_path, file.SerializeToString())
    del file, weights
    assert path.stat().st_size > 60_000_000
    tracemalloc.start()
    start = time.process_time()
    assert capture_onnx(path).graph.params == 8 * size
    assert time.process_time() - start < LIMIT
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_external_data_is_never_opened(tmp_path: Path, model: Any) -> None:
    file = model(
        [node("Gemm", ["x", "w"], ["y"])], {"x": (1, 1 << 20)}, ("y",), {"w": (1 << 20, 4096)}
    )
    for location in ("nowhere.bin", "../../etc/passwd", "/dev/zero", "pipe"):
        entry = file.graph.initializer[0].external_data.add()
        entry.key, entry.value = "location", location
        os.makedirs(tmp_path, exist_ok=True)
        if not (tmp_path / "pipe").exists():
            os.mkfifo(tmp_path / "pipe")
        start = time.process_time()
        graph = capture_onnx(saved(tmp_path, file.SerializeToString())).graph
        assert time.process_time() - start < LIMIT
        assert graph.params == 1 << 32  # 16 GiB of weights


def test_many_empty_fields_are_refused(tmp_path: Path) -> None:
    nodes = b"\x0a\x00" * 5_000_000
    length = len(nodes)
    varint = b""
    while length > 127:
        varint += bytes([length & 127 | 128])
        length >>= 7
    path = saved(tmp_path, b"\x3a" + varint + bytes([length]) + nodes)
    start = time.process_time()
    with pytest.raises(InvalidInputError, match="more than"):
        capture_onnx(path)
    assert time.process_time() - start < LIMIT


# -- graphs -------------------------------------------------------------------------------------


def test_cycles(model: Any) -> None:
    nodes = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    refused(model(nodes, X), GraphError, "cycle")
    refused(model([node("Add", ["x", "y"], ["y"])], X), GraphError, "cycle")


def test_unsorted_nodes(model: Any) -> None:
    nodes = [node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])]
    refused(model(nodes, X), GraphError, "sorted")


def test_names_without_values(model: Any) -> None:
    refused(model([node("Conv", ["x", "w"], ["y"])], X), GraphError, "written by no node")
    refused(model([node("Relu", ["x"], ["z"])], X), GraphError, "output 'y'")
    refused(model([node("Relu", ["x"], [])], X), GraphError, "output 'y'")


def test_values_written_twice(model: Any) -> None:
    twice = [node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["y"])]
    refused(model(twice, X), GraphError, "written once")
    refused(model([node("Split", ["x"], ["y", "y"], axis=1)], X), GraphError, "written once")
    refused(model([node("Relu", ["x"], ["x"])], X, ("x",)), GraphError, "written once")
    file = model([node("Relu", ["x"], ["y"])], X)
    file.graph.input.append(file.graph.input[0])
    refused(file, GraphError, "two inputs")
    file = model([node("Gemm", ["x", "w"], ["y"])], {"x": (1, 4)}, ("y",), {"w": (4, 2)})
    file.graph.initializer.append(file.graph.initializer[0])
    refused(file, GraphError, "two initializers")


@pytest.mark.parametrize("size", [-1, -(2**63), 2**62, 2**41])
def test_impossible_sizes(model: Any, size: int) -> None:
    refused(model([node("Relu", ["x"], ["y"])], {"x": (1, size)}), GraphError, "sizes are integers")
    file = model([node("Gemm", ["x", "w"], ["y"])], {"x": (1, 4)}, ("y",), {"w": (4, size)})
    refused(file, GraphError, "sizes are integers")


def test_sizes_beyond_any_tensor(model: Any) -> None:
    names = [f"v{i}" for i in range(12)]
    nodes = [
        node("Concat", [a] * 16, [b], axis=1) for a, b in zip(["x", *names], names, strict=False)
    ]
    refused(model(nodes, {"x": (1, 4)}, (names[-1],)), GraphError, "sizes are")
    nodes = [node("Reshape", ["x", "s"], ["y"])]
    refused(
        model(nodes, X, ("y",), {"s": np.array([2**62, 2**62], dtype=np.int64)}),
        GraphError,
        "reshaped",
    )


def test_too_many_axes(model: Any) -> None:
    refused(model([node("Relu", ["x"], ["y"])], {"x": (1,) * 40}), GraphError, "axes")
    nodes = [node("Unsqueeze", ["x", "a"], ["y"])]
    weights = {"a": np.arange(2000, dtype=np.int64)}
    start = time.process_time()
    with pytest.raises(GennapeError):
        capture_onnx(model(nodes, X, ("y",), weights))
    assert time.process_time() - start < LIMIT


def test_no_inputs_or_outputs(model: Any) -> None:
    refused(model([node("Constant", [], ["y"], value_float=1.0)], {}), CaptureError, "no inputs")
    refused(model([node("Constant", [], ["y"], value_float=1.0)], X), CaptureError, "constant")
    refused(model([node("Relu", ["x"], ["y"])], X, ()), InvalidInputError, "no graph with outputs")


def test_inputs_that_are_no_tensors(model: Any) -> None:
    file = model([node("Relu", ["x"], ["y"])], X)
    file.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1
    refused(file, CaptureError, "no tensor")
    file = model([node("Relu", ["x"], ["y"])], X)
    file.graph.input[0].type.tensor_type.elem_type = 99
    refused(file, GraphError, "data type 99")
    file.graph.input[0].type.tensor_type.ClearField("shape")
    refused(file, CaptureError, "input_shape")


def test_data_that_contradicts_its_shape(model: Any) -> None:
    file = model([node("Reshape", ["x", "s"], ["y"])], X, ("y",), {"s": np.array([1, 256])})
    file.graph.initializer[0].raw_data = b"123"
    refused(file, GraphError, "bytes of data")
    file.graph.initializer[0].ClearField("raw_data")
    refused(file, GraphError, "values")


def test_bombs_of_shape_arithmetic(model: Any) -> None:
    big = np.array([4096], dtype=np.int64)
    nodes = [node("ConstantOfShape", ["n"], ["c0"])]
    nodes += [node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(27)]
    nodes += [
        node("Tile", ["c27", "n"], ["t"]),
        node("Shape", ["t"], ["s"]),
        node("Expand", ["x", "s"], ["y"]),
    ]
    start = time.process_time()
    with pytest.raises(GennapeError):
        capture_onnx(model(nodes, X, ("y",), {"n": big}))
    nodes = [
        node("Constant", [], ["z"], value_int=0),
        node("Constant", [], ["e"], value_int=2**62),
        node("Constant", [], ["i"], value_int=1),
        node("Range", ["z", "e", "i"], ["r"]),
        node("Gather", ["x", "r"], ["y"], axis=1),
    ]
    with pytest.raises(GennapeError):
        capture_onnx(model(nodes, X))
    assert time.process_time() - start < LIMIT


def test_divisions_by_zero(model: Any) -> None:
    for op in ("Div", "Mod", "Range", "Pow"):
        names = ["a", "b"] if op != "Range" else ["a", "a", "b"]
        nodes = [
            node("Constant", [], ["a"], value_ints=[1]),
            node("Constant", [], ["b"], value_ints=[0]),
            node(op, names, ["c"]),
            node("Reshape", ["x", "c"], ["y"]),
        ]
        with pytest.raises(GennapeError):
            capture_onnx(model(nodes, X))


def test_deep_graphs_inside_nodes(model: Any) -> None:
    info = onnx.helper.make_tensor_value_info("t", 1, None)
    graph = onnx.helper.make_graph([node("Relu", ["x"], ["t"])], "g", [], [info])
    for _ in range(30):
        inner = node("If", ["c"], ["t"], then_branch=graph, else_branch=graph)
        graph = onnx.helper.make_graph([inner], "g", [], [info])
        if len(graph.SerializeToString()) > 1 << 20:
            break
    nodes = [
        node("Constant", [], ["c"], value_int=1),
        node("If", ["c"], ["y"], then_branch=graph, else_branch=graph),
    ]
    start = time.process_time()
    assert "relu" in [n.op for n in capture_onnx(model(nodes, X)).graph.nodes]
    assert time.process_time() - start < LIMIT


def test_long_chains(model: Any) -> None:
    count = 20_000
    names = ["x", *(f"v{i}" for i in range(count)), "y"]
    nodes = [node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    file = model(nodes, X)
    start = time.process_time()
    assert len(capture_onnx(file).graph) == count + 3
    assert time.process_time() - start < LIMIT
    with pytest.raises(GraphError, match="more nodes"):
        capture_onnx(file, max_nodes=100)


def test_text_that_is_no_text(tmp_path: Path, model: Any) -> None:
    content = model([node("Relu", ["x"], ["y"])], X).SerializeToString()
    for old in (b"Relu", b"net"):
        path = saved(tmp_path, content.replace(old, b"\xff" * len(old)))
        survives(path)


def test_onnx_is_asked_for_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InvalidInputError, match=r"pip install gennape-plugin\[onnx\]"):
        capture_onnx("net.onnx")


# -- mutations ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(export: Any) -> list[bytes]:
    """A few small exported models."""
    image = torch.zeros(1, 3, 8, 8)
    conv = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.AvgPool2d(2, 2, 1),
        nn.GroupNorm(2, 4),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(64, 2),
        nn.Softmax(-1),
    )
    encoder = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True))
    lstm = nn.LSTM(4, 3, bidirectional=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [
            export(conv, image),
            export(encoder, torch.zeros(1, 3, 8)),
            export(lstm, torch.zeros(5, 1, 4)),
        ]
    return [model.SerializeToString() for model in models]


def survives(source: Any) -> None:
    """Either a graph or an error of ours, and in time."""
    start = time.process_time()
    try:
        graph = capture_onnx(source).graph
    except GennapeError:
        pass
    else:
        ComputeGraph(graph.nodes, graph.operands, weight_of=graph.weight_of)
        graph.paper_view()
    assert time.process_time() - start < LIMIT


@pytest.mark.parametrize("seed", range(15))
def test_byte_mutations(tmp_path: Path, small: list[bytes], seed: int) -> None:
    rng = random.Random(seed)
    for content in small:
        for _ in range(10):
            data = bytearray(content)
            for _ in range(rng.choice((1, 1, 2, 8))):
                place = rng.randrange(len(data))
                match rng.randrange(4):
                    case 0:
                        data[place] ^= 1 << rng.randrange(8)
                    case 1:
                        data[place] = rng.randrange(256)
                    case 2:
                        del data[place : place + rng.randrange(1, 16)]
                    case _:
                        data[place:place] = rng.randbytes(rng.randrange(1, 8))
            if not rng.randrange(8):
                del data[rng.randrange(len(data)) :]
            survives(saved(tmp_path, bytes(data)))


_SIZES = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 255, 2**31, 2**40, 2**62)


def mutate(message: Any, rng: random.Random) -> None:
    """Change one field somewhere in a message."""
    while True:
        fields = message.ListFields()
        if not fields:
            return
        field, value = rng.choice(fields)
        repeated = hasattr(value, "append") or hasattr(value, "add")
        if repeated and len(value) and rng.randrange(6) == 0:
            match rng.randrange(3):
                case 0:
                    del value[rng.randrange(len(value))]
                case 1:
                    value.append(value[rng.randrange(len(value))])
                case _:
                    del value[:]
            return
        if field.message_type is not None:
            if not repeated and rng.randrange(12) == 0:
                message.ClearField(field.name)
                return
            message = rng.choice(list(value)) if repeated else value
            continue
        if rng.randrange(8) == 0:
            message.ClearField(field.name)
            return
        old = rng.choice(list(value)) if repeated and len(value) else value
        new = _changed(old, rng)
        try:
            if repeated:
                value[rng.randrange(len(value))] = new
            else:
                setattr(message, field.name, new)
        except (ValueError, TypeError, OverflowError):  # not a value of this field
            continue
        return


def _changed(old: Any, rng: random.Random) -> Any:
    if isinstance(old, str):
        return rng.choice(("", "x", "w", "Add", "Reshape", "Gather", "If", old + "_", old[:-1]))
    if isinstance(old, bytes):
        return rng.choice((b"", old[:-1], old + b"\x01", rng.randbytes(len(old))))
    if isinstance(old, float):
        return rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e30))
    return rng.choice(_SIZES)


@pytest.mark.parametrize("seed", range(15))
def test_field_mutations(small: list[bytes], seed: int) -> None:
    rng = random.Random(seed)
    for content in small:
        for _ in range(12):
            model = onnx.load_from_string(content)
            for _ in range(rng.choice((1, 1, 2, 4))):
                mutate(model, rng)
            survives(model)


@pytest.mark.parametrize("seed", range(10))
def test_operators_with_wrong_operands(model: Any, seed: int) -> None:
    rng = random.Random(seed)
    names = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    weights = {
        "i": np.array([1, -1], dtype=np.int64),
        "f": np.array(2, dtype=np.float32),
        "w": (4, 4, 3, 3),
        "v": (4,),
        "z": np.zeros((0,), dtype=np.int64),
    }
    for op in names:
        inputs = [
            rng.choice(["x", "u", "i", "f", "w", "v", "z", ""]) for _ in range(rng.randrange(6))
        ]
        attrs: dict[str, Any] = {}
        for name in ("axis", "axes", "kernel_shape", "perm", "to", "mode", "equation", "pads"):
            if not rng.randrange(3):
                attrs[name] = rng.choice([1, -1, [1, 2], [-1], 0.5, "linear", "ij->ji", 2**40])
        file = model(
            [node(op, inputs, ["y", "y2"][: rng.randrange(1, 3)], **attrs)],
            {**X, "u": (1, 4)},
            ("y",),
            weights,
        )
        survives(file)
