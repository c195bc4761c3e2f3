import pickle
from typing import Any

import pytest
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.node import Node, default_axis, make_node
from gennape_plugin.core.ops import OPS, PAPER_LABELS, REQUIRED
from gennape_plugin.core.shapes import Shape

CONV: dict[str, Any] = {
    "channels": 8,
    "kernel": (3, 3),
    "stride": (1, 1),
    "padding": (1, 1),
    "dilation": (1, 1),
}
IMAGE = (1, 4, 6, 6)


def test_equal_operations_are_one_object() -> None:
    first = make_node("conv", CONV, (IMAGE,), in_axis=1)
    assert make_node("conv", dict(CONV), (IMAGE,), in_axis=1) is first
    assert make_node("conv", {**CONV, "groups": 1, "bias": False}, (IMAGE,), in_axis=1) is first
    assert make_node("conv", {**CONV, "bias": True}, (IMAGE,), in_axis=1) != first


def test_attributes_are_completed_in_the_order_of_the_op() -> None:
    node = make_node("conv", dict(reversed(CONV.items())), (IMAGE,))
    assert [name for name, _ in node.attrs] == list(OPS["conv"].attrs)
    assert node.attr("groups") == 1
    assert node.attr("bias") is False
    with pytest.raises(KeyError, match=r"'conv' has no attribute 'rate'.*kernel"):
        node.attr("rate")


def test_a_node_is_frozen_hashable_and_printable() -> None:
    node = make_node("relu", {}, (IMAGE,))
    with pytest.raises(AttributeError):
        node.op = "tanh"  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(node))
    assert isinstance(copy, Node)
    assert copy == node
    assert hash(copy) == hash(node)
    text = str(make_node("conv", CONV, (IMAGE,)))
    assert "kernel=(3, 3)" in text
    assert text.endswith("(1, 4, 6, 6) -> (1, 8, 6, 6)")


def test_unknown_op() -> None:
    with pytest.raises(GraphError, match=r"unknown op 'convolve': allowed are .*\bconv\b"):
        make_node("convolve", {}, (IMAGE,))


def test_unknown_attribute() -> None:
    with pytest.raises(GraphError, match="'conv' has no attribute rate: allowed are channels"):
        make_node("conv", {**CONV, "rate": 1}, (IMAGE,))
    with pytest.raises(GraphError, match="'relu' has no attribute slope: allowed are none"):
        make_node("relu", {"slope": 1}, (IMAGE,))


@pytest.mark.parametrize(
    ("op", "name"),
    [(op, k) for op, d in sorted(OPS.items()) for k, v in d.attrs.items() if v is REQUIRED],
)
def test_missing_attribute(op: str, name: str) -> None:
    others = {k: 1 for k, v in OPS[op].attrs.items() if v is REQUIRED and k != name}
    with pytest.raises(GraphError, match=f"'{op}' needs the attribute '{name}'"):
        make_node(op, others, (IMAGE,))


@pytest.mark.parametrize(
    ("op", "count", "allowed"),
    [
        ("relu", 0, "1"),
        ("relu", 2, "1"),
        ("add", 0, "1 to any number"),
        ("conv", 3, "1 to 2"),
        ("attention", 2, "3 to 4"),
        ("input", 1, "0"),
    ],
)
def test_wrong_number_of_operands(op: str, count: int, allowed: str) -> None:
    attrs = {**CONV} if op == "conv" else {"shape": IMAGE} if op == "input" else {}
    with pytest.raises(GraphError, match=f"'{op}' got {count} operands: it takes {allowed}$"):
        make_node(op, attrs, (IMAGE,) * count)


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("conv", {**CONV, "bias": "no"}),
        ("conv", {**CONV, "bias": 1}),
        ("conv", {**CONV, "groups": -1}),
        ("conv", {**CONV, "groups": 0}),
        ("conv", {**CONV, "channels": 2.0}),
        ("conv", {**CONV, "channels": True}),
        ("conv", {**CONV, "kernel": "ab"}),
        ("conv", {**CONV, "kernel": (3, None)}),
        ("conv", {**CONV, "padding": None}),
        ("linear", {"features": -3}),
        ("linear", {"features": None}),
        ("linear", {"features": 1 << 41}),
        ("max_pool", {**CONV, "ceil_mode": None}),
        ("mean", {"axes": ("a",)}),
        ("mean", {"axes": 2.5}),
        ("prelu", {"parameters": "many"}),
        ("layer_norm", {"shape": "all"}),
        ("pixel_shuffle", {"factor": 0}),
        ("adaptive_avg_pool", {"size": 3}),
        ("adaptive_avg_pool", {"size": (1, 1, 1, 1, 1)}),
        ("reshape", {"shape": (-1, -144)}),
        ("reshape", {"shape": None}),
        ("repeat", {"repeats": (2,)}),
        ("permute", {"dims": "abcd"}),
    ],
)
def test_attributes_that_mean_nothing(op: str, attrs: dict[str, Any]) -> None:
    attrs = {name: value for name, value in attrs.items() if name in OPS[op].attrs}
    with pytest.raises(GraphError, match=op):
        make_node(op, attrs, (IMAGE,))


@pytest.mark.parametrize("op", ["batch_norm", "linear", "conv_transpose", "lstm", "embedding"])
def test_operands_of_too_few_axes(op: str) -> None:
    attrs: dict[str, Any] = {
        **{k: v for k, v in CONV.items() if k in OPS[op].attrs},
        **{k: 2 for k in ("features", "hidden", "entries") if k in OPS[op].attrs},
    }
    if op == "conv_transpose":
        attrs |= {"output_padding": (), "kernel": (), "stride": (), "padding": (), "dilation": ()}
    given = (1, 2) if op == "lstm" else None
    for shape in ((), (3, 8)) if op == "conv_transpose" else ((),):
        if op == "embedding":
            assert make_node(op, attrs, (shape,)).shape == (2,)  # one index is fine
            continue
        with pytest.raises(GraphError, match=op):
            make_node(op, attrs, (shape,), out_shape=given)


def test_an_axis_that_the_operand_lacks() -> None:
    with pytest.raises(GraphError, match=r"'relu' on \(\(1, 4\),\).* has no axis 3"):
        make_node("relu", {}, ((1, 4),), in_axis=3)
    with pytest.raises(GraphError, match="has no axis -1"):
        make_node("relu", {}, ((1, 4),), in_axis=-1)


def test_sizes_have_an_upper_limit() -> None:
    assert make_node("input", {"shape": (1, 1 << 40)}).shape == (1, 1 << 40)
    with pytest.raises(GraphError, match="integers from 0 to"):
        make_node("input", {"shape": (1, (1 << 40) + 1)})
    with pytest.raises(GraphError, match="integers from 0 to"):
        make_node("input", {"shape": (1, True, 5)})


# -- where the channels are ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis"), [((), 0), ((5,), 0), ((1, 5), 1), ((1, 9, 5), 2), ((1, 5, 4, 4), 1)]
)
def test_default_axis(shape: Shape, axis: int) -> None:
    assert default_axis(shape) == axis


@pytest.mark.parametrize(
    ("op", "attrs", "shape", "in_axis", "axis"),
    [
        # A linear layer's channels do not depend on where they were before.
        ("linear", {"features": 5}, (1, 9, 9, 6), 1, 3),
        ("layer_norm", {"shape": (6,)}, (1, 9, 9, 6), 1, 3),
        # Everything elementwise keeps them.
        ("relu", {}, IMAGE, 1, 1),
        ("relu", {}, IMAGE, 3, 3),
        ("softmax", {}, (1, 9, 6), 1, 1),
        # A permutation carries them along, also when its axes are negative.
        ("permute", {"dims": (0, 2, 3, 1)}, IMAGE, 1, 3),
        ("permute", {"dims": (0, 3, 1, 2)}, IMAGE, 3, 1),
        ("permute", {"dims": (0, -1, -3, -2)}, IMAGE, 1, 2),
        # Flattening the map, or the tokens back to a map.
        ("reshape", {"shape": (1, 5, 36)}, (1, 5, 6, 6), 1, 1),
        ("reshape", {"shape": (1, 36, 5)}, (1, 6, 6, 5), 3, 2),
        ("reshape", {"shape": (1, 6, 6, 5)}, (1, 36, 5), 2, 3),
        # Flattening channels and map together leaves one axis for them.
        ("reshape", {"shape": (1, 180)}, (1, 5, 6, 6), 1, 1),
        ("reshape", {"shape": (180,)}, (1, 5, 6, 6), 1, 0),
        # Means over the map keep the channels, over the channels they do not.
        ("mean", {"axes": (2, 3)}, (1, 5, 6, 6), 1, 1),
        ("mean", {"axes": (1, 2)}, (1, 6, 6, 5), 3, 1),
        ("mean", {"axes": (1,)}, (1, 36, 5), 2, 1),
        ("mean", {"axes": (1,)}, (1, 5, 6, 7), 1, 2),
        ("mean", {"axes": (2, 3), "keepdim": True}, (1, 5, 6, 6), 1, 1),
        ("mean", {"axes": (0, 1, 2, 3)}, (1, 5, 6, 6), 1, 0),
    ],
)
def test_channel_axis(
    op: str, attrs: dict[str, Any], shape: Shape, in_axis: int, axis: int
) -> None:
    node = make_node(op, attrs, (shape,), in_axis=in_axis)
    assert (node.in_axis, node.axis) == (in_axis, axis)


@pytest.mark.parametrize(
    ("op", "attrs", "shape"),
    [("conv", CONV, IMAGE), ("batch_norm", {}, (1, 4, 6)), ("lp_pool", {}, (1, 4, 6))],
)
@pytest.mark.parametrize("in_axis", [None, 1, 2])
def test_convolutions_norms_and_pools_read_channels_from_axis_one(op, attrs, shape, in_axis):
    node = make_node(op, attrs, (shape,), in_axis=in_axis, out_shape=None if attrs else shape)
    assert (node.in_axis, node.axis) == (1, 1)


def test_a_one_dimensional_convolution_reads_channels_not_time() -> None:
    conv = {"channels": 8, "kernel": (5,), "stride": (1,), "padding": (0,), "dilation": (1,)}
    node = make_node("conv", conv, ((1, 16, 100),), in_axis=2)
    (op,) = node.paper
    assert op.resolution[4:] == (16, 8)
    assert op.resolution[:2] == (10, 96**0.5)


@pytest.mark.parametrize("size", [1 << 20, 1 << 39])
def test_a_cost_beyond_any_computer_is_refused(size: int) -> None:
    huge = {**CONV, "channels": size}
    with pytest.raises(GraphError, match="multiply-adds"):
        make_node("conv", huge, ((1, size, 1 << 12, 1 << 12),))


def test_channel_axis_of_a_source_is_found_by_rank() -> None:
    assert make_node("input", {"shape": (1, 3, 8, 8)}).axis == 1
    assert make_node("input", {"shape": (1, 9, 5)}).axis == 2
    assert make_node("parameter", {"shape": ()}).axis == 0


# -- the vocabulary ------------------------------------------------------------------------------


def test_the_vocabulary_is_the_authors() -> None:
    assert len(PAPER_LABELS) == 32
    assert PAPER_LABELS[0] == "<OOV>"
    assert PAPER_LABELS.index("Conv") == 3
    assert PAPER_LABELS.index("Identity") == 25
    assert len(set(PAPER_LABELS)) == 32


@pytest.mark.parametrize("op", sorted(OPS))
def test_every_op_stands_for_known_labels(op: str) -> None:
    definition = OPS[op]
    assert definition.name == op
    assert set(definition.paper) <= set(PAPER_LABELS)
    least, most = definition.arity
    assert most is None or least <= most
    assert definition.axis in ("first", "last", "inherit")
