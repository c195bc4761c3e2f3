"""OFA-MobileNetV3: the sub-networks of once-for-all's MobileNetV3 (Cai et al., 2020).

Five stages of 2 to 4 inverted residual blocks, each block with its own kernel and expand
ratio, on ImageNet. The published supernets have widths 1.0 and 1.2; the paper uses 1.2.
The ``paper`` variant has dropout before the classifier, which the published supernets, and
so the networks behind the labels, have not.
"""

from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._mbconv import MBConv, MBConvModule, append_blocks, conv_bn, conv_bn_layers
from ._mbconv_space import MBConvArch, MBConvFamily
from ._ofa import CLASSES, DROPOUT, make_divisible
from .base import conv_node, node_of

STEM_WIDTH: Final = 16
EXPAND_WIDTH: Final = 960
FEATURE_WIDTH: Final = 1280
WIDTHS: Final = (24, 40, 80, 112, 160)
STRIDES: Final = (2, 2, 2, 1, 2)
ACTS: Final = ("relu", "relu", "hard_swish", "hard_swish", "hard_swish")
SQUEEZE: Final = (False, True, False, True, True)


@dataclass(frozen=True, slots=True)
class MobileNetV3Arch(MBConvArch):
    """A sub-network of the MobileNetV3 supernet."""


def blocks_of(arch: MobileNetV3Arch) -> list[list[MBConv]]:
    """All blocks, stage by stage; stage 0 is the fixed first block."""
    channels = make_divisible(STEM_WIDTH * arch.width)
    stages = [[MBConv(channels, channels, 3, 1, 1, "relu")]]
    for choices, base, stride, act, se in zip(
        arch.blocks, WIDTHS, STRIDES, ACTS, SQUEEZE, strict=True
    ):
        width = make_divisible(base * arch.width)
        stages.append([])
        for index, (kernel, expand) in enumerate(choices):
            step = 1 if index else stride
            stages[-1].append(MBConv(channels, width, kernel, expand, step, act, se=se))
            channels = width
    return stages


class OFAMobileNetV3(MBConvFamily[MobileNetV3Arch]):
    """The once-for-all MobileNetV3 search space."""

    name: ClassVar = "ofa_mobilenetv3"
    title: ClassVar = "OFA-MobileNetV3"
    dataset: ClassVar = "ImageNet"
    input_shape: ClassVar = (3, 224, 224)
    arch_type = MobileNetV3Arch
    widths: ClassVar = (1.2, 1.0)

    def graph(self, arch: MobileNetV3Arch, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one image of the architecture's resolution."""
        self._check_variant(variant)
        stages = blocks_of(arch)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, 3, arch.resolution, arch.resolution))
        x = conv_bn(b, x, stages[0][0].c_in, 3, 2, act="hard_swish")
        x = append_blocks(b, x, stages)
        b.set_scope("head")
        x = conv_bn(b, x, make_divisible(EXPAND_WIDTH * arch.width), 1, act="hard_swish")
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3), keepdim=True), (x,))
        features = make_divisible(FEATURE_WIDTH * arch.width)
        x = b.append(conv_node(b.nodes[x].shape, features, 1), (x,))
        x = b.append(node_of("hard_swish", b.nodes[x].shape), (x,))
        x = b.append(node_of("reshape", b.nodes[x].shape, shape=(1, features)), (x,))
        if variant == "paper":
            x = b.append(node_of("dropout", b.nodes[x].shape, rate=DROPOUT), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=CLASSES), (x,))
        return b.build(x)

    def module(self, arch: MobileNetV3Arch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return MobileNetV3(arch, dropout=variant == "paper")


class MobileNetV3(nn.Module):
    """One sub-network: images ``(batch, 3, r, r)`` to ``(batch, 1000)`` logits."""

    def __init__(self, arch: MobileNetV3Arch, *, dropout: bool = False) -> None:
        super().__init__()
        stages = blocks_of(arch)
        expanded = make_divisible(EXPAND_WIDTH * arch.width)
        features = make_divisible(FEATURE_WIDTH * arch.width)
        self.stem = nn.Sequential(*conv_bn_layers(3, stages[0][0].c_in, 3, 2, act="hard_swish"))
        self.blocks = nn.Sequential(*map(MBConvModule, chain.from_iterable(stages)))
        self.expand = nn.Sequential(
            *conv_bn_layers(stages[-1][-1].c_out, expanded, 1, act="hard_swish")
        )
        self.mix = nn.Sequential(nn.Conv2d(expanded, features, 1, bias=False), nn.Hardswish())
        self.dropout = nn.Dropout(DROPOUT) if dropout else None
        self.classifier = nn.Linear(features, CLASSES)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        y = self.expand(self.blocks(self.stem(x)))
        y = self.mix(y.mean((2, 3), keepdim=True)).flatten(1)
        logits: Tensor = self.classifier(y if self.dropout is None else self.dropout(y))
        return logits
