"""Windows that slide over a map: kernels, strides, and ONNX's ways to pad."""

from dataclasses import dataclass

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.ops import AttrValue
from gennape_plugin.core.shapes import Shape

from .nodes import OnnxNode
from .registry import Call
from .values import Value


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window.

    Attributes:
        kernel: Its sizes.
        stride: Its steps.
        dilation: Distances between its elements.
        begin: Padding before each axis.
        end: Padding after each axis.
        output_padding: What a transposed convolution adds at the end of each axis.
        same: Whether results are as large as inputs over strides.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    output_padding: tuple[int, ...]
    same: bool


def window_of(
    node: OnnxNode, shape: Shape, kernel: tuple[int, ...], *, transposed: bool = False
) -> Window:
    """The window of a convolution or a pool.

    Args:
        node: The node, whose attributes say how it slides.
        shape: Shape of what it slides over.
        kernel: Its sizes.
        transposed: Whether it is a transposed convolution.

    Raises:
        GraphError: if its attributes contradict each other or the input.
    """
    rank = len(shape) - 2
    if node.ints("kernel_shape", kernel) != kernel:
        raise GraphError(
            f"kernel_shape {node.ints('kernel_shape')} contradicts its weight's {kernel}"
        )
    ones, zeros = (1,) * rank, (0,) * rank
    stride, dilation = node.ints("strides", ones), node.ints("dilations", ones)
    extra = node.ints("output_padding", zeros)
    pads = node.ints("pads", (0,) * (2 * rank))
    if not rank == len(kernel) == len(stride) == len(dilation) == len(extra) == len(pads) / 2:
        raise GraphError(
            f"kernel {kernel}, strides {stride}, dilations {dilation} and pads {pads} do not fit "
            f"an input of shape {shape}: give one entry (two in pads) for each spatial axis"
        )
    if rank < 1 or min((*kernel, *stride, *dilation)) < 1:
        raise GraphError(
            f"kernel {kernel}, strides {stride} and dilations {dilation} must be at least 1"
        )
    begin, end = pads[:rank], pads[rank:]
    mode = node.text("auto_pad", "NOTSET")
    wanted = node.ints("output_shape", None) if transposed else None
    if wanted is not None or mode in ("SAME_UPPER", "SAME_LOWER"):
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        if transposed:
            sizes = (
                [n * s for n, s in zip(shape[2:], stride, strict=True)]
                if wanted is None
                else list(wanted[-rank:])
            )
            if len(sizes) != rank:
                raise GraphError(f"output_shape {wanted} lacks axes: {rank} are needed")
            totals = [
                s * (n - 1) + e + k - size
                for n, s, e, k, size in zip(shape[2:], stride, extra, spans, sizes, strict=True)
            ]
            # Where the output is larger than the window reaches, the rest is added at its end.
            extra = tuple(e + max(-t, 0) for e, t in zip(extra, totals, strict=True))
        else:
            totals = [
                (-(-n // s) - 1) * s + k - n
                for n, s, k in zip(shape[2:], stride, spans, strict=True)
            ]
        totals = [max(total, 0) for total in totals]
        small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
        begin, end = (large, small) if mode == "SAME_LOWER" else (small, large)
    elif mode == "VALID":
        begin = end = zeros
    elif mode != "NOTSET":
        raise GraphError(f"auto_pad {mode!r:.80} is unknown")
    padded_sizes = [n + a + b for n, a, b in zip(shape[2:], begin, end, strict=True)]
    same = all(
        (n - d * (k - 1) - 1) // s + 1 == -(-size // s)
        for n, d, k, s, size in zip(padded_sizes, dilation, kernel, stride, shape[2:], strict=True)
    )
    if transposed:
        # Uneven padding of a transposed convolution cuts one side: only the size matters here.
        extra = tuple(e + a - b for e, a, b in zip(extra, begin, end, strict=True))
        end = begin
        same = False
    return Window(kernel, stride, dilation, begin, end, extra, same)


def padded(call: Call, x: Value, window: Window, fill: float) -> tuple[Value, AttrValue]:
    """The input and the padding of a window.

    Equal padding on both sides is a tuple. Uneven padding is ``"same"`` where it gives the
    sizes of that rule, and otherwise a node of its own.
    """
    if window.begin == window.end and min(window.begin) >= 0:
        return x, window.begin
    uneven = zip(window.begin, window.end, strict=True)
    if window.same and all(abs(a - b) <= 1 and min(a, b) >= 0 for a, b in uneven):
        return x, "same"
    x = pad(call, x, (0, 0, *window.begin), (0, 0, *window.end), "constant", fill)
    return x, (0,) * len(window.kernel)


def pad(
    call: Call,
    x: Value,
    begin: tuple[int, ...],
    end: tuple[int, ...],
    mode: str,
    fill: float,
) -> Value:
    """``x`` with padding; its attribute lists the last axis first, as in torch."""
    if not any(begin) and not any(end):
        return x
    shape = tuple(n + a + b for n, a, b in zip(x.shape, begin, end, strict=True))
    if min(shape) < 0:
        raise GraphError(f"padding by {begin} and {end} leaves nothing of a shape {x.shape}")
    flat: list[int] = []
    for a, b in zip(reversed(begin), reversed(end), strict=True):
        flat += [a, b]
    while flat and not flat[-1] and not flat[-2]:
        del flat[-2:]
    attrs: dict[str, AttrValue] = {"padding": tuple(flat), "mode": mode, "value": fill}
    return call.emit("pad", [x], attrs, shape=shape)
