"""Random networks, written both as modules and with the builder, agree."""

import random

import torch
from gennape_plugin.adapters.torch import capture_module
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import assert_same
from torch import Tensor, nn

CHANNELS, SIZE = 4, 6
LAYERS = ("conv3", "conv1", "depthwise", "norm", "relu", "relu6", "pool", "average", "skip", "drop")
JOINS = ("add", "mul", "sum", "concat")


def layer(kind: str) -> nn.Module:
    match kind:
        case "conv3":
            return nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        case "conv1":
            return nn.Conv2d(CHANNELS, CHANNELS, 1)
        case "depthwise":
            return nn.Conv2d(CHANNELS, CHANNELS, 3, padding=2, dilation=2, groups=CHANNELS)
        case "norm":
            return nn.BatchNorm2d(CHANNELS)
        case "relu":
            return nn.ReLU()
        case "relu6":
            return nn.ReLU6()
        case "pool":
            return nn.MaxPool2d(3, 1, 1)
        case "average":
            return nn.AvgPool2d(3, 1, 1)
        case "skip":
            return nn.Identity()
        case _:
            return nn.Dropout(0.25)


def layer_node(b: GraphBuilder, kind: str, x: int) -> int:
    match kind:
        case "conv3":
            return b.conv(x, CHANNELS, kernel=3)
        case "conv1":
            return b.conv(x, CHANNELS, kernel=1, bias=True)
        case "depthwise":
            return b.depthwise(x, kernel=3, dilation=2, bias=True)
        case "norm":
            return b.batch_norm(x)
        case "relu":
            return b.relu(x)
        case "relu6":
            return b.relu6(x)
        case "pool":
            return b.max_pool(x, kernel=3, stride=1, padding=1)
        case "average":
            return b.avg_pool(x, kernel=3, stride=1, padding=1)
        case "skip":
            return b.add("identity", (x,))
        case _:
            return b.add("dropout", (x,), rate=0.25)


class RandomNet(nn.Module):
    """Values 0, 1, ...: the input, then one for each step; a step names the values it reads."""

    def __init__(self, plan: list[tuple[str, tuple[int, ...]]]) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.ModuleList(layer(kind) for kind, _ in plan if kind in LAYERS)
        self.squeeze = nn.ModuleList(
            nn.Conv2d(CHANNELS * len(reads), CHANNELS, 1, bias=False)
            for kind, reads in plan
            if kind == "concat"
        )
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, x: Tensor) -> Tensor:
        values, layers, squeeze = [x], iter(self.layers), iter(self.squeeze)
        for kind, reads in self.plan:
            parts = [values[i] for i in reads]
            if kind == "concat":
                values.append(next(squeeze)(torch.cat(parts, 1)))
            elif kind == "sum":
                values.append(sum(parts))
            elif kind in JOINS:
                values.append(parts[0] + parts[1] if kind == "add" else parts[0] * parts[1])
            else:
                values.append(next(layers)(parts[0]))
        return self.head(values[-1].mean((2, 3)))


def written(plan: list[tuple[str, tuple[int, ...]]]) -> ComputeGraph:
    b = GraphBuilder()
    values = [b.input((1, CHANNELS, SIZE, SIZE))]
    for kind, reads in plan:
        parts = [values[i] for i in reads]
        if kind == "concat":
            x = parts[0] if len(parts) == 1 else b.add("concat", parts, dim=1)
            values.append(b.conv(x, CHANNELS, kernel=1))
        elif kind == "sum":
            values.append(parts[0] if len(parts) == 1 else b.add("add", parts))
        elif kind in JOINS:
            values.append(b.add(kind, parts[:2]))
        else:
            values.append(layer_node(b, kind, parts[0]))
    return b.build(b.linear(b.mean(values[-1], (2, 3)), 3), prune=True)


@st.composite
def plans(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...]]]:
    plan: list[tuple[str, tuple[int, ...]]] = []
    for step in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(LAYERS + JOINS))
        # Mostly recent values, so that networks are deep.
        read = st.integers(max(0, step - 3), step)
        least, most = {"sum": (1, 4), "concat": (1, 3), "add": (2, 2), "mul": (2, 2)}.get(
            kind, (1, 1)
        )
        plan.append((kind, tuple(draw(st.lists(read, min_size=least, max_size=most)))))
    return plan


@settings(max_examples=60)
@given(plans(), st.randoms(use_true_random=False))
def test_random_networks(plan: list[tuple[str, tuple[int, ...]]], rng: random.Random) -> None:
    net = RandomNet(plan)
    net.train(rng.random() < 0.5)
    captured = capture_module(net, (CHANNELS, SIZE, SIZE))
    expected = written(plan)
    assert_same(captured, expected)
    assert captured.macs == expected.macs
    assert captured.params == expected.params
