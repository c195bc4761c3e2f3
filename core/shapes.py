"""Shape inference: the shape of an op's result from its operands and attributes.

Shapes include the batch axis (axis 0) and are tuples of Python integers. An op
without a rule here (anything whose result depends on more than its attributes)
must be given its shape by whoever records it.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, Final

from .errors import GraphError

Shape = tuple[int, ...]
Attrs = Mapping[str, Any]


def _windows(shape: Shape, attrs: Attrs, padding: Any, *, ceil: bool = False) -> Shape:
    """Spatial sizes after sliding a window over ``shape[2:]``."""
    kernel, stride = attrs["kernel"], attrs["stride"]
    spatial = shape[2:]
    dilation = attrs.get("dilation") or (1,) * len(kernel)
    padded = len(kernel) if padding == "same" else len(padding)
    if not len(spatial) == len(kernel) == len(stride) == len(dilation) == padded:
        raise GraphError(
            f"a window of kernel {kernel}, stride {stride}, padding {padding} and dilation "
            f"{dilation} cannot slide over an input of shape {shape}: give all of them one entry "
            "for each axis after (batch, channels)"
        )
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1:
        raise GraphError(
            f"kernel {kernel}, stride {stride}, dilation {dilation} must all be at least 1"
        )
    sizes = []
    for axis, (size, k, s, d) in enumerate(zip(spatial, kernel, stride, dilation, strict=True)):
        if padding == "same":
            sizes.append(-(-size // s))
            continue
        room = size + 2 * padding[axis] - d * (k - 1) - 1
        out = -(-room // s) + 1 if ceil else room // s + 1
        # torch's rule: the last window must start inside the input or its left padding.
        if ceil and (out - 1) * s >= size + padding[axis]:
            out -= 1
        if out < 1:
            raise GraphError(
                f"a kernel of {kernel} with dilation {dilation} and padding {padding} is larger "
                f"than the input of shape {shape}: use a larger input or more padding"
            )
        sizes.append(out)
    return tuple(sizes)


def _check_conv(attrs: Attrs, shape: Shape) -> None:
    if len(shape) < 3:
        raise GraphError(f"a convolution needs (batch, channels, spatial...), got shape {shape}")
    channels, groups = attrs["channels"], attrs["groups"]
    if groups < 1 or channels < 1 or shape[1] % groups or channels % groups:
        raise GraphError(
            f"{shape[1]} input and {channels} output channels must both be multiples of "
            f"groups={groups}"
        )


def _conv(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    shape = shapes[0]
    _check_conv(attrs, shape)
    return (shape[0], attrs["channels"], *_windows(shape, attrs, attrs["padding"]))


def _conv_transpose(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    shape = shapes[0]
    _check_conv(attrs, shape)
    kernel, stride, dilation = attrs["kernel"], attrs["stride"], attrs["dilation"]
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1:
        raise GraphError(
            f"kernel {kernel}, stride {stride}, dilation {dilation} must all be at least 1"
        )
    spatial = [
        (size - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for size, s, p, d, k, extra in zip(
            shape[2:],
            stride,
            attrs["padding"],
            dilation,
            kernel,
            attrs["output_padding"],
            strict=True,
        )
    ]
    if min(spatial) < 1:
        raise GraphError(
            f"padding {attrs['padding']} leaves nothing of an input of shape {shape}: "
            "use less padding or a larger kernel"
        )
    return (shape[0], attrs["channels"], *spatial)


def _pool(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    (shape,) = shapes
    return (*shape[:2], *_windows(shape, attrs, attrs["padding"], ceil=attrs["ceil_mode"]))


def _adaptive(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    (shape,) = shapes
    size = attrs["size"]
    lead = len(shape) - len(size)
    return (
        *shape[:lead],
        *(s if t is None else t for s, t in zip(shape[lead:], size, strict=True)),
    )


def _same(_attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    return shapes[0]


def _linear(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    return (*shapes[0][:-1], attrs["features"])


def broadcast(*shapes: Shape) -> Shape:
    """The common shape of operands under the usual broadcasting rules.

    Raises:
        GraphError: if two sizes on one axis differ and neither is 1.
    """
    if all(shape == shapes[0] for shape in shapes):
        return shapes[0]
    rank = max(map(len, shapes))
    out = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if -axis <= len(shape)} - {1}
        if len(sizes) > 1:
            raise GraphError(
                f"operands of shapes {', '.join(map(str, shapes))} cannot be combined elementwise: "
                "sizes on each axis must be equal or 1"
            )
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def _elementwise(_attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    return broadcast(*shapes)


def _matmul(_attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    a, b = shapes
    if not a or not b:
        raise GraphError(f"matmul of shapes {a} and {b}: both need at least one axis")
    left = a if len(a) > 1 else (1, *a)
    right = b if len(b) > 1 else (*b, 1)
    if left[-1] != right[-2]:
        raise GraphError(f"matmul of shapes {a} and {b}: the inner sizes must be equal")
    lead = broadcast(left[:-2], right[:-2]) if left[:-2] or right[:-2] else ()
    return (*lead, *left[-2 : -1 if len(a) > 1 else -2], *(right[-1:] if len(b) > 1 else ()))


def _axis(dim: int, rank: int) -> int:
    """A possibly negative axis as one from 0 on."""
    if not -rank <= dim < rank:
        raise GraphError(f"axis {dim} does not exist: {-rank} to {rank - 1} are allowed")
    return dim % rank


def _concat(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    dim = _axis(attrs["dim"], len(shapes[0]))
    rest = {(*shape[:dim], *shape[dim + 1 :]) for shape in shapes}
    if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
        raise GraphError(
            f"concat on axis {dim} of shapes {', '.join(map(str, shapes))}: "
            "all other axes must be equal"
        )
    return (*shapes[0][:dim], sum(shape[dim] for shape in shapes), *shapes[0][dim + 1 :])


def _stack(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    dim = _axis(attrs["dim"], len(shapes[0]) + 1)
    if len(set(shapes)) > 1:
        raise GraphError(f"stack of shapes {', '.join(map(str, shapes))}: all must be equal")
    return (*shapes[0][:dim], len(shapes), *shapes[0][dim:])


def _reduce(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    (shape,) = shapes
    axes = {_axis(axis, len(shape)) for axis in attrs["axes"]}
    if attrs["keepdim"]:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _permute(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    (shape,) = shapes
    if sorted(_axis(d, len(shape)) for d in attrs["dims"]) != list(range(len(shape))):
        raise GraphError(f"permute by {attrs['dims']} does not fit shape {shape}")
    return tuple(shape[d] for d in attrs["dims"])


def _reshape(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    target: Shape = attrs["shape"]
    if prod(target) != prod(shapes[0]):
        raise GraphError(f"shape {shapes[0]} cannot be reshaped to {target}: sizes differ")
    return target


def _repeat(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    (shape,) = shapes
    repeats = attrs["repeats"]
    before = (1,) * (len(repeats) - len(shape)) + shape
    return tuple(size * times for size, times in zip(before, repeats, strict=True))


def _given(attrs: Attrs, _shapes: tuple[Shape, ...]) -> Shape:
    shape: Shape = attrs["shape"]
    return shape


def _shuffle(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    n, c, h, w = shapes[0]
    r = attrs["factor"]
    if c % (r * r):
        raise GraphError(f"pixel_shuffle by {r} needs channels divisible by {r * r}, got {c}")
    return (n, c // (r * r), h * r, w * r)


def _unshuffle(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    n, c, h, w = shapes[0]
    r = attrs["factor"]
    if h % r or w % r:
        raise GraphError(f"pixel_unshuffle by {r} needs sizes divisible by {r}, got {(h, w)}")
    return (n, c * r * r, h // r, w // r)


def _attention(_attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape:
    query, _, value = shapes[:3]
    return (*query[:-1], value[-1])


def _embedding(attrs: Attrs, shapes: tuple[Shape, ...]) -> Shape | None:
    # With a mode, bags of vectors are reduced; their number may lie in another operand.
    return (*shapes[0], attrs["features"]) if attrs["mode"] is None else None


Rule = Callable[[Attrs, tuple[Shape, ...]], Shape | None]

_UNARY = (
    "output batch_norm instance_norm group_norm layer_norm rms_norm local_response_norm "
    "normalize relu relu6 sigmoid tanh silu gelu hard_swish hard_sigmoid hard_tanh "
    "leaky_relu prelu threshold elu selu celu softplus squared_relu hard_shrink soft_shrink "
    "mish softsign log_sigmoid softmax log_softmax unary identity dropout zero roll cast "
    "channel_shuffle"
).split()

#: Shape rules by op name; ops that are missing need their shape given.
RULES: Final[Mapping[str, Rule]] = {
    "input": _given,
    "parameter": _given,
    "expand": _given,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
    "bilinear": _linear,
    "matmul": _matmul,
    "attention": _attention,
    "embedding": _embedding,
    "max_pool": _pool,
    "avg_pool": _pool,
    "adaptive_avg_pool": _adaptive,
    "adaptive_max_pool": _adaptive,
    "mean": _reduce,
    "reduce": _reduce,
    "concat": _concat,
    "stack": _stack,
    "reshape": _reshape,
    "permute": _permute,
    "repeat": _repeat,
    "pixel_shuffle": _shuffle,
    "pixel_unshuffle": _unshuffle,
    **dict.fromkeys(_UNARY, _same),
    **dict.fromkeys(("add", "sub", "mul", "div", "binary", "where"), _elementwise),
}
