"""Scripted and traced modules, which only the dispatcher sees."""

from collections.abc import Callable

import pytest
import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import CaptureError
from networks import IMAGE
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore")

NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "relu": (nn.ReLU(), IMAGE),
    "convolutions": (
        nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.SiLU(inplace=True),
            nn.ConvTranspose2d(8, 4, 2, 2),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1),
        ),
        IMAGE,
    ),
    "norms": (
        nn.Sequential(nn.LayerNorm(8), nn.GELU(), nn.GroupNorm(1, 3), nn.Softmax(-1)),
        IMAGE,
    ),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Hardswish()), IMAGE),
}


def traced(net: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    return torch.jit.trace(net, torch.zeros(1, *shape), check_trace=False)


@pytest.mark.parametrize("how", [lambda net, shape: torch.jit.script(net), traced])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_is_the_modules(name: str, how: Callable[..., nn.Module]) -> None:
    net, shape = NETWORKS[name]
    expected = capture(net.eval(), shape).graph
    captured = capture(how(net.eval(), shape), shape)
    assert captured.route == "dispatch"
    assert captured.failures == captured.warnings == ()
    assert not captured.custom
    assert (captured.graph.macs, captured.graph.params) == (expected.macs, expected.params)
    views = captured.graph.paper_view(), expected.paper_view()
    assert views[0].num_nodes == views[1].num_nodes
    assert views[0].num_edges == views[1].num_edges


def test_attention_is_counted() -> None:
    net = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    expected = capture(net, (7, 16)).graph
    captured = capture(torch.jit.script(net), (7, 16))
    assert not captured.custom
    assert (captured.graph.macs, captured.graph.params) == (expected.macs, expected.params)


def test_recurrent_layers_are_counted() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 16, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(x)[0][:, -1]

    expected = capture(Last(), (5, 8)).graph
    captured = capture(torch.jit.script(Last()), (5, 8))
    assert (captured.graph.macs, captured.graph.params) == (expected.macs, expected.params)


def test_a_scripted_part() -> None:
    part = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train())
    net = nn.Sequential(nn.Conv2d(3, 3, 1), part, nn.ReLU())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    captured = capture(net, IMAGE)
    assert [n.op for n in captured.graph.nodes[1:-1]] == ["conv", "conv", "batch_norm", "relu"]
    assert captured.graph.scopes[1] == "0"
    assert captured.graph.params == sum(p.numel() for p in net.parameters())
    assert part.training
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())


def test_errors_of_scripted_code() -> None:
    net = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(
        CaptureError, match=r"expected input.* to have 3 channels, but got 5"
    ) as caught:
        capture(net, (5, 8, 8))
    assert "\n" not in str(caught.value)


def test_the_limit_holds_for_scripted_code() -> None:
    class Endless(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            while True:
                x = x.relu()
            return x

    with pytest.raises(CaptureError, match="more than 100 operations"):
        capture(torch.jit.script(Endless()), IMAGE, max_nodes=100)
