"""A capture changes nothing: not the module, not the random generators, not torch's defaults."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fingerprints import fingerprint, global_state
from gennape_plugin.adapters.torch import capture, capture_module
from gennape_plugin.core.errors import CaptureError
from networks import IMAGE, Net
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class Stateful(nn.Module):
    """Changes everything it can reach while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("ema", torch.ones(4))
        self.plain = torch.ones(3)
        self.calls = 0
        self.log: list[str] = []
        self.memory: dict[str, Any] = {"inner": {"count": [0]}, "layers": [self.conv]}
        self.conv.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.steps += 1
        self.ema.mul_(0.9).add_(x.mean() * 0.1)
        self.plain[0] = 7
        self.log.append("called")
        self.memory["inner"]["count"][0] += 1
        self.memory["new"] = x
        self.conv.weight.data.mul_(0.5)
        self.norm.train()
        self.extra = nn.ReLU()
        random.random()
        np.random.rand()
        torch.set_default_dtype(torch.float64)
        y = x + torch.randn_like(x)
        y = self.norm(self.conv(y))
        self.conv.register_forward_hook(lambda *args: None)
        return y


class Valued(Stateful):
    """The same on real tensors only."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if float(x.sum()) > 1e9 else y + torch.rand(4, 1, 1)


def with_hooks() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    net[0].register_forward_hook(lambda module, args, output: output * 2)
    net[1].register_forward_pre_hook(lambda module, args: None)
    return net


def nested_training_flags() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Sequential())
    net.train()
    net[1].eval()
    return net


@pytest.mark.parametrize(
    "build",
    [
        Stateful,
        Valued,
        with_hooks,
        nested_training_flags,
        lambda: parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)),
        lambda: Net(lambda self, x: self.lstm(x[:, 0])[0], lstm=nn.LSTM(8, 5)),
    ],
)
def test_the_module_is_untouched(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = build()
    before, outside = fingerprint(net), global_state()
    first = capture_module(net, IMAGE)
    assert fingerprint(net) == before
    assert global_state() == outside
    assert capture_module(net, IMAGE) == first


def test_the_real_route_leaves_the_module_alone() -> None:
    net = Valued()
    before = fingerprint(net)
    captured = capture(net, IMAGE)
    assert captured.route == "real"
    assert fingerprint(net) == before


def test_a_failing_forward_leaves_the_module_alone() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        self.conv.weight.data.zero_()
        random.random()
        raise ValueError("broken")

    net = Net(forward, conv=nn.Conv2d(3, 4, 3))
    before, outside = fingerprint(net), global_state()
    with pytest.raises(CaptureError, match="broken"):
        capture_module(net, IMAGE)
    assert fingerprint(net) == before
    assert global_state() == outside


def test_example_inputs_are_untouched() -> None:
    x = torch.ones(1, *IMAGE, requires_grad=True)
    batch = {"x": x, "more": [torch.zeros(1, *IMAGE)]}
    before = fingerprint(batch)
    capture_module(Net(lambda self, b: b["x"].mul(2).add_(b["more"][0].relu_())), inputs=batch)
    capture_module(Net(lambda self, x: x + x.sum().item()), inputs=x)
    assert fingerprint(batch) == before


def test_no_weights_are_allocated() -> None:
    # 4 TB of weights: any real copy, or kernel, would fail.
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(1 << 20, 1 << 20), nn.ReLU())
    graph = capture_module(net, (1 << 20,))
    assert graph.params == (1 << 40) + (1 << 20)


def test_the_module_still_trains() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 1))
    capture_module(net, IMAGE)
    net(torch.ones(2, *IMAGE)).sum().backward()
    assert net[0].weight.grad is not None


def test_captures_inside_other_contexts() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    expected = capture_module(net, IMAGE)
    with torch.device("meta"):
        assert capture_module(net, IMAGE) == expected
    with torch.inference_mode():
        assert capture_module(net, IMAGE) == expected
    with torch.autocast("cpu"):
        assert capture_module(net, IMAGE) == expected
