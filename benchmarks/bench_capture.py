"""Capturing modules against ``torch.fx`` with shape propagation, on the same modules.

    python benchmarks/bench_capture.py

Both see each module with its parameters on the meta device; the two take turns, so that a
busy machine slows both. Modules of torchvision join in where it can be imported.

Columns: median wall time of ``capture_module``, that of ``symbolic_trace`` and ``ShapeProp``,
and their ratio.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from gennape_plugin.adapters.families.nasbench101 import NASBench101
from gennape_plugin.adapters.torch import capture_module
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, as in ResNet-18."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
            if stride > 1 or c_in != c_out
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


class Inverted(nn.Module):
    """Expansion, depthwise convolution, squeeze-excite, projection, as in MobileNetV3."""

    def __init__(self, channels: int, expand: int = 4) -> None:
        super().__init__()
        width = channels * expand
        self.expand = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Hardswish(),
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, width // 4, 1),
            nn.ReLU(),
            nn.Conv2d(width // 4, width, 1),
            nn.Hardsigmoid(),
        )
        self.project = nn.Sequential(nn.Conv2d(width, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y = self.depthwise(self.expand(x))
        return x + self.project(y * self.gate(y))


class EncoderBlock(nn.Module):
    """A pre-norm transformer block, attention written out so that torch.fx can trace it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.norm2(x))


class Dense(nn.Module):
    """Every layer reads all earlier ones, as in DenseNet."""

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels + i * growth),
                nn.ReLU(),
                nn.Conv2d(channels + i * growth, growth, 3, padding=1, bias=False),
            )
            for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def resnet18() -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    channels = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Residual(channels, width, stride), Residual(width, width, 1)]
        channels = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    return nn.Sequential(*layers)


def models() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    """Name: how to build it, and the shape of one sample."""
    family = NASBench101()
    cell = family.sample(random.Random(1))
    image = (3, 224, 224)
    stem = [nn.Conv2d(3, 48, 3, 2, 1), nn.BatchNorm2d(48), nn.Hardswish()]
    return {
        "resnet18": (resnet18, image),
        "mobilenet": (lambda: nn.Sequential(*stem, *(Inverted(48) for _ in range(12))), image),
        "encoder": (
            lambda: nn.Sequential(*(EncoderBlock(384, 6) for _ in range(12))),
            (197, 384),
        ),
        "dense": (lambda: nn.Sequential(nn.Conv2d(3, 64, 3), Dense(64, 32, 40)), (3, 32, 32)),
        "nasbench101": (lambda: family.module(cell), (3, 32, 32)),
        **_torchvision(),
    }


def _torchvision() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    try:
        from torchvision import models as zoo
    except (ImportError, RuntimeError):  # absent, or built for another torch
        return {}
    names = ("resnet50", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "swin_t")
    return {f"torchvision {n}": (getattr(zoo, n), (3, 224, 224)) for n in names}


def by_fx(module: nn.Module, shape: tuple[int, ...]) -> None:
    with torch.no_grad():
        traced = fx.symbolic_trace(module)
        ShapeProp(traced).propagate(torch.empty((1, *shape), device="meta"))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9, help="turns of each model")
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    ratios = []
    print(f"{'model':32s} {'capture':>10s} {'torch.fx':>10s} {'ratio':>7s}   (median ms)")
    for name, (build, shape) in models().items():
        module = build().eval().to("meta")
        ours = partial(capture_module, module, shape)
        theirs = partial(by_fx, module, shape)
        ours()  # fills the caches, as does theirs
        try:
            theirs()
        except fx.proxy.TraceError:  # its forward compares shapes
            a = statistics.median(seconds(ours) for _ in range(repetitions))
            print(f"{name:32s} {a * 1e3:10.1f} {'no trace':>10s}")
            continue
        times = [(seconds(ours), seconds(theirs)) for _ in range(repetitions)]
        a, b = (statistics.median(side) for side in zip(*times, strict=True))
        ratios.append(a / b)
        print(f"{name:32s} {a * 1e3:10.1f} {b * 1e3:10.1f} {a / b:7.3f}")
    print(f"{'median':32s} {'':10s} {'':10s} {statistics.median(ratios):7.3f}")


if __name__ == "__main__":
    main()
