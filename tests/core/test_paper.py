"""The authors' view of a graph: what is kept, folded and dropped (one test a rule)."""

from collections.abc import Callable
from typing import Any

import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.paper import PaperGraph, height_width_channels
from gennape_plugin.core.shapes import Shape
from hypothesis import given
from hypothesis import strategies as st

IMAGE = (1, 4, 8, 8)
Write = Callable[[GraphBuilder, int], int]


def view(write: Write, shape: Shape = IMAGE) -> PaperGraph:
    b = GraphBuilder()
    return b.build(write(b, b.input(shape))).paper_view()


def named_edges(paper: PaperGraph) -> list[tuple[str, str]]:
    names = [op.name for op in paper.ops]
    return sorted((names[a], names[b]) for a, b in paper.edges.T.tolist())


def inner(paper: PaperGraph) -> list[str]:
    """The labels without the two ends."""
    names = [op.name for op in paper.ops]
    assert (names[0], names[-1]) == ("Input", "Output")
    return names[1:-1]


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("softmax", {}),
        ("log_softmax", {}),
        ("reshape", {"shape": (1, 256)}),
        ("permute", {"dims": (0, 2, 3, 1)}),
        ("repeat", {"repeats": (1, 1, 1, 2)}),
        ("channel_shuffle", {"groups": 2}),
        ("cast", {"dtype": "float16"}),
        ("roll", {"shifts": (1,), "dims": (2,)}),
    ],
)
def test_dropped_and_bypassed(op: str, attrs: dict[str, Any]) -> None:
    paper = view(lambda b, x: b.relu(b.add(op, (b.relu(x),), **attrs)))
    assert inner(paper) == ["ReLU", "ReLU"]
    assert paper.num_edges == 3


@pytest.mark.parametrize(("op", "attrs"), [("slice", {"spec": ()}), ("expand", {})])
def test_slices_and_expansions_are_dropped(op: str, attrs: dict[str, Any]) -> None:
    if op == "expand":
        attrs = {"shape": IMAGE}
    paper = view(lambda b, x: b.relu(b.add(op, (x,), out_shape=IMAGE, **attrs)))
    assert named_edges(paper) == [("Input", "ReLU"), ("ReLU", "Output")]


def test_a_dropped_join_passes_all_its_producers_on() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        gathered = b.add("gather", (b.relu(x), b.add("tanh", (x,))), out_shape=IMAGE)
        return b.add("sigmoid", (gathered,))

    assert named_edges(view(write)) == [
        ("Input", "ReLU"),
        ("Input", "Tanh"),
        ("ReLU", "Sigmoid"),
        ("Sigmoid", "Output"),
        ("Tanh", "Sigmoid"),
    ]


def test_learned_tensors_are_dropped() -> None:
    paper = view(lambda b, x: b.relu(b.join("add", x, b.add("parameter", shape=(1, 4, 1, 1)))))
    assert inner(paper) == ["ReLU"]


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_a_join_with_a_constant_is_bypassed(op: str) -> None:
    paper = view(lambda b, x: b.relu(b.add(op, (x,), scalar=3.0)))
    assert named_edges(paper) == [("Input", "ReLU"), ("ReLU", "Output")]


@pytest.mark.parametrize("op", ["add", "mul"])
def test_a_join_of_a_tensor_with_itself_is_bypassed(op: str) -> None:
    def write(b: GraphBuilder, x: int) -> int:
        y = b.add("tanh", (x,))
        return b.relu(b.join(op, y, y))

    paper = view(write)
    assert inner(paper) == ["Tanh", "ReLU"]
    assert paper.num_edges == 3


def test_a_join_with_its_own_softmax_is_bypassed() -> None:
    """Both operands stem from one node once the softmax is gone."""
    paper = view(lambda b, x: b.relu(b.join("mul", x, b.add("softmax", (x,)))))
    assert inner(paper) == ["ReLU"]


def test_real_joins_stay() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        left, right = b.relu(x), b.add("tanh", (x,))
        y = b.join("mul", b.join("add", left, right), right)
        return b.concat([y, left])

    assert named_edges(view(write)) == [
        ("Add", "Mul"),
        ("Concat", "Output"),
        ("Input", "ReLU"),
        ("Input", "Tanh"),
        ("Mul", "Concat"),
        ("ReLU", "Add"),
        ("ReLU", "Concat"),
        ("Tanh", "Add"),
        ("Tanh", "Mul"),
    ]


def test_a_tensor_read_twice_has_one_edge() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        y, z = b.relu(x), b.add("tanh", (x,))
        return b.concat([y, z, y])

    paper = view(write)
    assert paper.num_edges == 5
    assert named_edges(paper).count(("ReLU", "Concat")) == 1
    assert paper.ops[-2].resolution[4:] == (4.0, 12.0)  # but its channels count twice


def test_hard_swish_is_relu6_and_a_product() -> None:
    paper = view(lambda b, x: b.add("tanh", (b.add("hard_swish", (b.relu(x),)),)))
    assert named_edges(paper) == [
        ("Input", "ReLU"),
        ("Mul", "Tanh"),
        ("ReLU", "Mul"),
        ("ReLU", "ReLU6"),
        ("ReLU6", "Mul"),
        ("Tanh", "Output"),
    ]
    assert paper.origin == (0, 1, 2, 2, 3, 4)


def test_hard_swish_written_out_has_the_same_view() -> None:
    def written_out(b: GraphBuilder, x: int) -> int:
        gate = b.relu6(b.add("add", (x,), scalar=3.0))
        return b.add("mul", (b.join("mul", x, gate),), scalar=1 / 6)

    fused = view(lambda b, x: b.add("hard_swish", (b.relu(x),)))
    spread = view(lambda b, x: written_out(b, b.relu(x)))
    assert spread.ops == fused.ops
    assert named_edges(spread) == named_edges(fused)


def test_squeeze_and_excite_gate() -> None:
    """Hard-sigmoid leaves a ReLU6 that feeds the product."""

    def write(b: GraphBuilder, x: int) -> int:
        gate = b.add("hard_sigmoid", (b.conv(b.mean(x, (2, 3), keepdim=True), 4, kernel=1),))
        return b.join("mul", x, gate)

    assert inner(view(write)) == ["Mean", "Conv", "ReLU6", "Mul"]


def test_gated_linear_unit_reads_its_input_twice() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        return b.add("glu", (b.relu(x),), out_shape=(1, 2, 8, 8), dim=1)

    assert named_edges(view(write)) == [
        ("Input", "ReLU"),
        ("Mul", "Output"),
        ("ReLU", "Mul"),
        ("ReLU", "Sigmoid"),
        ("Sigmoid", "Mul"),
    ]


def test_attention_is_two_products_in_a_row() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        return b.add("attention", (x, x, x))

    paper = view(write, (1, 9, 6))
    assert named_edges(paper) == [("Input", "MatMul"), ("MatMul", "MatMul"), ("MatMul", "Output")]
    assert paper.num_weighted == 2


def test_a_dilated_convolution_is_three_nodes() -> None:
    paper = view(lambda b, x: b.conv(x, 6, kernel=3, dilation=2, bias=True))
    assert inner(paper) == ["SpacetoBatchND", "Conv", "BatchtoSpaceND"]
    assert paper.num_edges == 4
    before, conv, after = paper.ops[1:-1]
    assert before.resolution == (8.0, 4.0, 8.0, 4.0, 4.0, 4.0)
    assert conv.resolution == (4.0, 4.0, 4.0, 4.0, 4.0, 6.0)
    assert after.resolution == (4.0, 8.0, 4.0, 8.0, 6.0, 6.0)
    assert (conv.kernel, conv.bias) == ((3, 3), True)
    assert paper.origin == (0, 1, 1, 1, 2)


def test_a_dilated_depthwise_convolution_keeps_its_label() -> None:
    paper = view(lambda b, x: b.depthwise(x, kernel=3, dilation=2))
    assert inner(paper) == ["SpacetoBatchND", "Depthwise", "BatchtoSpaceND"]


@pytest.mark.parametrize(
    ("channels", "groups", "label"),
    [(4, 4, "Depthwise"), (8, 4, "Depthwise"), (4, 2, "Conv"), (4, 1, "Conv")],
)
def test_depthwise_label(channels: int, groups: int, label: str) -> None:
    assert inner(view(lambda b, x: b.conv(x, channels, kernel=3, groups=groups))) == [label]


def test_one_channel_is_no_depthwise_convolution() -> None:
    assert inner(view(lambda b, x: b.conv(x, 1, kernel=3), (1, 1, 8, 8))) == ["Conv"]


@pytest.mark.parametrize(
    ("shape", "kernel", "expected"),
    [
        (IMAGE, (3, 5), (3, 5)),
        (IMAGE, (7, 7), (7, 7)),
        ((1, 4, 16, 16), (9, 11), (7, 7)),
        ((1, 4, 16, 16), (1, 15), (1, 7)),
        ((1, 4, 16), (9,), (7, 1)),
        ((1, 4, 8, 8, 8), (2, 3, 5), (3, 5)),
    ],
)
def test_kernels_are_clipped_to_the_embedding(
    shape: Shape, kernel: tuple[int, ...], expected: tuple[int, int]
) -> None:
    paper = view(lambda b, x: b.conv(x, 4, kernel=kernel), shape)
    assert paper.ops[1].kernel == expected


def test_bias_and_weighted_nodes() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        y = b.batch_norm(b.conv(b.conv(x, 6, kernel=3, bias=True), 6, kernel=1))
        return b.linear(b.mean(y, (2, 3)), 10)

    paper = view(write)
    assert inner(paper) == ["Conv", "Conv", "BatchNorm", "Mean", "MatMul"]
    assert [op.bias for op in paper.ops[1:-1]] == [True, False, False, False, True]
    assert [op.weighted for op in paper.ops[1:-1]] == [True, True, False, False, True]
    assert paper.num_weighted == 3
    assert paper.ops[5].kernel == (0, 0)
    assert paper.ops[5].resolution == (1.0, 1.0, 1.0, 1.0, 6.0, 10.0)


@pytest.mark.parametrize(
    ("op", "size", "label"),
    [
        ("adaptive_avg_pool", (1, 1), "Mean"),
        ("adaptive_avg_pool", (1, 2), "Avgpool"),
        ("adaptive_avg_pool", (None, 1), "Avgpool"),
        ("adaptive_max_pool", (1, 1), "Maxpool"),
    ],
)
def test_adaptive_pools(op: str, size: tuple[int | None, ...], label: str) -> None:
    assert inner(view(lambda b, x: b.add(op, (x,), size=size))) == [label]


@pytest.mark.parametrize(
    ("op", "attrs", "label"),
    [
        ("identity", {}, "Identity"),
        ("dropout", {}, "Identity"),
        ("silu", {}, "Swish"),
        ("gelu", {}, "GeLU"),
        ("layer_norm", {"shape": (8,)}, "BatchNorm"),
        ("pixel_shuffle", {"factor": 2}, "DepthtoSpaceND"),
        ("pixel_unshuffle", {"factor": 2}, "SpacetoDepthND"),
    ],
)
def test_kept(op: str, attrs: dict[str, Any], label: str) -> None:
    assert inner(view(lambda b, x: b.add(op, (x,), **attrs))) == [label]


def test_unknown_layers_are_kept_out_of_vocabulary() -> None:
    paper = view(lambda b, x: b.add("custom", (x,), target="my.op", out_shape=IMAGE))
    assert paper.ops[1].label == 0


# -- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [
        ((1, 4, 6, 8), 1, (6.0, 8.0, 4.0)),
        ((1, 6, 8, 4), 3, (6.0, 8.0, 4.0)),
        ((1, 49, 4), 2, (7.0, 7.0, 4.0)),
        ((1, 4, 49), 1, (7.0, 7.0, 4.0)),
        ((1, 2, 4, 8, 3), 1, (96**0.5, 96**0.5, 2.0)),
        ((1, 10), 1, (1.0, 1.0, 10.0)),
        ((10,), 0, (1.0, 1.0, 10.0)),
        ((), 0, (1.0, 1.0, 1.0)),
    ],
)
def test_height_width_channels(
    shape: Shape, axis: int, expected: tuple[float, float, float]
) -> None:
    assert height_width_channels(shape, axis) == pytest.approx(expected, rel=1e-15)


@given(st.integers(1, 400), st.integers(1, 64))
def test_tokens_are_square_maps_of_equal_area(tokens: int, width: int) -> None:
    h, w, c = height_width_channels((1, tokens, width), 2)
    assert h == w
    assert h * w == pytest.approx(tokens)
    assert c == width


def test_a_patch_embedding_keeps_its_map_through_the_tokens() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        y = b.conv(x, 6, kernel=2, stride=2, padding=0)
        y = b.add("permute", (b.add("reshape", (y,), shape=(1, 6, 16)),), dims=(0, 2, 1))
        return b.linear(y, 12)

    conv, linear = view(write).ops[1:-1]
    assert conv.resolution == (8.0, 4.0, 8.0, 4.0, 4.0, 6.0)
    assert linear.resolution == (4.0, 4.0, 4.0, 4.0, 6.0, 12.0)


def test_resolution_is_of_the_first_operand() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        return b.concat([b.conv(x, 3, kernel=1), b.conv(x, 5, kernel=1)])

    assert view(write).ops[-2].resolution == (8.0, 8.0, 8.0, 8.0, 3.0, 8.0)


def test_equal_operations_are_one_object() -> None:
    paper = view(lambda b, x: b.relu(b.relu(b.relu(x))))
    assert paper.ops[1] is paper.ops[2] is paper.ops[3]


def test_edges_point_forward_and_origin_grows() -> None:
    def write(b: GraphBuilder, x: int) -> int:
        y = b.add("hard_swish", (b.conv(x, 4, kernel=3, dilation=3),))
        return b.join("add", y, b.add("softmax", (b.relu(x),)))

    b = GraphBuilder()
    graph: ComputeGraph = b.build(write(b, b.input(IMAGE)))
    paper = graph.paper_view()
    assert paper.edges.shape == (2, paper.num_edges)
    assert (paper.edges[0] < paper.edges[1]).all()
    assert len({tuple(edge) for edge in paper.edges.T.tolist()}) == paper.num_edges
    assert list(paper.origin) == sorted(paper.origin)
    assert all(paper.ops[i] in graph.nodes[origin].paper for i, origin in enumerate(paper.origin))
