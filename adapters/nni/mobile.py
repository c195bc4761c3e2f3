"""NNI's ProxylessNAS and MobileNetV3Space: stages of inverted residual blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gennape_plugin.adapters.families._conv_norm import total
from gennape_plugin.adapters.families._mbconv import conv_bn, squeeze_excite
from gennape_plugin.adapters.families.base import conv_node, node_of
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.shapes import Shape

from .choices import Choices
from .parts import dropout, flattened, linear, pooled

_KERNELS: Final = (3, 5, 7)
_PROXYLESS_EXPANDS: Final = (3, 6)
_PROXYLESS_DEPTHS: Final = range(1, 5)
#: Strides of ProxylessNAS's stages 2 to 7.
_PROXYLESS_STRIDES: Final = (2, 2, 2, 1, 2, 1)
_ACTIVATIONS: Final = {"hswish": "hard_swish", "swish": "silu", "relu": "relu"}
#: CPython keeps one object of each integer up to this; see :func:`same`.
_SHARED_INTEGER: Final = 256


def make_divisible(width: float) -> int:
    """NNI's own rounding to a multiple of 8."""
    nearest = max(8, round(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest


def same(before: int, after: int) -> bool:
    """NNI's ``before is after`` on two integers: equal large ones are different objects."""
    return before == after <= _SHARED_INTEGER


@dataclass(frozen=True, slots=True)
class Block:
    """A depthwise block, with a convolution before it where it expands.

    Attributes:
        hidden: Channels of the depthwise convolution.
        out: Channels written.
        kernel: Side of the depthwise kernel.
        stride: Of the depthwise convolution.
        act: Op name of the activation.
        eps: Of the batch norms.
        expands: Whether a 1 x 1 convolution comes first.
        squeezed: Channels between the convolutions of squeeze-and-excitation; 0: without.
        skip: Whether the block adds its input.
    """

    hidden: int
    out: int
    kernel: int
    stride: int
    act: str
    eps: float
    expands: bool = True
    squeezed: int = 0
    skip: bool = False


def block_nodes(b: GraphBuilder, x: int, block: Block) -> int:
    """The nodes of one block."""
    hidden, act, eps = block.hidden, block.act, block.eps
    y = conv_bn(b, x, hidden, 1, act=act, eps=eps) if block.expands else x
    y = conv_bn(b, y, hidden, block.kernel, block.stride, groups=hidden, act=act, eps=eps)
    if block.squeezed:
        y = squeeze_excite(b, y, block.squeezed)
    y = conv_bn(b, y, block.out, 1, eps=eps)
    return total(b, (x, y)) if block.skip else y


def proxyless_graph(arguments: Mapping[str, Any], choices: Choices, shape: Shape) -> ComputeGraph:
    """The network that NNI's ProxylessNAS builds."""
    widths = [make_divisible(w * arguments["width_mult"]) for w in arguments["base_widths"]]
    eps = arguments["bn_eps"]
    named = {f"k{k}e{e}": (k, e) for e in _PROXYLESS_EXPANDS for k in _KERNELS}
    b = GraphBuilder(choices.space)
    b.set_scope("stem")
    x = b.input((1, *shape))
    x = conv_bn(b, x, widths[0], 3, 2, act="relu6", eps=eps)
    b.set_scope("stage1.block0")
    skip = same(widths[0], widths[1])
    first = Block(widths[0], widths[1], 3, 1, "relu6", eps, expands=False, skip=skip)
    x = block_nodes(b, x, first)
    for stage, stride in enumerate(_PROXYLESS_STRIDES, start=2):
        last = stage == len(_PROXYLESS_STRIDES) + 1
        depth = 1 if last else choices.one(f"s{stage}_depth", _PROXYLESS_DEPTHS)
        for index in range(depth):
            b.set_scope(f"stage{stage}.block{index}")
            kernel, expand = named[choices.one(f"s{stage}_i{index}", named)]
            c_in, c_out = widths[stage - (index == 0)], widths[stage]
            block = Block(
                make_divisible(c_in * expand),
                c_out,
                kernel,
                1 if index else stride,
                "relu6",
                eps,
                skip=bool(index) or (stride == 1 and same(c_in, c_out)),
            )
            x = block_nodes(b, x, block)
    b.set_scope("head")
    x = flattened(b, pooled(b, conv_bn(b, x, widths[-1], 1, act="relu6", eps=eps)))
    x = dropout(b, x, arguments["dropout_rate"])
    return b.build(linear(b, x, arguments["num_labels"]))


def mobilenetv3_graph(
    arguments: Mapping[str, Any], choices: Choices, shape: Shape
) -> ComputeGraph | None:
    """The network that NNI's MobileNetV3Space builds; ``None`` for one that does not run.

    With ``se_from_exp=False``, NNI's squeeze-and-excitation expects the channels of the block's
    input and is given the expanded ones.
    """
    if not arguments["se_from_exp"]:
        return None
    multipliers, eps = arguments["width_multipliers"], arguments["bn_eps"]
    fixed = isinstance(multipliers, float)
    widths = [
        make_divisible(
            base
            * (multipliers if fixed else choices.one(f"s{max(i - 1, 0)}_width_mult", multipliers))
        )
        for i, base in enumerate(arguments["base_widths"])
    ]
    strides = arguments["stride"]
    acts = [_ACTIVATIONS[act] for act in arguments["activation"]]
    count = len(widths) - 1

    def block(label: str, stage: int, first: bool, expand: float | None, act: str) -> Block:
        c_in, c_out = widths[stage if first else stage + 1], widths[stage + 1]
        stride = strides[stage + 1] if first else 1
        hidden = c_in if expand is None else make_divisible(c_in * expand)
        se = arguments["squeeze_excite"][stage]
        wanted = se == "force" or (
            se == "optional" and choices.one(f"{label}_se", ("identity", "se")) == "se"
        )
        # Chosen widths are expressions, and two of these are never one object.
        skip = not first or (stride == 1 and fixed and same(c_in, c_out))
        return Block(
            hidden,
            c_out,
            choices.one(f"{label}_ks", _KERNELS),
            stride,
            act,
            eps,
            expands=expand is not None,
            squeezed=make_divisible(hidden * 0.25) if wanted else 0,
            skip=skip,
        )

    b = GraphBuilder(choices.space)
    b.set_scope("stem")
    x = b.input((1, *shape))
    kernel = choices.one("stem_ks", (3, 5))
    x = conv_bn(b, x, widths[0], kernel, strides[0], act=acts[0], eps=eps)
    b.set_scope("stage0.block0")
    x = block_nodes(b, x, block("s0_i0", 0, True, None, acts[1]))
    depths = arguments["depth_range"]
    depths = [depths] * (count - 3) if isinstance(depths[0], int) else depths
    for stage in range(1, count - 2):
        low, high = depths[stage - 1]
        for index in range(choices.one(f"s{stage}_depth", range(low, high + 1))):
            b.set_scope(f"stage{stage}.block{index}")
            label = f"s{stage}_i{index}"
            expand = choices.one(f"{label}_exp", arguments["expand_ratios"])
            x = block_nodes(b, x, block(label, stage, index == 0, expand, acts[stage + 1]))
    b.set_scope("head")
    x = conv_bn(b, x, widths[-2], 1, strides[-2], act=acts[-2], eps=eps)
    x = pooled(b, x)
    x = b.append(conv_node(b.nodes[x].shape, widths[-1], 1, strides[-1], bias=True), (x,))
    x = b.append(node_of(acts[-1], b.nodes[x].shape), (x,))
    x = dropout(b, flattened(b, x), arguments["dropout_rate"])
    return b.build(linear(b, x, arguments["num_labels"]))
