"""Captured graphs equal the graphs that one would write down by hand."""

import random

import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.adapters.families.nasbench101 import NASBench101
from gennape_plugin.adapters.torch import capture, capture_module
from gennape_plugin.core.builder import GraphBuilder
from networks import IMAGE, Net, assert_same, built
from torch import Tensor, nn


@pytest.mark.parametrize("seed", range(12))
def test_nasbench101(seed: int) -> None:
    family = NASBench101()
    cell = family.sample(random.Random(seed))
    graph, captured = family.graph(cell), capture_module(family.module(cell), (3, 32, 32))
    assert captured.hash == graph.hash
    view, expected = captured.paper_view(), graph.paper_view()
    assert (view.num_nodes, view.num_edges, view.num_weighted) == (
        expected.num_nodes,
        expected.num_edges,
        expected.num_weighted,
    )
    assert captured.macs == graph.macs
    assert captured.params == graph.params


def test_layers() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        nn.Conv2d(8, 8, (1, 3), padding="same", groups=8),
        nn.ReLU6(inplace=True),
        nn.Identity(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8, 10),
    )

    def write(b: GraphBuilder, x: int) -> int:
        x = b.relu(b.batch_norm(b.conv(x, 8, kernel=3, stride=2)))
        x = b.max_pool(x, kernel=2, stride=2)
        x = b.avg_pool(x, kernel=3, stride=1, padding=1, count_include_pad=False)
        x = b.relu6(b.conv(x, 8, kernel=(1, 3), groups=8, bias=True))
        x = b.add("adaptive_avg_pool", (b.add("identity", (x,)),), size=(1, 1))
        x = b.add("dropout", (b.add("reshape", (x,), shape=(1, 8)),), rate=0.2)
        return b.linear(x, 10)

    captured = capture(net, IMAGE)
    assert_same(captured.graph, built(write))
    assert captured.route == "meta"
    assert captured.failures == captured.warnings == ()
    assert dict(captured.custom) == {}
    assert captured.graph.scopes[1:4] == ("0", "1", "2")


def test_functional_style() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = F.conv2d(input=x, weight=self.conv.weight, bias=None, padding=(1, 1))
        x = F.max_pool2d(F.silu(x), kernel_size=3, stride=2, padding=1)
        x = F.interpolate(F.pad(x, (1, 1)), scale_factor=2, mode="bilinear")
        return F.softmax(F.linear(torch.flatten(x.mean(dim=[2, 3]), 1), self.fc.weight), dim=-1)

    net = Net(forward, conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(4, 5))

    def write(b: GraphBuilder, x: int) -> int:
        x = b.add("silu", (b.conv(x, 4, kernel=3, padding=1),))
        x = b.max_pool(x, kernel=3, stride=2, padding=1)
        x = b.add("pad", (x,), out_shape=(1, 4, 4, 6), padding=(1, 1))
        size = (8, 12)
        x = b.add("interpolate", (x,), out_shape=(1, 4, *size), size=size, mode="bilinear")
        return b.add("softmax", (b.linear(b.mean(x, (2, 3)), 5, bias=False),))

    assert_same(capture_module(net, IMAGE), built(write))


def test_branches_and_concat() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        left, right = self.a(x), self.b(x)
        return torch.cat([left + right, left * right, right - left, left / right], dim=-3)

    net = Net(forward, a=nn.Conv2d(3, 4, 1, bias=False), b=nn.Conv2d(3, 4, 3, 1, 1, bias=False))

    def write(b: GraphBuilder, x: int) -> int:
        left, right = b.conv(x, 4, kernel=1), b.conv(x, 4, kernel=3)
        parts = [b.join("add", left, right), b.join("mul", left, right)]
        parts += [b.add("sub", (right, left)), b.add("div", (left, right))]
        return b.concat(parts, dim=1)

    assert_same(capture_module(net, IMAGE), built(write))


def test_constants_are_no_operands() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("shift", torch.rand(3, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            ramp = torch.arange(8.0) * 2 - 1
            return 1 - (x + self.shift) * ramp.to(x.device) / 3 + 2

    def write(b: GraphBuilder, x: int) -> int:
        x = b.add("mul", (b.add("add", (x,)),))
        x = b.add("div", (x,), scalar=3.0)
        return b.add("add", (b.add("sub", (x,), scalar=1.0, reverse=True),), scalar=2.0)

    assert_same(capture_module(Scaled(), IMAGE), built(write))


def test_a_constant_that_decides_the_shape_is_seen() -> None:
    net = Net(lambda self, x: x.mean((2, 3), keepdim=True) + torch.ones(1, 3, 4, 4))

    def write(b: GraphBuilder, x: int) -> int:
        ones = b.add("parameter", shape=(1, 3, 4, 4), trainable=False)
        return b.join("add", b.mean(x, (2, 3), keepdim=True), ones)

    assert_same(capture_module(net, IMAGE), built(write))


def test_what_changes_nothing_is_not_recorded() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = (0 + x) * 1
        x = x.contiguous().to(torch.float32).reshape(1, 3, 8, 8).expand(1, 3, 8, 8)
        x = (x - 0).div(1).clone().permute(0, 1, 2, 3)[:, :, :8]
        assert x.size(1) == 3
        assert len(x.shape) == x.dim() == 4
        return torch.relu(x.float().detach())

    assert_same(capture_module(Net(forward), IMAGE), built(lambda b, x: b.relu(x)))


def test_python_sum_is_one_addition() -> None:
    net = Net(lambda self, x: sum([self.a(x), x, self.b(x), x]), a=nn.ReLU(), b=nn.Tanh())

    def write(b: GraphBuilder, x: int) -> int:
        return b.add("add", (b.relu(x), x, b.add("tanh", (x,)), x))

    assert_same(capture_module(net, IMAGE), built(write))


def test_a_running_total_in_place_is_one_addition() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        total = 0
        for f in (torch.relu, torch.tanh, torch.sigmoid):
            total += f(x)
        return total

    def write(b: GraphBuilder, x: int) -> int:
        return b.add("add", (b.relu(x), b.add("tanh", (x,)), b.add("sigmoid", (x,))))

    assert_same(capture_module(Net(forward), IMAGE), built(write))


def test_written_additions_stay_binary() -> None:
    net = Net(lambda self, x: x.relu() + x.tanh() + x.sigmoid())

    def write(b: GraphBuilder, x: int) -> int:
        first = b.join("add", b.relu(x), b.add("tanh", (x,)))
        return b.join("add", first, b.add("sigmoid", (x,)))

    assert_same(capture_module(net, IMAGE), built(write))


def test_a_finished_total_is_an_ordinary_operand() -> None:
    net = Net(lambda self, x: sum([x, x.relu()]) + x)

    def write(b: GraphBuilder, x: int) -> int:
        return b.join("add", b.join("add", x, b.relu(x)), x)

    assert_same(capture_module(net, IMAGE), built(write))


def test_a_total_that_is_read_in_between_is_not_merged() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        total = 0 + x
        total = total + x.relu()
        return total + total.tanh()

    def write(b: GraphBuilder, x: int) -> int:
        total = b.join("add", x, b.relu(x))
        return b.join("add", total, b.add("tanh", (total,)))

    assert_same(capture_module(Net(forward), IMAGE), built(write))


def test_slices() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        a = x[:, :2]
        b = x[:, -2:, ..., 1:7:2]
        c, d = x.chunk(2, dim=2)
        e = x[0, None, :, 3]
        f = x.select(1, -1)
        return a, b, c + d, e, f, x[..., :100]

    def write(b: GraphBuilder, x: int) -> tuple[int, ...]:
        def cut(shape: tuple[int, ...], *spec: tuple[int, int, int | None, int]) -> int:
            return b.add("slice", (x,), out_shape=shape, spec=spec)

        e = cut((3, 8), (0, 0, None, 0), (2, 3, None, 0))
        return (
            cut((1, 2, 8, 8), (1, 0, 2, 1)),
            cut((1, 2, 8, 3), (1, 1, 3, 1), (3, 1, 7, 2)),
            b.join("add", cut((1, 3, 4, 8), (2, 0, 4, 1)), cut((1, 3, 4, 8), (2, 4, 8, 1))),
            b.add("reshape", (e,), shape=(1, 3, 8)),
            cut((1, 8, 8), (1, 2, None, 0)),
            x,
        )

    assert_same(capture_module(Net(forward), IMAGE), built(write))


def test_layout() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = x.transpose(1, 2).flatten(2).unsqueeze(1)
        z = x.permute(0, 3, 1, 2).movedim(1, -1).mT
        w = torch.stack([x, x], dim=-1).repeat(1, 1, 1, 1, 2)
        return y, z, w, F.pixel_shuffle(x.expand(4, 3, 8, 8).reshape(1, 12, 8, 8), 2)

    def write(b: GraphBuilder, x: int) -> tuple[int, ...]:
        y = b.add("permute", (x,), dims=(0, 2, 1, 3))
        y = b.add("reshape", (y,), shape=(1, 8, 24))
        z = b.add("permute", (x,), dims=(0, 3, 1, 2))
        z = b.add("permute", (z,), dims=(0, 2, 3, 1))
        w = b.add("stack", (x, x), dim=4)
        v = b.add("reshape", (b.add("expand", (x,), shape=(4, 3, 8, 8)),), shape=(1, 12, 8, 8))
        return (
            b.add("reshape", (y,), shape=(1, 1, 8, 24)),
            b.add("permute", (z,), dims=(0, 1, 3, 2)),
            b.add("repeat", (w,), repeats=(1, 1, 1, 1, 2)),
            b.add("pixel_shuffle", (v,), factor=2),
        )

    assert_same(capture_module(Net(forward), IMAGE), built(write))


def test_a_product_with_zero() -> None:
    net = Net(lambda self, x: x.mul(0.0) + x)
    assert_same(
        capture_module(net, IMAGE), built(lambda b, x: b.join("add", b.add("zero", (x,)), x))
    )


def test_clips_have_one_name() -> None:
    net = Net(lambda self, x: (x.clamp(0, 6), x.clamp_min(0), F.hardtanh(x, 0.0, 6.0)))

    def write(b: GraphBuilder, x: int) -> tuple[int, ...]:
        return b.relu6(x), b.relu(x), b.relu6(x)

    assert_same(capture_module(net, IMAGE), built(write))


def test_several_inputs_keywords_and_dictionaries() -> None:
    def write(b: GraphBuilder, x: int, y: int) -> int:
        return b.join("add", b.relu(x), y)

    expected = built(write, IMAGE, IMAGE)
    x = torch.zeros(1, *IMAGE)
    two = Net(lambda self, x, y: x.relu() + y)
    assert_same(capture_module(two, (IMAGE, IMAGE)), expected)
    assert_same(capture_module(two, inputs=(x, x.clone())), expected)
    assert_same(capture_module(two, inputs=x, kwargs={"y": x.clone()}), expected)
    assert_same(capture_module(two, kwargs={"x": x, "y": x.clone()}), expected)
    nested = Net(lambda self, d: {"out": [d["x"].relu() + d["more"][0]]})
    assert_same(capture_module(nested, inputs={"x": x, "more": [x.clone()]}), expected)
    twice = capture_module(two, inputs=(x, x))
    assert_same(twice, built(lambda b, x: b.join("add", b.relu(x), x)))


def test_integer_inputs() -> None:
    net = nn.Sequential(nn.Embedding(100, 16), nn.Linear(16, 4))
    graph = capture_module(net, inputs=torch.zeros(1, 7, dtype=torch.long))
    b = GraphBuilder()
    x = b.input((1, 7), dtype="int64")
    x = b.add("embedding", (x,), out_shape=(1, 7, 16), entries=100, features=16)
    assert_same(graph, b.build(b.linear(x, 4)))


def test_parameters_used_directly() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Parameter(torch.zeros(1, 1, 6))
            self.position = nn.Parameter(torch.zeros(1, 9, 6))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.first.expand(len(x), -1, -1), x], dim=1) + self.position[:, :5]

    def write(b: GraphBuilder, x: int) -> int:
        first = b.add("parameter", shape=(1, 1, 6))
        position = b.add("parameter", shape=(1, 9, 6))
        position = b.add("slice", (position,), out_shape=(1, 5, 6), spec=((1, 0, 5, 1),))
        return b.join("add", b.concat([first, x]), position)

    graph = capture_module(Tokens(), (4, 6))
    assert_same(graph, built(write, (4, 6)))
    assert graph.params == 60


def test_the_name_defaults_to_the_class() -> None:
    assert capture_module(nn.ReLU(), IMAGE).name == "ReLU"
    assert capture_module(nn.ReLU(), IMAGE, name="mine").name == "mine"


def test_a_network_without_operations() -> None:
    assert_same(capture_module(nn.Sequential(), IMAGE), built(lambda b, x: x))


def test_unknown_functions_are_kept_under_their_own_name() -> None:
    captured = capture(Net(lambda self, x: torch.fft.fft2(x).abs().relu()), IMAGE)
    assert [node.op for node in captured.graph.nodes] == [
        "input",
        "custom",
        "unary",
        "relu",
        "output",
    ]
    assert list(captured.custom.values()) == [1]
    assert "fft2" in next(iter(captured.custom))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_inputs_take_the_data_type_of_the_network(dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).to(dtype)
    graph = capture_module(net, IMAGE)
    assert graph.nodes[0].attr("dtype") == str(dtype).removeprefix("torch.")
