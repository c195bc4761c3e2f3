"""Shape arithmetic, operations written as several, control flow and local functions."""

from typing import Any

import numpy as np
import pytest
from gennape_plugin.adapters.onnx import capture_onnx
from gennape_plugin.core.errors import CaptureError, GraphError

onnx = pytest.importorskip("onnx")
node = onnx.helper.make_node

X = {"x": (1, 4, 8, 8)}


def number(name: str, value: float) -> Any:
    return node("Constant", [], [name], value_float=value)


def integers(name: str, *values: int) -> Any:
    return node("Constant", [], [name], value_ints=list(values))


def ops(capture: Any) -> list[str]:
    return [n.op for n in capture.graph.nodes[1:-1]]


# -- shape arithmetic ---------------------------------------------------------------------------


def test_sizes_are_computed(model: Any) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        integers("zero", 0),
        integers("two", 2),
        integers("four", 4),
        integers("minus", -1),
        node("Slice", ["s", "two", "four"], ["hw"]),
        node("Cast", ["hw"], ["f"], to=1),
        number("half", 0.5),
        node("Mul", ["f", "half"], ["g"]),
        node("Floor", ["g"], ["g1"]),
        node("Cast", ["g1"], ["h"], to=7),
        node("ReduceProd", ["h"], ["p"], keepdims=1),
        node("Gather", ["s", "zero"], ["n"]),
        node("Concat", ["n", "p", "minus"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["r"]),
        node("Equal", ["target", "minus"], ["is_open"]),
        node("ConstantOfShape", ["c3"], ["ones"], value=onnx.helper.make_tensor("v", 7, [1], [1])),
        node("Where", ["is_open", "ones", "target"], ["wanted"]),
        node("Expand", ["r", "wanted"], ["y"]),
    ]
    nodes.insert(0, integers("c3", 3))
    graph = capture_onnx(model(nodes, X)).graph
    assert [n.op for n in graph.nodes] == ["input", "reshape", "output"]
    assert graph.nodes[1].shape == (1, 16, 16)


def test_ranges_and_divisions(model: Any) -> None:
    nodes = [
        node("Constant", [], ["a"], value_int=7),
        node("Constant", [], ["b"], value_int=-2),
        node("Constant", [], ["z"], value_int=0),
        node("Constant", [], ["i"], value_int=1),
        node("Div", ["a", "b"], ["q"]),  # towards zero: -3
        node("Neg", ["q"], ["n"]),
        node("Range", ["z", "n", "i"], ["r"]),
        node("Gather", ["x", "r"], ["y"], axis=1),
    ]
    assert capture_onnx(model(nodes, X)).graph.nodes[1].shape == (1, 3, 8, 8)


def test_large_constants_only_have_a_shape(model: Any) -> None:
    nodes = [
        integers("s", 1, 4, 1 << 20, 8),
        node("ConstantOfShape", ["s"], ["c"]),
        node("Exp", ["c"], ["e"]),
        node("Slice", ["e", "from", "to", "axis"], ["d"]),
        node("Add", ["x", "d"], ["y"]),
    ]
    weights = {
        "from": np.array([0]),
        "to": np.array([8]),
        "axis": np.array([2]),
    }
    read = capture_onnx(model(nodes, X, ("y",), weights))
    assert read.graph.nodes[-2].shape == (1, 4, 8, 8)
    assert read.graph.params == 0


# -- operations written as several --------------------------------------------------------------


def test_silu_and_mish(model: Any) -> None:
    nodes = [
        node("Sigmoid", ["x"], ["s"]),
        node("Mul", ["s", "x"], ["a"]),
        node("Softplus", ["a"], ["p"]),
        node("Tanh", ["p"], ["t"]),
        node("Mul", ["a", "t"], ["y"]),
    ]
    assert ops(capture_onnx(model(nodes, X))) == ["silu", "mish"]
    # What something else reads stays.
    assert ops(capture_onnx(model(nodes, X, ("y", "s")))) == ["sigmoid", "silu", "mish"]


def test_a_gate_of_another_tensor_is_no_silu(model: Any) -> None:
    nodes = [
        node("Sigmoid", ["x"], ["s"]),
        node("Relu", ["x"], ["r"]),
        node("Mul", ["r", "s"], ["y"]),
    ]
    assert ops(capture_onnx(model(nodes, X))) == ["sigmoid", "relu", "mul"]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_gelu(model: Any, order: int) -> None:
    start = [
        number("r", 2**0.5),
        number("one", 1.0),
        number("half", 0.5),
        node("Div", ["x", "r"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["one", "e"], ["g"]),
    ]
    ends = [
        [node("Mul", ["x", "g"], ["m"]), node("Mul", ["m", "half"], ["y"])],
        [node("Mul", ["half", "x"], ["m"]), node("Mul", ["m", "g"], ["y"])],
        [node("Mul", ["g", "half"], ["m"]), node("Mul", ["x", "m"], ["y"])],
    ]
    assert ops(capture_onnx(model([*start, *ends[order]], X))) == ["gelu"]


@pytest.mark.parametrize("power", [True, False])
def test_gelu_by_tanh(model: Any, power: bool) -> None:
    cube = (
        [number("three", 3.0), node("Pow", ["x", "three"], ["cube"])]
        if power
        else [node("Mul", ["x", "x"], ["square"]), node("Mul", ["x", "square"], ["cube"])]
    )
    nodes = [
        *cube,
        number("k", 0.044715),
        number("c", 0.7978846),
        number("one", 1.0),
        number("half", 0.5),
        node("Mul", ["k", "cube"], ["kc"]),
        node("Add", ["x", "kc"], ["i"]),
        node("Mul", ["c", "i"], ["j"]),
        node("Tanh", ["j"], ["t"]),
        node("Add", ["one", "t"], ["g"]),
        node("Mul", ["x", "g"], ["m"]),
        node("Mul", ["half", "m"], ["y"]),
    ]
    read = capture_onnx(model(nodes, X))
    assert ops(read) == ["gelu"]
    assert read.graph.nodes[1].attr("approximate") == "tanh"


def test_hard_activations(model: Any) -> None:
    nodes = [
        number("three", 3.0),
        number("six", 6.0),
        number("zero", 0.0),
        node("Add", ["x", "three"], ["a"]),
        node("Clip", ["a", "zero", "six"], ["b"]),
        node("Mul", ["x", "b"], ["c"]),
        node("Div", ["c", "six"], ["d"]),
        node("Add", ["d", "three"], ["e"]),
        node("Clip", ["e", "zero", "six"], ["f"]),
        node("Div", ["f", "six"], ["g"]),
        node("HardSigmoid", ["g"], ["h"], alpha=1 / 6),
        node("Mul", ["g", "h"], ["y"]),
    ]
    assert ops(capture_onnx(model(nodes, X))) == ["hard_swish", "hard_sigmoid", "hard_swish"]


def test_glu(model: Any) -> None:
    nodes = [
        node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        node("Sigmoid", ["b"], ["s"]),
        node("Mul", ["a", "s"], ["y"]),
    ]
    read = capture_onnx(model(nodes, X))
    assert ops(read) == ["glu"]
    assert read.graph.nodes[1].attr("dim") == 1


def layer_norm(x: str, y: str, tag: str) -> list[Any]:
    def n(name: str) -> str:
        return name + tag

    return [
        node("ReduceMean", [x, "axes"], [n("m")]),
        node("Sub", [x, n("m")], [n("d")]),
        node("Pow", [n("d"), "two"], [n("q")]),
        node("ReduceMean", [n("q"), "axes"], [n("v")]),
        node("Add", [n("v"), "eps"], [n("e")]),
        node("Sqrt", [n("e")], [n("r")]),
        node("Div", [n("d"), n("r")], [n("o")]),
        node("Mul", [n("o"), "w"], [n("s")]),
        node("Add", [n("s"), "b"], [y]),
    ]


def test_layer_norm(model: Any) -> None:
    constants = [integers("axes", -1), number("two", 2.0), number("eps", 1e-6)]
    nodes = [*constants, *layer_norm("x", "z", "1"), *layer_norm("z", "y", "2")]
    graph = capture_onnx(model(nodes, X, ("y",), {"w": (8,), "b": (8,)})).graph
    assert [n.op for n in graph.nodes] == ["input", "layer_norm", "layer_norm", "output"]
    made = graph.nodes[1]
    assert (made.attr("shape"), made.attr("bias"), made.attr("eps")) == ((8,), True, 1e-6)
    assert graph.params == 16  # the same weights twice
    assert graph.weight_of[2] == 1


def test_rms_norm(model: Any) -> None:
    nodes = [
        integers("axes", -1),
        number("two", 2.0),
        number("eps", 1e-6),
        number("one", 1.0),
        node("Pow", ["x", "two"], ["q"]),
        node("ReduceMean", ["q", "axes"], ["v"]),
        node("Add", ["v", "eps"], ["e"]),
        node("Sqrt", ["e"], ["r"]),
        node("Div", ["one", "r"], ["i"]),
        node("Mul", ["x", "i"], ["o"]),
        node("Mul", ["w", "o"], ["y"]),
    ]
    graph = capture_onnx(model(nodes, X, ("y",), {"w": (8,)})).graph
    assert [n.op for n in graph.nodes] == ["input", "rms_norm", "output"]
    assert graph.params == 8


def test_a_bias_after_a_product_belongs_to_the_linear_layer(model: Any) -> None:
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["b", "m"], ["y"])]
    weights = {"w": (8, 3), "b": (3,)}
    assert ops(capture_onnx(model(nodes, X, ("y",), weights))) == ["linear"]
    # Not where the product is read on its own.
    assert ops(capture_onnx(model(nodes, X, ("y", "m"), weights))) == ["linear", "parameter", "add"]


@pytest.mark.parametrize(
    ("weight", "bias", "folded"),
    [
        ("onnx::Conv_17", "onnx::Conv_18", True),  # torch's exporter
        ("conv.weight", "conv.weight_bias", True),  # onnxscript's rewriter, of all its layers
        ("conv.weight", "conv.bias", False),
        ("onnx::Conv_17", "conv.bias", False),  # a computed kernel, such as weight norm
    ],
)
def test_folded_batch_norms(model: Any, weight: str, bias: str, folded: bool) -> None:
    weights = {weight: (6, 4, 3, 3), bias: (6,)}
    read = capture_onnx(model([node("Conv", ["x", weight, bias], ["y"])], X, ("y",), weights))
    assert ops(read) == (["conv", "batch_norm"] if folded else ["conv"])
    assert read.graph.nodes[1].attr("bias") is not folded
    assert read.graph.params == 216 + (12 if folded else 6)
    assert bool(read.warnings) is folded


@pytest.mark.parametrize(
    ("op", "shape", "weight", "made"),
    [
        ("ConvTranspose", (1, 4, 8, 8), (4, 6, 3, 3), ["conv_transpose", "batch_norm"]),
        ("Gemm", (1, 4), (4, 6), ["linear", "batch_norm"]),
    ],
)
def test_folded_batch_norms_of_other_layers(
    model: Any, op: str, shape: Any, weight: Any, made: list[str]
) -> None:
    nodes = [node(op, ["x", "l.weight", "l.weight_bias"], ["y"])]
    weights = {"l.weight": weight, "l.weight_bias": (6,)}
    assert ops(capture_onnx(model(nodes, {"x": shape}, ("y",), weights))) == made


def test_padding_as_computed_for_same(model: Any) -> None:
    nodes = [
        number("a", 6.5),
        number("zero", 0.0),
        number("two", 2.0),
        integers("first", 0),
        node("Ceil", ["a"], ["b"]),
        node("Clip", ["b", "zero", ""], ["c"]),
        node("Div", ["c", "two"], ["d"]),
        node("Cast", ["d"], ["e"], to=7),
        node("Unsqueeze", ["e", "first"], ["p"]),
        integers("n", 6),
        node("ConstantOfShape", ["n"], ["q"], value=onnx.helper.make_tensor("v", 7, [1], [0])),
        integers("halves", 5, 1),
        node("Split", ["q", "halves"], ["q5", "q1"], axis=0),
        node("Concat", ["q1", "q1", "q1", "p", "q1", "q1", "q1", "p"], ["pads"], axis=0),
        node("Pad", ["x", "pads"], ["y"]),
    ]
    assert capture_onnx(model(nodes, X)).graph.nodes[1].attr("padding") == (3, 3)


# -- control flow -------------------------------------------------------------------------------


def branch(op: str, name: str) -> Any:
    info = onnx.helper.make_tensor_value_info(name, 1, None)
    return onnx.helper.make_graph([node(op, ["x"], [name])], op, [], [info])


def test_a_constant_condition_takes_its_branch(model: Any) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        integers("four", 1, 4, 8, 8),
        node("Equal", ["s", "four"], ["e"]),
        node("Cast", ["e"], ["i"], to=7),
        node("ReduceMin", ["i"], ["m"], keepdims=0),
        node("Cast", ["m"], ["c"], to=9),
        node("If", ["c"], ["a"], then_branch=branch("Relu", "t"), else_branch=branch("Tanh", "t")),
        node("Not", ["c"], ["d"]),
        node("If", ["d"], ["b"], then_branch=branch("Relu", "t"), else_branch=branch("Tanh", "t")),
        node("Add", ["a", "b"], ["y"]),
    ]
    assert ops(capture_onnx(model(nodes, X))) == ["relu", "identity", "tanh", "identity", "add"]


def test_control_flow_on_data_is_one_clear_error(model: Any) -> None:
    nodes = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Cast", ["m"], ["c"], to=9),
        node("If", ["c"], ["y"], then_branch=branch("Relu", "t"), else_branch=branch("Tanh", "t")),
    ]
    with pytest.raises(CaptureError, match=r"node 'y' \(If\) runs as the data decide"):
        capture_onnx(model(nodes, X))
    with pytest.raises(CaptureError, match="Loop"):
        capture_onnx(model([node("Loop", ["", "", "x"], ["y"], body=branch("Relu", "t"))], X))


# -- local functions ----------------------------------------------------------------------------


def function(name: str, nodes: list[Any], attributes: list[str] | None = None) -> Any:
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("my", 1)]
    return onnx.helper.make_function("my", name, ["a"], ["b"], nodes, opsets, attributes or [])


def test_local_functions_are_written_out(model: Any) -> None:
    leak = node("LeakyRelu", ["t"], ["b"])
    slope = leak.attribute.add()
    slope.name, slope.ref_attr_name, slope.type = "alpha", "slope", 1
    block = function("Block", [node("Sigmoid", ["a"], ["t"]), leak], ["slope"])
    twice = function(
        "Twice",
        [
            node("Block", ["a"], ["t"], domain="my", slope=0.25),
            node("Block", ["t"], ["b"], domain="my", slope=0.5),
        ],
    )
    nodes = [node("Twice", ["x"], ["t"], domain="my"), node("Twice", ["t"], ["y"], domain="my")]
    graph = capture_onnx(model(nodes, X, functions=[block, twice])).graph
    assert [n.op for n in graph.nodes[1:-1]] == ["sigmoid", "leaky_relu"] * 4
    assert [n.attr("slope") for n in graph.nodes if n.op == "leaky_relu"] == [0.25, 0.5] * 2


def test_functions_that_double_are_refused_at_once(model: Any) -> None:
    functions = [function("F0", [node("Relu", ["a"], ["b"])])]
    for i in range(1, 60):
        call = [
            node(f"F{i - 1}", ["a"], ["t"], domain="my"),
            node(f"F{i - 1}", ["t"], ["b"], domain="my"),
        ]
        functions.append(function(f"F{i}", call))
    file = model([node("F59", ["x"], ["y"], domain="my")], X, functions=functions)
    with pytest.raises(GraphError, match="written out"):
        capture_onnx(file)


def test_functions_that_call_themselves_are_refused(model: Any) -> None:
    loop = function("F", [node("F", ["a"], ["b"], domain="my")])
    with pytest.raises(GraphError, match="calls itself"):
        capture_onnx(model([node("F", ["x"], ["y"], domain="my")], X, functions=[loop]))


def test_a_function_that_passes_its_input_on(model: Any) -> None:
    opsets = [onnx.helper.make_opsetid("", 21)]
    passed = onnx.helper.make_function("my", "P", ["a"], ["a"], [], opsets)
    nodes = [node("P", ["x"], ["t"], domain="my"), node("Relu", ["t"], ["y"])]
    assert ops(capture_onnx(model(nodes, X, functions=[passed]))) == ["identity", "relu"]
