"""How an operation takes operands of other shapes, and how shapes are brought back.

A mutation changes a few operations; everything that reads them is inferred again. Where
an operation works on any number of channels, it takes the new number. Where it does not,
or where two operands must agree, a projection (1x1 convolution, or a linear layer)
restores the shape that was there before. No shape is ever left to luck.
"""

from math import gcd, prod
from typing import Any, Final

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.node import Node, make_node
from gennape_plugin.core.shapes import Shape

ACTIVATIONS: Final = frozenset(
    "relu relu6 sigmoid tanh silu gelu hard_swish hard_sigmoid hard_tanh leaky_relu elu selu celu "
    "softplus squared_relu mish softsign".split()
)
POOLS: Final = frozenset({"max_pool", "avg_pool"})
#: One operand; the result has as many channels, whatever their number.
FLOWS: Final = (
    ACTIVATIONS
    | POOLS
    | frozenset(
        "batch_norm instance_norm local_response_norm normalize adaptive_avg_pool "
        "adaptive_max_pool mean reduce permute identity dropout zero unary prelu group_norm "
        "layer_norm rms_norm softmax".split()
    )
)
#: Elementwise between tensors: operands agree on all axes, or are broadcast.
JOINS: Final = frozenset("add sub mul div binary".split())


class RejectedError(Exception):
    """A proposed change that gives no valid network; the message says why."""


def is_depthwise(node: Node) -> bool:
    """Whether each channel has a filter of its own, and only one."""
    if node.op != "conv" or len(node.in_shapes) != 1:
        return False
    channels: int = node.shape[1]
    groups: int = node.attr("groups")
    return 1 < channels == node.in_shapes[0][1] == groups


def remade(node: Node, shapes: tuple[Shape, ...], in_axis: int, **attrs: Any) -> Node:
    """The operation on operands of other shapes, with some attributes changed.

    Raises:
        RejectedError: where the operands do not fit.
    """
    try:
        return make_node(node.op, dict(node.attrs) | attrs, shapes, in_axis=in_axis)
    except GraphError as error:
        raise RejectedError(str(error)) from None


def adapted(node: Node, shapes: tuple[Shape, ...], in_axis: int) -> Node | None:
    """The operation on operands of other shapes, if it can take them as they are."""
    if node.op in JOINS or node.op == "concat":
        return _joined(node, shapes, in_axis)
    if len(shapes) != 1 or len(node.in_shapes) != 1 or len(shapes[0]) != len(node.in_shapes[0]):
        return None
    (before,), (after,) = node.in_shapes, shapes
    axis = node.in_axis
    attrs: dict[str, Any] = {}
    match node.op:
        case "conv":
            groups, channels = node.attr("groups"), node.attr("channels")
            if groups > 1 and before[1] != after[1]:
                if groups == before[1]:
                    attrs = {"groups": after[1], "channels": channels // groups * after[1]}
                else:
                    attrs = {"groups": gcd(gcd(groups, after[1]), channels)}
        case "linear":
            pass
        case "group_norm":
            attrs = {"groups": gcd(node.attr("groups"), after[axis])}
        case "prelu":
            if node.attr("parameters") == before[axis]:
                attrs = {"parameters": after[axis]}
        case "layer_norm" | "rms_norm":
            if node.attr("shape") != before[-1:]:
                return None
            attrs = {"shape": after[-1:]}
        case "reshape":
            target = _reshaped(before, after, axis, node.shape)
            if target is None:
                return None
            attrs = {"shape": target}
        case op if op not in FLOWS:
            return None
    try:
        return remade(node, shapes, in_axis, **attrs)
    except RejectedError:
        return None


def _joined(node: Node, shapes: tuple[Shape, ...], in_axis: int) -> Node | None:
    """A join whose operands still agree wherever they did."""
    if node.op == "concat":
        dim = node.attr("dim") % len(node.shape)
        fits = all(len(s) == len(node.shape) for s in shapes) and (
            len({(*s[:dim], *s[dim + 1 :]) for s in shapes}) == 1
        )
        return remade(node, shapes, in_axis) if fits else None
    if len(shapes) != len(node.in_shapes):
        return remade(node, shapes, in_axis) if len(set(shapes)) == 1 else None
    full = {s for s, old in zip(shapes, node.in_shapes, strict=True) if old == node.shape}
    if len(full) != 1:
        return None
    try:
        made = remade(node, shapes, in_axis)
    except RejectedError:
        return None
    return made if made.shape in full else None


def _reshaped(before: Shape, after: Shape, axis: int, target: Shape) -> Shape | None:
    """The reshape's target where the channels changed: flattened, or kept as an axis."""
    if len(target) == 2 and target == (before[0], prod(before[1:])):
        return (after[0], prod(after[1:]))
    for place, size in enumerate(target):
        if place and size == before[axis]:
            changed = (*target[:place], after[axis], *target[place + 1 :])
            if prod(changed) == prod(after):
                return changed
    return None


def wanted(node: Node, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """The shapes that a node's operands must be brought back to.

    Raises:
        RejectedError: where the node has lost or gained an operand that it cannot do without.
    """
    if node.op in JOINS:
        if len(shapes) != len(node.in_shapes):
            return (node.shape,) * len(shapes)
        # An operand that is broadcast and has not changed may stay so.
        return node.in_shapes
    if node.op == "concat":
        dim = node.attr("dim") % len(node.shape)
        if dim != 1:
            raise RejectedError("a concatenation of something else than channels")
        return tuple([(node.shape[0], s[1], *node.shape[2:]) for s in shapes])
    if len(shapes) != len(node.in_shapes):
        raise RejectedError(f"{node.op} takes {len(node.in_shapes)} operands")
    return node.in_shapes


def projection(shape: Shape, axis: int, target: Shape) -> tuple[Node, bool]:
    """An operation that turns one shape into another, and whether a norm may follow.

    Raises:
        RejectedError: where no convolution or linear layer does it: it can change channels, and
            divide heights and widths.
    """
    if len(shape) == len(target) and shape[0] == target[0]:
        if axis == 1 and len(shape) == 4:
            strides = tuple(
                [-(-s // t) if t else 0 for s, t in zip(shape[2:], target[2:], strict=True)]
            )
            if min(strides) >= 1 and all(
                -(-s // k) == t for s, k, t in zip(shape[2:], strides, target[2:], strict=True)
            ):
                one_pixel = prod(target[2:]) == 1
                return conv(shape, target[1], (1, 1), strides, bias=one_pixel), not one_pixel
        elif axis == len(shape) - 1 and axis and shape[1:-1] == target[1:-1]:
            attrs = {"features": target[-1], "bias": True}
            return make_node("linear", attrs, (shape,), in_axis=axis), False
    raise RejectedError(f"nothing turns shape {shape} into {target}")


def conv(
    shape: Shape,
    channels: int,
    kernel: tuple[int, ...],
    stride: tuple[int, ...] = (1, 1),
    *,
    groups: int = 1,
    bias: bool = False,
) -> Node:
    """A convolution of odd kernel with ``kernel // 2`` padding.

    Raises:
        RejectedError: where the groups do not divide the channels.
    """
    attrs: dict[str, Any] = {
        "channels": channels,
        "kernel": kernel,
        "stride": stride,
        "padding": tuple([k // 2 for k in kernel]),
        "dilation": (1,) * len(kernel),
        "groups": groups,
        "bias": bias,
    }
    try:
        return make_node("conv", attrs, (shape,), in_axis=1)
    except GraphError as error:
        raise RejectedError(str(error)) from None
