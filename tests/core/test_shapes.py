"""Every shape rule against what torch itself returns, and torch's refusals against GraphError."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.node import make_node
from gennape_plugin.core.ops import OPS, REQUIRED
from gennape_plugin.core.shapes import RULES, Shape, broadcast
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

CONV = (F.conv1d, F.conv2d, F.conv3d)
CONV_TRANSPOSE = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
MAX_POOL = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
AVG_POOL = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
ADAPTIVE_AVG = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
ADAPTIVE_MAX = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)

sizes = st.integers(1, 5)
shapes = st.lists(sizes, min_size=1, max_size=5).map(tuple)


def result(op: str, *operands: Shape, **attrs: Any) -> Shape:
    return make_node(op, attrs, operands).shape


def agrees(
    op: str, operands: tuple[Shape, ...], attrs: dict[str, Any], run: Callable[..., Tensor]
) -> None:
    """The rule returns torch's shape; where torch refuses, it names the op and the shapes."""
    try:
        expected = tuple(run(*(torch.zeros(shape) for shape in operands)).shape)
    except (RuntimeError, IndexError, ValueError) as refusal:
        if "invalid combination of arguments" in str(refusal):
            raise  # a mistake of this test, not a refusal
        with pytest.raises(GraphError) as caught:
            result(op, *operands, **attrs)
        assert repr(op) in str(caught.value)
        assert all(str(shape) in str(caught.value) for shape in operands)
    else:
        assert result(op, *operands, **attrs) == expected


def per_axis(draw: st.DrawFn, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(rank))


@st.composite
def windows(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *per_axis(draw, rank, 1, 8))
    attrs = {
        "channels": groups * draw(st.integers(1, 3)),
        "kernel": per_axis(draw, rank, 1, 4),
        "stride": per_axis(draw, rank, 1, 3),
        "padding": per_axis(draw, rank, 0, 2),
        "dilation": per_axis(draw, rank, 1, 3),
        "groups": groups,
    }
    return shape, attrs


@given(windows())
def test_convolution(case: tuple[Shape, dict[str, Any]]) -> None:
    shape, a = case
    weight = torch.zeros(a["channels"], shape[1] // a["groups"], *a["kernel"])

    def run(x: Tensor) -> Tensor:
        return CONV[len(shape) - 3](
            x, weight, None, a["stride"], a["padding"], a["dilation"], a["groups"]
        )

    agrees("conv", (shape,), a, run)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@given(windows())
def test_convolution_with_same_padding(case: tuple[Shape, dict[str, Any]]) -> None:
    shape, a = case
    ones = (1,) * len(a["kernel"])
    a |= {"padding": "same", "stride": ones}
    weight = torch.zeros(a["channels"], shape[1] // a["groups"], *a["kernel"])

    def run(x: Tensor) -> Tensor:
        return CONV[len(shape) - 3](x, weight, None, 1, "same", a["dilation"], a["groups"])

    agrees("conv", (shape,), a, run)


@given(windows(), st.integers(0, 2))
def test_transposed_convolution(case: tuple[Shape, dict[str, Any]], extra: int) -> None:
    shape, a = case
    limit = max(min(max(s, d) for s, d in zip(a["stride"], a["dilation"], strict=True)), 1)
    a["output_padding"] = (min(extra, limit - 1),) * len(a["kernel"])
    weight = torch.zeros(shape[1], a["channels"] // a["groups"], *a["kernel"])

    def run(x: Tensor) -> Tensor:
        y: Tensor = CONV_TRANSPOSE[len(shape) - 3](
            x,
            weight,
            None,
            a["stride"],
            a["padding"],
            a["output_padding"],
            a["groups"],
            a["dilation"],
        )
        assume(y.numel() > 0)  # some of torch's kernels return nothing where others refuse
        return y

    agrees("conv_transpose", (shape,), a, run)


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
@pytest.mark.parametrize("change", [{"groups": 2}, {"channels": 3, "groups": 3}, {"groups": 0}])
def test_groups_must_divide_both_sides(op: str, change: dict[str, int]) -> None:
    attrs: dict[str, Any] = {
        "channels": 5,
        "kernel": (1,),
        "stride": (1,),
        "padding": (0,),
        "dilation": (1,),
        "groups": 1,
    }
    if op == "conv_transpose":
        attrs["output_padding"] = (0,)
    assert result(op, (1, 5, 4), **attrs) == (1, 5, 4)
    with pytest.raises(GraphError, match=f"{op}.*groups"):
        result(op, (1, 5, 4), **{**attrs, **change})


@pytest.mark.parametrize("op", ["conv", "conv_transpose", "max_pool", "avg_pool"])
@pytest.mark.parametrize("name", ["kernel", "stride", "padding"])
def test_a_window_has_one_entry_for_each_axis(op: str, name: str) -> None:
    every = {
        "channels": 4,
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "output_padding": (0, 0),
    }
    attrs = {key: value for key, value in every.items() if key in OPS[op].attrs}
    assert result(op, (1, 4, 6, 6), **attrs) == (1, 4, 6, 6)
    for wrong in ((1,), (1, 1, 1), ()):
        with pytest.raises(GraphError, match=op):
            result(op, (1, 4, 6, 6), **{**attrs, name: wrong})


@given(windows(), st.booleans(), st.booleans())
def test_pools(case: tuple[Shape, dict[str, Any]], ceil: bool, average: bool) -> None:
    shape, a = case
    padding = tuple(min(p, k // 2) for p, k in zip(a["padding"], a["kernel"], strict=True))
    attrs = {"kernel": a["kernel"], "stride": a["stride"], "padding": padding, "ceil_mode": ceil}
    place = len(shape) - 3
    if average:

        def run(x: Tensor) -> Tensor:
            try:
                return AVG_POOL[place](x, a["kernel"], a["stride"], padding, ceil)
            except RuntimeError as refusal:  # of avg_pool3d alone, which forgets the padding
                assume("smaller than kernel size" not in str(refusal))
                raise

        agrees("avg_pool", (shape,), attrs, run)
    else:
        attrs["dilation"] = a["dilation"]

        def run(x: Tensor) -> Tensor:
            return MAX_POOL[place](x, a["kernel"], a["stride"], padding, a["dilation"], ceil)

        agrees("max_pool", (shape,), attrs, run)


def test_ceil_mode_pools_a_map_smaller_than_the_window() -> None:
    """Found by ``test_pools``: SqueezeNet on small images pools 2 x 2 by 3 x 3."""
    window: dict[str, Any] = {
        "kernel": (3, 3),
        "stride": (2, 2),
        "padding": (0, 0),
        "dilation": (1, 1),
    }
    assert tuple(F.max_pool2d(torch.zeros(1, 1, 2, 2), 3, 2, ceil_mode=True).shape) == (1, 1, 1, 1)
    assert result("max_pool", (1, 1, 2, 2), **window, ceil_mode=True) == (1, 1, 1, 1)
    with pytest.raises(
        GraphError, match=r"max_pool.*larger than the input of shape \(1, 1, 2, 2\)"
    ):
        result("max_pool", (1, 1, 2, 2), **window)


@given(st.data(), st.booleans())
def test_adaptive_pools(data: st.DataObject, average: bool) -> None:
    rank = data.draw(st.integers(1, 3))
    shape = (1, 2, *(data.draw(st.integers(1, 6)) for _ in range(rank)))
    # One axis takes no None in torch.
    entry = st.integers(1, 7) if rank == 1 else st.none() | st.integers(1, 7)
    size = tuple(data.draw(entry) for _ in range(rank))
    run = (ADAPTIVE_AVG if average else ADAPTIVE_MAX)[rank - 1]
    op = "adaptive_avg_pool" if average else "adaptive_max_pool"
    agrees(op, (shape,), {"size": size}, lambda x: run(x, size if rank > 1 else size[0]))


@st.composite
def factors(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Mostly operands that fit: equal inner sizes, batch sizes equal or 1 or absent."""
    lead = draw(st.lists(sizes, max_size=2))
    m, k, n = draw(sizes), draw(sizes), draw(sizes)
    left = [draw(st.sampled_from([size, size, 1])) for size in lead]
    right = [draw(st.sampled_from([size, size, 1, size + 1])) for size in lead]
    right = right[draw(st.integers(0, len(right))) :]
    a = (k,) if draw(st.integers(0, 4)) == 0 else (*left, m, k)
    inner = draw(st.sampled_from([k, k, k, k + 1]))
    b = (inner,) if draw(st.integers(0, 4)) == 0 else (*right, inner, n)
    return a, b


@given(factors())
def test_matmul(case: tuple[Shape, Shape]) -> None:
    agrees("matmul", case, {}, torch.matmul)


@pytest.mark.parametrize("operands", [((), (3,)), ((3,), ()), ((), ())])
def test_matmul_of_scalars_is_refused(operands: tuple[Shape, Shape]) -> None:
    agrees("matmul", operands, {}, torch.matmul)


@given(st.data(), shapes)
def test_concat(data: st.DataObject, shape: Shape) -> None:
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    parts = []
    for _ in range(data.draw(st.integers(1, 4))):
        part = list(shape)
        part[data.draw(st.sampled_from([dim % len(shape)] * 4 + list(range(len(shape)))))] += (
            data.draw(st.integers(0, 2))
        )
        parts.append(tuple(part))
    agrees("concat", tuple(parts), {"dim": dim}, lambda *xs: torch.cat(xs, dim))


def test_concat_of_unequal_ranks() -> None:
    agrees("concat", ((2, 3), (2, 3, 1)), {"dim": 0}, lambda *xs: torch.cat(xs, 0))


@given(st.data(), shapes)
def test_stack(data: st.DataObject, shape: Shape) -> None:
    dim = data.draw(st.integers(-len(shape) - 2, len(shape) + 1))
    parts = [shape] * data.draw(st.integers(1, 3))
    if data.draw(st.integers(0, 4)) == 0:
        parts.append((*shape[:-1], shape[-1] + 1))
    agrees("stack", tuple(parts), {"dim": dim}, lambda *xs: torch.stack(xs, dim))


@st.composite
def broadcastable(draw: st.DrawFn) -> tuple[Shape, ...]:
    full = draw(shapes)
    parts = []
    for _ in range(draw(st.integers(2, 4))):
        part = [draw(st.sampled_from([size] * 3 + [1])) for size in full]
        if draw(st.integers(0, 9)) == 0:
            part[draw(st.integers(0, len(part) - 1))] += 1
        parts.append(tuple(part[draw(st.integers(0, len(part))) :]))
    return tuple(parts)


@given(broadcastable(), st.sampled_from(["add", "mul", "sub", "div", "where"]))
def test_broadcasting(operands: tuple[Shape, ...], op: str) -> None:
    try:
        expected = tuple(torch.broadcast_shapes(*operands))
    except RuntimeError:
        with pytest.raises(GraphError, match=r"cannot be combined elementwise"):
            broadcast(*operands)
        with pytest.raises(GraphError, match=f"op '{op}'"):
            result(op, *operands)
    else:
        assert broadcast(*operands) == expected == result(op, *operands)


def test_broadcasting_empty_tensors() -> None:
    assert broadcast((0, 3), (1, 3)) == tuple(torch.broadcast_shapes((0, 3), (1, 3))) == (0, 3)
    with pytest.raises(GraphError):
        broadcast((0, 3), (2, 3))


@given(st.data(), shapes, st.booleans())
def test_reductions(data: st.DataObject, shape: Shape, keep: bool) -> None:
    rank = len(shape)
    axes = data.draw(
        st.lists(st.integers(-rank - 1, rank), min_size=1, unique_by=lambda a: a % rank)
    )
    attrs = {"axes": tuple(axes), "keepdim": keep}
    agrees("mean", (shape,), attrs, lambda x: x.mean(axes, keepdim=keep))
    agrees("reduce", (shape,), {**attrs, "function": "amax"}, lambda x: x.amax(axes, keepdim=keep))


@given(st.data(), shapes)
def test_permute(data: st.DataObject, shape: Shape) -> None:
    dims = data.draw(st.permutations(range(len(shape))))
    signed = tuple(d - len(shape) if data.draw(st.booleans()) else d for d in dims)
    agrees("permute", (shape,), {"dims": signed}, lambda x: x.permute(signed))


@pytest.mark.parametrize("dims", [(0, 0), (0,), (0, 1, 2), (0, 2), (-3, 1)])
def test_permute_needs_a_permutation(dims: tuple[int, ...]) -> None:
    agrees("permute", ((2, 3),), {"dims": dims}, lambda x: x.permute(dims))


@given(st.data(), shapes)
def test_reshape(data: st.DataObject, shape: Shape) -> None:
    numbers = list(data.draw(st.permutations(shape)))
    while len(numbers) > 1 and data.draw(st.booleans()):
        numbers.append(numbers.pop() * numbers.pop(0))
    if data.draw(st.integers(0, 4)) == 0:
        numbers[0] += 1
    target = tuple(numbers)
    agrees("reshape", (shape,), {"shape": target}, lambda x: x.reshape(target))


@given(st.data(), shapes)
def test_repeat(data: st.DataObject, shape: Shape) -> None:
    repeats = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)))
    agrees("repeat", (shape,), {"repeats": repeats}, lambda x: x.repeat(repeats))


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_pixel_shuffle(c: int, h: int, w: int, factor: int) -> None:
    attrs = {"factor": factor}
    agrees("pixel_shuffle", ((2, c, h, w),), attrs, lambda x: F.pixel_shuffle(x, factor))
    agrees("pixel_unshuffle", ((2, c, h, w),), attrs, lambda x: F.pixel_unshuffle(x, factor))


@given(st.lists(sizes, max_size=3), sizes, st.integers(1, 6))
def test_linear_bilinear_embedding(lead: list[int], width: int, features: int) -> None:
    shape = (*lead, width)
    weight = torch.zeros(features, width)
    agrees("linear", (shape,), {"features": features}, lambda x: F.linear(x, weight))
    cube = torch.zeros(features, width, 3)
    operands = (shape, (*lead, 3))
    agrees("bilinear", operands, {"features": features}, lambda x, y: F.bilinear(x, y, cube))
    table = torch.zeros(7, features)
    attrs = {"entries": 7, "features": features}
    agrees("embedding", (shape,), attrs, lambda x: F.embedding(x.long(), table))


def test_a_bag_of_embeddings_is_given_its_shape() -> None:
    table, indices = torch.zeros(7, 4), torch.zeros(2, 5, dtype=torch.long)
    shape = tuple(F.embedding_bag(indices, table).shape)
    attrs = {"entries": 7, "features": 4, "mode": "mean"}
    assert make_node("embedding", attrs, ((2, 5),), out_shape=shape).shape == (2, 4)
    with pytest.raises(GraphError, match="give the shape"):
        make_node("embedding", attrs, ((2, 5),))


@given(st.lists(sizes, min_size=1, max_size=2), sizes, sizes, sizes, sizes)
def test_attention(lead: list[int], queries: int, keys: int, width: int, out: int) -> None:
    operands = ((*lead, queries, width), (*lead, keys, width), (*lead, keys, out))
    agrees("attention", operands, {}, F.scaled_dot_product_attention)


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "mish": F.mish,
    "softsign": F.softsign,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "batch_norm": lambda x: F.batch_norm(x, torch.zeros(x.shape[1]), torch.ones(x.shape[1])),
    "dropout": lambda x: F.dropout(x, training=False),
    "normalize": F.normalize,
}


@pytest.mark.parametrize("op", sorted(UNARY))
@given(st.lists(sizes, min_size=2, max_size=5).map(tuple))
def test_elementwise_ops_keep_the_shape(op: str, shape: Shape) -> None:
    agrees(op, (shape,), {}, UNARY[op])


@given(shapes, shapes)
def test_a_recorded_shape_must_be_the_inferred_one(shape: Shape, other: Shape) -> None:
    assert make_node("relu", {}, (shape,), out_shape=shape).shape == shape
    assume(shape != other)
    with pytest.raises(GraphError, match="was recorded"):
        make_node("relu", {}, (shape,), out_shape=other)


def test_every_rule_names_an_op_and_the_rest_need_a_shape() -> None:
    assert set(RULES) <= set(OPS)
    for op in set(OPS) - set(RULES):
        definition = OPS[op]
        attrs = {k: _some(op, k) for k, v in definition.attrs.items() if v is REQUIRED}
        operands = ((1, 4, 4),) * definition.arity[0]
        with pytest.raises(GraphError, match=f"'{op}' has no shape rule: give"):
            make_node(op, attrs, operands)
        assert make_node(op, attrs, operands, out_shape=(1, 4, 4)).shape == (1, 4, 4)


def _some(op: str, name: str) -> Any:
    if name in ("equation", "function", "target"):
        return "bij,bjk->bik" if name == "equation" else "some"
    return 4 if name in ("hidden", "features", "entries") else (1, 1)
