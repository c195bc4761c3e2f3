"""New sub-graphs with given channels and stride, which take the place of old ones.

Each reads one feature map and writes one. Those that no published search space would
build are left out: every sub-graph has a norm after each convolution where the network
has norms, and its activation is the network's own.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from gennape_plugin.core.shapes import Shape

from .draft import Draft
from .repair import RejectedError, conv

#: What sub-graphs may be made of besides convolutions; see ``Mutator(ops=...)``.
OPTIONAL: Final = frozenset({"depthwise", "grouped", "max_pool", "avg_pool", "concat", "add"})
KERNELS: Final = (1, 3, 5, 7)
_STEP: Final = 8  # channels come in multiples of it


@dataclass(frozen=True)
class Style:
    """How a network writes its layers.

    Attributes:
        activation: Its usual activation.
        norm: Whether convolutions are followed by batch norms.
        ops: Those of :data:`OPTIONAL` that may be used.
    """

    activation: str
    norm: bool
    ops: Collection[str] = OPTIONAL


class Writer:
    """Writes layers into a draft at one place."""

    def __init__(self, draft: Draft, before: int, scope: str, style: Style) -> None:
        self.draft, self.before, self.scope, self.style = draft, before, scope, style

    def shape(self, x: int) -> Shape:
        """Shape of a value."""
        return self.draft.nodes[x].shape

    def op(self, name: str, *xs: int, **attrs: object) -> int:
        """Any operation."""
        return self.draft.add(name, xs, self.before, self.scope, attrs)

    def conv(self, x: int, channels: int, kernel: int, stride: int = 1, *, groups: int = 1) -> int:
        """Convolution, and norm where the network has norms."""
        shape = self.shape(x)
        if kernel > 1 and kernel > min(shape[2:]):
            raise RejectedError("a kernel larger than the map")
        node = conv(shape, channels, (kernel, kernel), (stride, stride), groups=groups)
        x = self.draft.put(node, (x,), self.before, self.scope)
        return self.op("batch_norm", x) if self.style.norm else x

    def act(self, x: int) -> int:
        """The network's activation."""
        return self.op(self.style.activation, x)

    def conv_act(self, x: int, channels: int, kernel: int, stride: int = 1) -> int:
        """Convolution, norm, activation."""
        return self.act(self.conv(x, channels, kernel, stride))

    def depthwise(self, x: int, kernel: int, stride: int = 1) -> int:
        """Depthwise convolution and norm."""
        channels = self.shape(x)[1]
        return self.conv(x, channels, kernel, stride, groups=channels)

    def pool(self, x: int, kind: str, kernel: int, stride: int = 1) -> int:
        """Pooling of odd kernel that keeps the map, or divides it by the stride."""
        if kernel > min(self.shape(x)[2:]):
            raise RejectedError("a kernel larger than the map")
        window = {
            "kernel": (kernel, kernel),
            "stride": (stride, stride),
            "padding": (kernel // 2, kernel // 2),
        }
        more = {"dilation": (1, 1)} if kind == "max_pool" else {}
        return self.op(kind, x, **window, **more)


#: Writes a sub-graph: writer, value read, channels and stride of the result, generator.
Template = Callable[[Writer, int, int, int, random.Random], int]


def rounded(channels: float) -> int:
    """Channels as a multiple of 8, at least 8."""
    return max(_STEP, int(channels / _STEP + 0.5) * _STEP)


def _plain(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    return w.conv(x, channels, rng.choice(KERNELS[:3]), stride)


def _double(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    x = w.conv_act(x, channels, rng.choice(KERNELS[:2]), stride)
    return w.conv(x, channels, rng.choice(KERNELS[:2]))


def _bottleneck(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    inner = rounded(channels / rng.choice((2, 4)))
    x = w.conv_act(x, inner, 1)
    return w.conv(w.conv_act(x, inner, 3, stride), channels, 1)


def _separable(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    x = w.act(w.depthwise(x, rng.choice(KERNELS[1:]), stride))
    return w.conv(x, channels, 1)


def _inverted(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    inner = w.shape(x)[1] * rng.choice((2, 3, 4, 6))
    x = w.act(w.depthwise(w.conv_act(x, inner, 1), rng.choice(KERNELS[1:]), stride))
    return w.conv(x, channels, 1)


def _grouped(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    groups = rng.choice((2, 4, 8))
    if w.shape(x)[1] % groups or channels % groups:
        raise RejectedError("the groups do not divide the channels")
    return w.conv(x, channels, 3, stride, groups=groups)


def _pooled(kind: str) -> Template:
    def write(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
        before = w.shape(x)[1]
        x = w.pool(x, kind, 3, stride)
        return x if before == channels else w.conv(x, channels, 1)

    return write


def _branches(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    left = channels // 2
    if left < 1:
        raise RejectedError("one channel cannot be split")
    kernels = rng.sample(KERNELS[:3], 2)
    parts = [w.conv(x, c, k, stride) for c, k in zip((left, channels - left), kernels, strict=True)]
    return w.op("concat", *parts, dim=1)


def _residual(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    side = _double(w, x, channels, stride, rng)
    if stride > 1 or w.shape(x)[1] != channels:
        x = w.conv(x, channels, 1, stride)
    return w.op("add", side, x)


def _parallel(w: Writer, x: int, channels: int, stride: int, rng: random.Random) -> int:
    kernels = rng.sample(KERNELS[:3], 2)
    return w.op("add", *[w.conv(x, channels, kernel, stride) for kernel in kernels])


#: Sub-graphs by name, with what each needs beyond plain convolutions.
TEMPLATES: Final[dict[str, tuple[Template, str]]] = {
    "convolution": (_plain, ""),
    "two convolutions": (_double, ""),
    "bottleneck": (_bottleneck, ""),
    "separable convolution": (_separable, "depthwise"),
    "inverted bottleneck": (_inverted, "depthwise"),
    "grouped convolution": (_grouped, "grouped"),
    "max pool": (_pooled("max_pool"), "max_pool"),
    "average pool": (_pooled("avg_pool"), "avg_pool"),
    "concatenated branches": (_branches, "concat"),
    "residual block": (_residual, "add"),
    "parallel convolutions": (_parallel, "add"),
}


def templates(style: Style) -> list[str]:
    """Names of the sub-graphs that a style allows."""
    return [name for name, (_, needs) in TEMPLATES.items() if not needs or needs in style.ops]
