"""Every refusal is one clear message."""

import logging

import pytest
import torch
from gennape_plugin.adapters.torch import capture, capture_module
from gennape_plugin.core.errors import CaptureError, GennapeError, InvalidInputError
from networks import IMAGE, Net
from torch import Tensor, nn


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Flatten(), nn.Linear(9, 2)
    )


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.ReLU, r"got the class ReLU, not a network: call it first, ReLU\(\.\.\.\)"),
        ("resnet18", "a network is a torch.nn.Module, got str: 'resnet18'"),
        (None, "a network is a torch.nn.Module, got NoneType"),
    ],
)
def test_not_a_module(module: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        capture_module(module, IMAGE)


@pytest.mark.parametrize(
    "shape", [5, "3,8,8", (3, -1, 8), (3, 8.0, 8), ((3, 8, 8), 5), (3, True), {3: 8}, (0, 8)]
)
def test_not_a_shape(shape: object) -> None:
    with pytest.raises(InvalidInputError, match="input_shape is the shape of one sample"):
        capture_module(nn.ReLU(), shape)


def test_shape_or_examples() -> None:
    for kwargs in ({}, {"input_shape": IMAGE, "inputs": torch.zeros(1)}):
        with pytest.raises(InvalidInputError, match="either input_shape"):
            capture_module(nn.ReLU(), **kwargs)
    with pytest.raises(InvalidInputError, match="hold no tensor"):
        capture_module(nn.ReLU(), inputs=(1, 2))
    with pytest.raises(InvalidInputError, match="keyword arguments"):
        capture_module(nn.ReLU(), kwargs=[torch.zeros(1)])


def test_a_wrong_input_shape_names_the_layer() -> None:
    with pytest.raises(CaptureError) as caught:
        capture_module(conv_net(), (5, 8, 8))
    message = str(caught.value)
    assert "in submodule '0.0' on input of shape (1, 5, 8, 8)" in message
    assert "to have 3 channels, but got 5 channels instead" in message
    assert "check input_shape" in message
    assert "\n" not in message


def test_a_wrong_size_before_a_linear_layer() -> None:
    with pytest.raises(CaptureError, match=r"in submodule '2' .* mat1 and mat2 shapes"):
        capture_module(conv_net(), IMAGE)


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.BatchNorm2d(4), IMAGE),
        (nn.LayerNorm(9), IMAGE),
        (nn.GroupNorm(2, 4), IMAGE),
        (nn.MaxPool2d(9), IMAGE),
        (Net(lambda self, x: x + x[:, :2]), IMAGE),
        (Net(lambda self, x: torch.cat([x, x[:, :, 1:]], 1)), IMAGE),
        (Net(lambda self, x: x.view(7, 7)), IMAGE),
        (nn.Conv1d(3, 4, 1), IMAGE),
        (nn.PReLU(5), IMAGE),
        (nn.Embedding(5, 2), IMAGE),
    ],
)
def test_shape_errors_are_those_of_torch(net: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(Exception, match=r".") as expected:
        net.eval()(torch.rand(1, *shape))
    with pytest.raises(CaptureError) as caught:
        capture_module(net, shape)
    assert str(expected.value).strip().split("\n")[0] in str(caught.value)


def test_a_forward_that_raises() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        raise KeyError("missing")

    with pytest.raises(
        CaptureError, match=r"forward of Net failed on input .* KeyError: 'missing'"
    ):
        capture_module(Net(forward), IMAGE)


def test_a_forward_with_other_arguments() -> None:
    with pytest.raises(CaptureError, match="give one shape for each input"):
        capture_module(nn.Bilinear(3, 3, 1), (3,))


def test_no_forward() -> None:
    with pytest.raises(CaptureError, match="NotImplementedError"):
        capture_module(nn.ModuleList([nn.ReLU()]), IMAGE)


@pytest.mark.parametrize("result", [None, 3, "text", []])
def test_no_tensor_returned(result: object) -> None:
    with pytest.raises(CaptureError, match="returns no tensor but"):
        capture_module(Net(lambda self, x: result), IMAGE)


def test_the_input_is_ignored() -> None:
    net = Net(lambda self, x: self.fc.weight * 2, fc=nn.Linear(2, 2))
    with pytest.raises(
        CaptureError, match=r"no output of Net depends on its input of shape \(1, 3"
    ):
        capture_module(net, IMAGE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: x + torch.zeros(3, 8, 8, device="cuda"),
        lambda self, x: x.cuda(),
        lambda self, x: x.to("cuda:0").relu(),
        lambda self, x: x.to(device=torch.device("cuda")),
    ],
)
def test_a_device_by_name(forward: object) -> None:
    with pytest.raises(
        CaptureError, match=r"asks for device 'cuda(:0)?' by name, and this machine"
    ):
        capture_module(Net(forward), IMAGE)


def test_indices_need_examples() -> None:
    with pytest.raises(CaptureError, match=r"give inputs=torch\.zeros\(\.\.\., dtype=torch\.long"):
        capture_module(nn.Embedding(10, 4), (5,))


def test_what_torch_does_not_show() -> None:
    net = Net(lambda self, x: torch.vmap(torch.relu)(x))
    with pytest.raises(CaptureError, match="computes where torch does not show it"):
        capture_module(net, IMAGE)


def test_too_many_operations() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        while True:
            x = x.relu()

    with pytest.raises(CaptureError, match="more than 500 operations"):
        capture(Net(forward), IMAGE, max_nodes=500)


def test_errors_chain_to_their_cause() -> None:
    with pytest.raises(GennapeError) as caught:
        capture_module(conv_net(), (5, 8, 8))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert isinstance(caught.value, RuntimeError)


def test_weights_too_large_for_real_tensors() -> None:
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(8, 1 << 32), nn.ReLU())
    net.append(Net(lambda self, x: x[x > 0]))
    with pytest.raises(CaptureError, match="too large to try real tensors"):
        capture_module(net, (8,))


def test_torch_logs_nothing_of_routes_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before = log.disabled
    log.addHandler(caplog.handler)
    try:
        with pytest.raises(CaptureError, match="cannot be multiplied"):
            capture_module(nn.Linear(4, 4), (3, 32, 32))
    finally:
        log.removeHandler(caplog.handler)
    assert caplog.records == []
    assert log.disabled == before
