"""ProxylessNAS: the sub-networks of once-for-all's ProxylessNAS supernet (Cai et al., 2020).

Five stages of 2 to 4 inverted residual blocks and one last block, each with its own kernel
and expand ratio, at width 1.3 on ImageNet. The ``paper`` variant has dropout before the
classifier, which the published supernet, and so the networks behind the labels, has not.

The stage list of the supernet has a sixth entry, of one block, whose kernel and expand ratio
are elastic as well: entry 20 of ``ks`` and ``e``. Encodings with 20 entries, as once-for-all's
MobileNetV3 has them, leave that block as the supernet starts out: kernel 7, expand ratio 6.
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
from .base import node_of

ACT: Final = "relu6"
EPS: Final = 1e-3
STEM_WIDTH: Final = 32
FIRST_WIDTH: Final = 16
FEATURE_WIDTH: Final = 1280
WIDTHS: Final = (24, 40, 80, 96, 192, 320)
STRIDES: Final = (2, 2, 2, 1, 2, 1)


@dataclass(frozen=True, slots=True)
class ProxylessArch(MBConvArch):
    """A sub-network of the ProxylessNAS supernet; its sixth stage is the last block."""


def blocks_of(arch: ProxylessArch) -> list[list[MBConv]]:
    """All blocks, stage by stage; stage 0 is the fixed first block."""
    stem, channels = (make_divisible(base * arch.width) for base in (STEM_WIDTH, FIRST_WIDTH))
    stages = [[MBConv(stem, channels, 3, 1, 1, ACT, eps=EPS, skip=False)]]
    for choices, base, stride in zip(arch.blocks, WIDTHS, STRIDES, strict=True):
        width = make_divisible(base * arch.width)
        stages.append([])
        for index, (kernel, expand) in enumerate(choices):
            step = 1 if index else stride
            stages[-1].append(MBConv(channels, width, kernel, expand, step, ACT, eps=EPS))
            channels = width
    return stages


class OFAProxyless(MBConvFamily[ProxylessArch]):
    """The once-for-all ProxylessNAS search space."""

    name: ClassVar = "ofa_proxyless"
    title: ClassVar = "ProxylessNAS"
    dataset: ClassVar = "ImageNet"
    input_shape: ClassVar = (3, 224, 224)
    arch_type = ProxylessArch
    widths: ClassVar = (1.3,)
    elastic_tail: ClassVar = True

    def graph(self, arch: ProxylessArch, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one image of the architecture's resolution."""
        self._check_variant(variant)
        stages = blocks_of(arch)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, 3, arch.resolution, arch.resolution))
        x = conv_bn(b, x, stages[0][0].c_in, 3, 2, act=ACT, eps=EPS)
        x = append_blocks(b, x, stages)
        b.set_scope("head")
        x = conv_bn(b, x, make_divisible(FEATURE_WIDTH * arch.width), 1, act=ACT, eps=EPS)
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
        if variant == "paper":
            x = b.append(node_of("dropout", b.nodes[x].shape, rate=DROPOUT), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=CLASSES), (x,))
        return b.build(x)

    def module(self, arch: ProxylessArch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return ProxylessNAS(arch, dropout=variant == "paper")


class ProxylessNAS(nn.Module):
    """One sub-network: images ``(batch, 3, r, r)`` to ``(batch, 1000)`` logits."""

    def __init__(self, arch: ProxylessArch, *, dropout: bool = False) -> None:
        super().__init__()
        stages = blocks_of(arch)
        features = make_divisible(FEATURE_WIDTH * arch.width)
        self.features = nn.Sequential(
            *conv_bn_layers(3, stages[0][0].c_in, 3, 2, act=ACT, eps=EPS),
            *map(MBConvModule, chain.from_iterable(stages)),
            *conv_bn_layers(stages[-1][-1].c_out, features, 1, act=ACT, eps=EPS),
        )
        self.dropout = nn.Dropout(DROPOUT) if dropout else None
        self.classifier = nn.Linear(features, CLASSES)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        y = self.features(x).mean((2, 3))
        logits: Tensor = self.classifier(y if self.dropout is None else self.dropout(y))
        return logits
