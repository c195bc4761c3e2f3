"""Unusual modules: the right route or one clear error, and nothing is changed either way."""

import io
from collections.abc import Callable

import pytest
import torch
from fingerprints import untouched
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import CaptureError, InvalidInputError
from networks import IMAGE, Net
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore")


class Counting(nn.Module):
    """Changes itself in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("seen", torch.zeros(()))
        self.history: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        self.history.append(x)
        self.late = nn.ReLU()
        self.conv.weight.data.add_(1)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_grad_enabled(True)
        return self.late(self.conv(x))


def scripted_part() -> nn.Module:
    part = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    return nn.Sequential(torch.jit.script(part.train()), nn.ReLU())


def frozen() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    return torch.jit.freeze(torch.jit.script(net))


class Branches(nn.Module):
    """What quantisation has operators of its own for."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU())
        self.right = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.join = torch.ao.nn.quantized.FloatFunctional()
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.left(x)
        y = self.join.add_relu(y, self.right(x))
        y = self.join.cat([y, y], dim=1)
        return self.head(y.mean((2, 3)))


def quantised() -> nn.Module:
    engines = torch.backends.quantized.supported_engines
    torch.backends.quantized.engine = next(e for e in engines if e != "none")
    tools = torch.ao.quantization
    net = tools.fuse_modules(Branches().eval(), [["left.0", "left.1"]])
    net = tools.QuantWrapper(net)
    net.qconfig = tools.default_qconfig
    tools.prepare(net, inplace=True)
    net(torch.rand(1, *IMAGE))
    return tools.convert(net).eval()


def dynamically_quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 4)), {nn.Linear})


def with_frozen_parameters() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    net[0].requires_grad_(False)
    net[1].eval()
    return net


CONV = 4 * 27 + 4
#: How to build one, and its route and parameters.
CAPTURED: dict[str, tuple[Callable[[], nn.Module], str, int]] = {
    "changes itself": (Counting, "meta", CONV),
    "scripted part": (scripted_part, "dispatch", CONV + 8),
    "frozen script": (frozen, "dispatch", CONV),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU()), "meta", CONV),
    "flags": (with_frozen_parameters, "meta", CONV + 8),
    "quantised": (quantised, "real", 2 * CONV + 18),
    "dynamically quantised": (dynamically_quantised, "fake", 36),
}
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "cuda": (
        lambda: Net(lambda self, x: self.conv(x.cuda()), conv=nn.Conv2d(3, 4, 3)),
        "asks for device 'cuda' by name",
    ),
    "raises": (
        lambda: Net(lambda self, x: self.conv(x).shape[9], conv=nn.Conv2d(3, 4, 3)),
        "IndexError",
    ),
    "packed for oneDNN": (
        lambda: torch.jit.optimize_for_inference(torch.jit.script(nn.Conv2d(3, 4, 3).eval())),
        "packed for oneDNN: give the script as it was before",
    ),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_captured(name: str) -> None:
    build, route, params = CAPTURED[name]
    net = build()
    with untouched(net):
        captured = capture(net, IMAGE)
    assert captured.route == route
    assert captured.graph.params == params


def test_a_quantised_network_is_the_network_in_real_numbers() -> None:
    """But for the change of data types at its ends."""
    expected, captured = capture(Branches(), IMAGE), capture(quantised(), IMAGE)
    assert not captured.custom
    assert captured.graph.macs == expected.graph.macs
    # Fusing leaves identities behind.
    views = [
        [op.name for op in c.graph.paper_view().ops if op.name != "Identity"]
        for c in (expected, captured)
    ]
    assert views[0] == views[1]


def test_functions_are_no_networks() -> None:
    for function in (torch.jit.script(plain_function), plain_function):
        with pytest.raises(InvalidInputError, match="give a module whose forward calls it"):
            capture(function, IMAGE)
        net = Net(lambda self, x, called=function: called(x))
        assert [n.op for n in capture(net, IMAGE).graph.nodes[1:-1]] == ["relu", "add"]


def plain_function(x: Tensor) -> Tensor:
    return torch.relu(x) + 1


def test_frozen_scripts_keep_their_weights() -> None:
    """Also as a part, and from a file; batch norms are folded into the convolutions before them."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    ).eval()
    expected = capture(net, IMAGE).graph
    script = torch.jit.freeze(torch.jit.script(net))
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    buffer.seek(0)
    traced = torch.jit.freeze(torch.jit.trace(net, torch.zeros(1, *IMAGE)))
    for made in (script, traced, torch.jit.load(buffer), nn.Sequential(script)):
        captured = capture(made, IMAGE)
        ops = [n.op for n in captured.graph.nodes[1:-1]]
        assert ops == ["conv", "relu", "reshape", "linear"]
        assert captured.graph.params == expected.params - 8
        assert captured.graph.macs == expected.macs
        assert "does not tell weights from constants" in captured.warnings[0]


def test_constants_beside_parameters_are_no_weights() -> None:
    net = nn.Conv2d(3, 4, 3).eval()
    traced = torch.jit.trace(
        Net(lambda self, x: self.conv(x) * torch.ones(6), conv=net).eval(), torch.zeros(1, *IMAGE)
    )
    captured = capture(traced, IMAGE)
    assert captured.graph.params == CONV
    assert captured.warnings == ()


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    build, message = REFUSED[name]
    net = build()
    with untouched(net), pytest.raises(CaptureError, match=message) as caught:
        capture(net, IMAGE)
    assert "\n" not in str(caught.value)
