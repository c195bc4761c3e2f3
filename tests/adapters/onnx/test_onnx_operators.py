"""Operators one by one, written by hand: what each becomes, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from gennape_plugin.adapters.onnx import capture_onnx
from gennape_plugin.core.errors import CaptureError, GraphError

onnx = pytest.importorskip("onnx")
node = onnx.helper.make_node

I64 = np.int64
MAP = (1, 4, 8, 8)


def ints(*values: int) -> Any:
    return np.array(values, dtype=I64)


def floats(*values: float) -> Any:
    return np.array(values, dtype=np.float32)


def scalar(value: float) -> Any:
    return np.array(value, dtype=np.float32)


def text(capture: Any) -> list[str]:
    return [str(n) for n in capture.graph.nodes if n.op not in ("input", "output")]


#: Operator, shapes of inputs, weights, attributes; op, attributes and shape of the result.
CASES: list[tuple[str, list[Any], list[Any], dict[str, Any], str, dict[str, Any], Any]] = [
    ("Relu", [MAP], [], {}, "relu", {}, MAP),
    ("LeakyRelu", [MAP], [], {"alpha": 0.2}, "leaky_relu", {"slope": 0.2}, MAP),
    ("PRelu", [MAP], [(4, 1, 1)], {}, "prelu", {"parameters": 4}, MAP),
    ("Elu", [MAP], [], {"alpha": 2.0}, "elu", {"alpha": 2.0}, MAP),
    ("Celu", [MAP], [], {}, "celu", {"alpha": 1.0}, MAP),
    ("Selu", [MAP], [], {}, "selu", {}, MAP),
    ("Gelu", [MAP], [], {"approximate": "tanh"}, "gelu", {"approximate": "tanh"}, MAP),
    ("HardSigmoid", [MAP], [], {}, "hard_sigmoid", {}, MAP),
    ("HardSwish", [MAP], [], {}, "hard_swish", {}, MAP),
    ("Softplus", [MAP], [], {}, "softplus", {}, MAP),
    ("Softsign", [MAP], [], {}, "softsign", {}, MAP),
    ("Mish", [MAP], [], {}, "mish", {}, MAP),
    ("ThresholdedRelu", [MAP], [], {}, "threshold", {}, MAP),
    ("Shrink", [MAP], [], {"bias": 0.5}, "soft_shrink", {"alpha": 0.5}, MAP),
    ("Clip", [MAP], [scalar(0), scalar(6)], {}, "relu6", {}, MAP),
    ("Clip", [MAP], [scalar(0)], {}, "relu", {}, MAP),
    ("Clip", [MAP], [scalar(-2), scalar(2)], {}, "hard_tanh", {"low": -2.0}, MAP),
    ("Softmax", [MAP], [], {"axis": 1}, "softmax", {"dim": 1}, MAP),
    ("LogSoftmax", [MAP], [], {}, "log_softmax", {"dim": -1}, MAP),
    ("LpNormalization", [MAP], [], {"axis": 1}, "normalize", {"dim": 1, "p": 2.0}, MAP),
    ("Dropout", [MAP], [scalar(0.2)], {}, "dropout", {"rate": 0.2}, MAP),
    ("Identity", [MAP], [], {}, "identity", {}, MAP),
    ("Cast", [MAP], [], {"to": 10}, "cast", {"dtype": "float16"}, MAP),
    (
        "BatchNormalization",
        [MAP],
        [(4,)] * 4,
        {"epsilon": 1e-3},
        "batch_norm",
        {"affine": True, "eps": 1e-3},
        MAP,
    ),
    ("InstanceNormalization", [MAP], [(4,)] * 2, {}, "instance_norm", {"affine": True}, MAP),
    (
        "GroupNormalization",
        [MAP],
        [(4,)] * 2,
        {"num_groups": 2},
        "group_norm",
        {"groups": 2, "affine": True},
        MAP,
    ),
    (
        "LayerNormalization",
        [MAP],
        [(8, 8)] * 2,
        {"axis": 2},
        "layer_norm",
        {"shape": (8, 8), "bias": True},
        MAP,
    ),
    ("LayerNormalization", [MAP], [(8,)], {}, "layer_norm", {"shape": (8,), "bias": False}, MAP),
    ("LRN", [MAP], [], {"size": 3}, "local_response_norm", {"size": 3}, MAP),
    ("Conv", [MAP], [(6, 4, 3, 3), (6,)], {}, "conv", {"channels": 6, "bias": True}, (1, 6, 6, 6)),
    (
        "Conv",
        [MAP],
        [(4, 1, 3, 3)],
        {"group": 4, "dilations": [2, 2], "pads": [2, 2, 2, 2]},
        "conv",
        {"groups": 4, "dilation": (2, 2), "padding": (2, 2), "bias": False},
        MAP,
    ),
    (
        "Conv",
        [MAP],
        [(6, 4, 3, 3)],
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        "conv",
        {"padding": "same"},
        (1, 6, 4, 4),
    ),
    (
        "Conv",
        [(1, 4, 9)],
        [(6, 4, 3)],
        {"auto_pad": "SAME_LOWER"},
        "conv",
        {"padding": (1,)},
        (1, 6, 9),
    ),
    (
        "ConvTranspose",
        [MAP],
        [(4, 6, 2, 2)],
        {"strides": [2, 2]},
        "conv_transpose",
        {"channels": 6, "output_padding": (0, 0)},
        (1, 6, 16, 16),
    ),
    (
        "ConvTranspose",
        [MAP],
        [(4, 6, 3, 3)],
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        "conv_transpose",
        {},
        (1, 6, 16, 16),
    ),
    (
        "ConvTranspose",
        [MAP],
        [(4, 6, 3, 3)],
        {"strides": [2, 2], "output_shape": [17, 18]},
        "conv_transpose",
        {},
        (1, 6, 17, 18),
    ),
    ("Gemm", [(1, 4)], [(4, 3), (3,)], {}, "linear", {"features": 3, "bias": True}, (1, 3)),
    ("Gemm", [(1, 4)], [(3, 4)], {"transB": 1}, "linear", {"features": 3}, (1, 3)),
    ("MatMul", [(1, 5, 4)], [(4, 3)], {}, "linear", {"features": 3, "bias": False}, (1, 5, 3)),
    ("MatMul", [(1, 5, 4), (1, 4, 3)], [], {}, "matmul", {}, (1, 5, 3)),
    (
        "Einsum",
        [(1, 5, 4), (1, 4, 3)],
        [],
        {"equation": "bij, bjk -> bik"},
        "einsum",
        {"equation": "bij,bjk->bik"},
        (1, 5, 3),
    ),
    ("Einsum", [(2, 5, 4), (4, 3)], [], {"equation": "...j,jk"}, "einsum", {}, (2, 5, 3)),
    (
        "MaxPool",
        [MAP],
        [],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4},
        "max_pool",
        {"padding": (1, 1), "ceil_mode": False},
        (1, 4, 4, 4),
    ),
    (
        "MaxPool",
        [MAP],
        [],
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        "max_pool",
        {"ceil_mode": True},
        (1, 4, 4, 4),
    ),
    (
        "AveragePool",
        [MAP],
        [],
        {"kernel_shape": [3, 3], "pads": [1] * 4},
        "avg_pool",
        {"count_include_pad": False},
        MAP,
    ),
    ("LpPool", [MAP], [], {"kernel_shape": [2, 2]}, "lp_pool", {}, (1, 4, 7, 7)),
    ("GlobalAveragePool", [MAP], [], {}, "adaptive_avg_pool", {"size": (1, 1)}, (1, 4, 1, 1)),
    ("GlobalMaxPool", [MAP], [], {}, "adaptive_max_pool", {"size": (1, 1)}, (1, 4, 1, 1)),
    ("GlobalLpPool", [MAP], [], {}, "lp_pool", {}, (1, 4, 1, 1)),
    (
        "Pad",
        [MAP],
        [ints(0, 0, 0, 1, 0, 0, 0, 2)],
        {},
        "pad",
        {"padding": (1, 2)},
        (1, 4, 8, 11),
    ),
    (
        "Pad",
        [MAP],
        [ints(1, 1), None, ints(-2)],
        {"mode": "edge"},
        "pad",
        {"padding": (0, 0, 1, 1), "mode": "replicate"},
        (1, 4, 10, 8),
    ),
    (
        "Resize",
        [MAP],
        [None, floats(1, 1, 2, 2)],
        {"mode": "linear"},
        "interpolate",
        {"size": (16, 16), "mode": "bilinear"},
        (1, 4, 16, 16),
    ),
    (
        "Resize",
        [MAP],
        [None, None, ints(1, 4, 5, 6)],
        {"mode": "cubic", "coordinate_transformation_mode": "align_corners"},
        "interpolate",
        {"size": (5, 6), "mode": "bicubic", "align_corners": True},
        (1, 4, 5, 6),
    ),
    ("DepthToSpace", [MAP], [], {"blocksize": 2}, "pixel_shuffle", {"factor": 2}, (1, 1, 16, 16)),
    ("SpaceToDepth", [MAP], [], {"blocksize": 2}, "pixel_unshuffle", {}, (1, 16, 4, 4)),
    (
        "Transpose",
        [MAP],
        [],
        {"perm": [0, 2, 3, 1]},
        "permute",
        {"dims": (0, 2, 3, 1)},
        (1, 8, 8, 4),
    ),
    ("Transpose", [(2, 3)], [], {}, "permute", {"dims": (1, 0)}, (3, 2)),
    ("Reshape", [MAP], [ints(0, -1)], {}, "reshape", {}, (1, 256)),
    ("Flatten", [MAP], [], {"axis": -2}, "reshape", {}, (4, 64)),
    ("Squeeze", [MAP], [], {}, "reshape", {}, (4, 8, 8)),
    ("Unsqueeze", [MAP], [ints(-1, 0)], {}, "reshape", {}, (1, 1, 4, 8, 8, 1)),
    ("Expand", [(1, 4, 1)], [ints(2, 1, 1, 5)], {}, "expand", {}, (2, 1, 4, 5)),
    ("Tile", [(1, 4)], [ints(1, 3)], {}, "repeat", {"repeats": (1, 3)}, (1, 12)),
    ("Concat", [MAP, MAP], [], {"axis": -3}, "concat", {"dim": 1}, (1, 8, 8, 8)),
    (
        "Slice",
        [MAP],
        [ints(1, -3), ints(100, -1), ints(1, 3)],
        {},
        "slice",
        {"spec": ((1, 1, 4, 1), (3, 5, 7, 1))},
        (1, 3, 8, 2),
    ),
    (
        "Slice",
        [MAP],
        [ints(-1), ints(-(2**63)), ints(2), ints(-1)],
        {},
        "gather",
        {"function": "flip"},
        MAP,
    ),
    (
        "Gather",
        [MAP],
        [np.array(-1, dtype=I64)],
        {"axis": 1},
        "slice",
        {"spec": ((1, 3, None, 0),)},
        (1, 8, 8),
    ),
    (
        "Gather",
        [MAP],
        [ints(0, 2)],
        {"axis": 1},
        "gather",
        {"function": "index_select"},
        (1, 2, 8, 8),
    ),
    ("ReduceMean", [MAP], [ints(2, 3)], {"keepdims": 0}, "mean", {"axes": (2, 3)}, (1, 4)),
    ("ReduceMean", [MAP], [], {}, "mean", {"axes": (0, 1, 2, 3), "keepdim": True}, (1, 1, 1, 1)),
    ("ReduceMax", [MAP], [ints(-1)], {}, "reduce", {"function": "max"}, (1, 4, 8, 1)),
    ("ReduceL2", [MAP], [ints(1)], {}, "reduce", {"function": "norm"}, (1, 1, 8, 8)),
    (
        "ArgMax",
        [MAP],
        [],
        {"axis": 1, "keepdims": 0},
        "reduce",
        {"function": "argmax", "axes": (1,)},
        (1, 8, 8),
    ),
    ("TopK", [MAP], [ints(3)], {}, "gather", {"function": "topk"}, (1, 4, 8, 3)),
    ("GatherElements", [MAP, (1, 2, 8, 8)], [], {"axis": 1}, "gather", {}, (1, 2, 8, 8)),
    (
        "GridSample",
        [MAP, (1, 3, 5, 2)],
        [],
        {},
        "gather",
        {"function": "grid_sample"},
        (1, 4, 3, 5),
    ),
    ("OneHot", [(1, 3)], [ints(7), floats(0, 1)], {}, "gather", {"function": "one_hot"}, (1, 3, 7)),
    ("Add", [MAP, MAP], [], {}, "add", {"scalar": None}, MAP),
    ("Add", [MAP], [scalar(2)], {}, "add", {"scalar": 2.0}, MAP),
    ("Mul", [MAP], [scalar(0)], {}, "zero", {}, MAP),
    ("Div", [MAP], [scalar(2)], {}, "div", {"scalar": 2.0}, MAP),
    ("Sum", [MAP, MAP, MAP], [], {}, "add", {}, MAP),
    ("Mean", [MAP, MAP], [], {}, "div", {"scalar": 2.0}, MAP),
    ("Max", [MAP, (1, 1, 8, 1)], [], {}, "binary", {"function": "maximum"}, MAP),
    ("Pow", [MAP], [scalar(2)], {}, "binary", {"function": "pow", "scalar": 2.0}, MAP),
    ("Greater", [MAP, MAP], [], {}, "binary", {"function": "gt"}, MAP),
    ("Where", [MAP, MAP, MAP], [], {}, "where", {}, MAP),
    ("Erf", [MAP], [], {}, "unary", {"function": "erf"}, MAP),
    ("CumSum", [MAP], [np.array(1, dtype=I64)], {}, "unary", {"function": "cumsum"}, MAP),
    ("Trilu", [(4, 4)], [], {}, "where", {}, (4, 4)),
    (
        "LSTM",
        [(5, 1, 3)],
        [(1, 16, 3), (1, 16, 4), (1, 32)],
        {"hidden_size": 4},
        "lstm",
        {"hidden": 4, "bias": True, "bidirectional": False},
        (5, 1, 1, 4),
    ),
    (
        "GRU",
        [(5, 1, 3)],
        [(2, 12, 3), (2, 12, 4)],
        {"hidden_size": 4, "direction": "bidirectional"},
        "gru",
        {"bias": False, "bidirectional": True},
        (5, 2, 1, 4),
    ),
    (
        "RNN",
        [(1, 5, 3)],
        [(1, 4, 3), (1, 4, 4)],
        {"hidden_size": 4, "layout": 1, "activations": ["Relu"]},
        "rnn",
        {"nonlinearity": "relu", "batch_first": True},
        (1, 5, 1, 4),
    ),
    (
        "QuantizeLinear",
        [MAP],
        [scalar(0.1), np.array(0, dtype=np.int8)],
        {},
        "cast",
        {"dtype": "int8"},
        MAP,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_one_operator(one: Any, case: Any) -> None:
    name, shapes, weights, attrs, op, expected, shape = case
    graph = one(name, *shapes, weights=weights, **attrs).graph
    made = graph.nodes[-2]
    assert made.op == op
    assert made.shape == shape
    for key, value in expected.items():
        assert made.attr(key) == value, made


@pytest.mark.parametrize(
    ("name", "shapes", "weights", "attrs"),
    [
        ("Conv", [MAP], [(6, 3, 3, 3)], {}),
        ("Conv", [MAP], [(6, 4, 3)], {}),
        ("Conv", [MAP], [(6, 4, 3, 3)], {"kernel_shape": [5, 5]}),
        ("Conv", [MAP], [(6, 4, 3, 3)], {"strides": [1]}),
        ("Conv", [MAP], [(6, 4, 3, 3)], {"strides": [0, 1]}),
        ("Conv", [MAP], [(6, 4, 3, 3)], {"group": 0}),
        ("Conv", [MAP], [(6, 4, 3, 3)], {"auto_pad": "SOMEHOW"}),
        ("Conv", [MAP], [(6, 4, 9, 9)], {}),
        ("Conv", [MAP], [], {}),
        ("Gemm", [(1, 4)], [(5, 3)], {}),
        ("MatMul", [(1, 4)], [(5, 3)], {}),
        ("MatMul", [(1, 4), (5, 3)], [], {}),
        ("Reshape", [MAP], [ints(3, -1)], {}),
        ("Reshape", [MAP], [ints(-1, -1)], {}),
        ("Squeeze", [MAP], [ints(1)], {}),
        ("Transpose", [MAP], [], {"perm": [0, 1, 2, 2]}),
        ("Concat", [MAP, (1, 4, 8, 7)], [], {"axis": 1}),
        ("Concat", [MAP], [(1, 4, 8, 7)], {}),
        ("Slice", [MAP], [ints(0), ints(1, 2)], {}),
        ("Slice", [MAP], [ints(0), ints(1), ints(9)], {}),
        ("Split", [MAP], [ints(1, 2)], {"axis": 1}),
        ("Add", [MAP, (1, 5, 8, 8)], [], {}),
        ("BatchNormalization", [MAP], [(5,)] * 4, {}),
        ("LayerNormalization", [MAP], [(7,)], {}),
        ("GroupNormalization", [MAP], [(4,)] * 2, {"num_groups": 3}),
        ("MaxPool", [MAP], [], {}),
        ("MaxPool", [MAP], [], {"kernel_shape": [3]}),
        ("GlobalAveragePool", [(1, 4)], [], {}),
        ("Resize", [MAP], [None, floats(1, 1, -1, 2)], {}),
        ("Resize", [MAP], [None, floats(1, 2)], {}),
        ("Pad", [MAP], [ints(1, 1)], {}),
        ("Pad", [MAP], [ints(0, -5, 0, 0, 0, 0, 0, 0)], {}),
        ("Gather", [MAP], [np.array(4, dtype=I64)], {"axis": 1}),
        ("Gather", [MAP], [np.array(4, dtype=I64)], {"axis": 7}),
        ("TopK", [MAP], [ints(9)], {}),
        ("LSTM", [(5, 1, 3)], [(1, 16, 3), (1, 12, 4)], {"hidden_size": 4}),
        ("Einsum", [MAP], [], {"equation": "ij->ij"}),
        ("Einsum", [(2, 3)], [], {"equation": "ij->ik"}),
        ("DepthToSpace", [MAP], [], {"blocksize": 3}),
        ("Expand", [MAP], [ints(1, 3, 8, 8)], {}),
        ("Expand", [(1, 1)], [ints(-4)], {}),
        ("Softmax", [MAP], [], {"axis": 4}),
        ("Relu", [MAP], [], {"not_an_axis": 1}),
    ],
)
def test_misfits_are_one_clear_error(
    one: Any, name: str, shapes: Any, weights: Any, attrs: Any
) -> None:
    if name == "Relu":
        assert one(name, *shapes, **attrs).graph.nodes[1].op == "relu"
        return
    with pytest.raises((GraphError, CaptureError), match=rf"node 'y' \({name}\)"):
        one(name, *shapes, weights=weights, **attrs)


# -- several results, and several nodes ---------------------------------------------------------


def test_results_beyond_the_first(model: Any) -> None:
    nodes = [
        node("TopK", ["x", "k"], ["values", "places"]),
        node("Split", ["values"], ["a", "b", "c"], axis=1, num_outputs=3),
        node("LSTM", ["s", "w", "r"], ["all", "last", "cell"], hidden_size=4),
    ]
    outputs = ("places", "a", "c", "last", "cell")
    weights = {"k": ints(2), "w": (1, 16, 3), "r": (1, 16, 4)}
    graph = capture_onnx(model(nodes, {"x": MAP, "s": (5, 1, 3)}, outputs, weights)).graph
    shapes = [graph.nodes[i].shape for i in graph.operands[-1]]
    assert shapes == [(1, 4, 8, 2), (1, 2, 8, 2), (1, 0, 8, 2), (1, 1, 4), (1, 1, 4)]


def test_uneven_padding_is_a_node_of_its_own(one: Any) -> None:
    read = one("Conv", MAP, weights=[(6, 4, 3, 3)], pads=[0, 0, 3, 3])
    assert [n.op for n in read.graph.nodes[1:-1]] == ["pad", "conv"]
    assert read.graph.nodes[2].shape == (1, 6, 9, 9)


def test_upsample_of_old_versions(one: Any) -> None:
    read = one("Upsample", MAP, weights=[floats(1, 1, 2, 2)], opset=9)
    assert read.graph.nodes[1].attr("size") == (16, 16)
    read = one("Upsample", MAP, opset=7, scales=[1.0, 1.0, 3.0, 3.0])
    assert read.graph.nodes[1].attr("size") == (24, 24)


def test_old_versions_keep_settings_in_attributes(one: Any) -> None:
    assert one("Clip", MAP, opset=6, min=0.0, max=6.0).graph.nodes[1].op == "relu6"
    assert one("Clip", MAP, opset=6, min=0.0).graph.nodes[1].op == "relu"
    assert one("Softmax", MAP, opset=11).graph.nodes[1].attr("dim") == 1
    read = one("Slice", MAP, opset=9, starts=[1], ends=[3], axes=[1])
    assert read.graph.nodes[1].shape == (1, 2, 8, 8)
    read = one("Pad", MAP, opset=2, pads=[0, 0, 1, 1, 0, 0, 1, 1])
    assert read.graph.nodes[1].shape == (1, 4, 10, 10)


def test_embeddings_and_weights_used_twice(model: Any) -> None:
    nodes = [
        node("Gather", ["table", "x"], ["e"]),
        node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        node("MatMul", ["e", "turned"], ["y"]),
    ]
    file = model(nodes, {"x": (1, 7)}, ("y",), {"table": (100, 16)}, kind=7)
    graph = capture_onnx(file).graph
    assert [n.op for n in graph.nodes] == ["input", "embedding", "linear", "output"]
    assert graph.weight_of == (0, 1, 1, 3)
    assert graph.params == 1600


def test_a_convolution_with_a_kernel_from_an_input(one: Any) -> None:
    graph = one("Conv", MAP, (6, 4, 3, 3)).graph
    assert len(graph.operands[2]) == 2
    assert graph.params == 0


def test_quantised_layers(model: Any) -> None:
    zero, scale = np.array(0, dtype=np.uint8), scalar(0.1)
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z", "b"], ["c"]),
        node("DequantizeLinear", ["c", "s", "z"], ["f"]),
        node("DequantizeLinear", ["v", "s", "z"], ["g"]),
        node("Conv", ["f", "g"], ["h"]),
        node("DynamicQuantizeLinear", ["h"], ["i", "is", "iz"]),
        node("ConvInteger", ["i", "v", "iz"], ["j"]),
        node("Flatten", ["j"], ["k"]),
        node("MatMulInteger", ["k", "m"], ["l"]),
        node("QLinearMatMul", ["l", "s", "z", "n", "s", "z", "s", "z"], ["y"]),
    ]
    kernel = np.zeros((4, 4, 3, 3), dtype=np.int8)
    weights = {
        "s": scale,
        "z": zero,
        "w": kernel,
        "b": np.zeros(4, dtype=np.int32),
        "v": kernel,
        "m": np.zeros((16, 5), dtype=np.int8),
        "n": np.zeros((5, 2), dtype=np.int8),
    }
    graph = capture_onnx(model(nodes, {"x": MAP}, ("y",), weights)).graph
    convs = [n for n in graph.nodes if n.op == "conv"]
    assert [n.params for n in convs] == [148, 144, 144]
    assert [n.attr("features") for n in graph.nodes if n.op == "linear"] == [5, 2]
    assert graph.paper_view().num_weighted == 5
    # The second kernel is read twice: as it is, and as floating-point numbers.
    assert graph.params == 148 + 144 + 80 + 10


def test_attention_as_one_operator(one: Any) -> None:
    query, key = (1, 2, 5, 8), (1, 2, 7, 8)
    graph = one("Attention", query, key, key, opset=23, is_causal=1).graph
    made = graph.nodes[-2]
    assert made.op == "attention"
    assert made.attr("causal")
    assert made.macs == 2 * 5 * 7 * 8 * 2


def test_constants_are_no_operands_but_weights_are(model: Any) -> None:
    shift = onnx.numpy_helper.from_array(np.ones((4, 1, 1), dtype=np.float32))
    nodes = [
        node("Constant", [], ["c"], value=shift),
        node("Mul", ["x", "c"], ["a"]),
        node("Add", ["a", "w"], ["y"]),
    ]
    graph = capture_onnx(model(nodes, {"x": MAP}, ("y",), {"w": (4, 1, 1)})).graph
    assert [n.op for n in graph.nodes] == ["input", "mul", "parameter", "add", "output"]
    assert graph.params == 4


# -- unknown operators --------------------------------------------------------------------------


def test_unknown_operators_are_kept_where_their_shape_is_known(model: Any) -> None:
    info = onnx.helper.make_tensor_value_info("y", 1, [1, 3])
    nodes = [node("Blend", ["x", "w"], ["y"], domain="my.ops"), node("Relu", ["y"], ["z"])]
    file = model(nodes, {"x": MAP}, ("z",), {"w": (5, 5)}, value_info=[info])
    read = capture_onnx(file)
    assert dict(read.custom) == {"my.ops.Blend": 1}
    assert read.graph.params == 25
    assert "my.ops.Blend" in read.warnings[0]


def test_the_standard_gives_the_shape_of_rare_operators(one: Any) -> None:
    read = one("CenterCropPad", MAP, weights=[ints(4, 6)], axes=[2, 3])
    assert dict(read.custom) == {"CenterCropPad": 1}
    assert read.graph.nodes[-1].shape == (1, 4, 4, 6)


def test_kept_operators_may_have_several_results(model: Any) -> None:
    info = [onnx.helper.make_tensor_value_info(name, 1, [1, 3]) for name in ("a", "b")]
    nodes = [node("Pair", ["x"], ["a", "b"], domain="my.ops"), node("Add", ["a", "b"], ["y"])]
    read = capture_onnx(model(nodes, {"x": MAP}, value_info=info))
    assert [n.op for n in read.graph.nodes] == ["input", "custom", "select", "add", "output"]


def test_unknown_shapes_are_one_clear_error(one: Any) -> None:
    with pytest.raises(CaptureError, match=r"node 'y' \(Blend\)"):
        one("Blend", MAP)
    with pytest.raises(CaptureError, match="depends on the data"):
        one("NonZero", MAP)
    with pytest.raises(CaptureError, match="depends on the data"):
        one("Reshape", MAP, (2,))
