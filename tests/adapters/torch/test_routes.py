"""Meta tensors first, then fake ones, then real ones."""

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.captured import Capture
from networks import IMAGE, Net, assert_same, built
from torch import Tensor, nn


def ops(captured: Capture) -> list[str]:
    return [node.op for node in captured.graph.nodes[1:-1]]


def test_meta_is_enough_for_most() -> None:
    captured = capture(nn.ReLU(), IMAGE)
    assert captured.route == "meta"
    assert captured.failures == ()


def test_fake_tensors_know_a_device() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.conv(x).relu()

    def write(b: object, x: int) -> int:
        return b.relu(b.conv(x, 4, kernel=1, bias=True))

    captured = capture(Net(forward, conv=nn.Conv2d(3, 4, 1)), IMAGE)
    assert captured.route == "fake"
    assert len(captured.failures) == 1
    assert captured.failures[0].startswith("meta: RuntimeError")
    assert_same(captured.graph, built(write))


@pytest.mark.parametrize(
    "decide",
    [
        lambda x: x.sum() > -1e9,
        lambda x: x.abs().max().item() > -1,
        lambda x: int(x.argmax()) >= 0,
        lambda x: len(x.flatten().tolist()) > 0,
        lambda x: not torch.equal(x, x + 1),
    ],
)
def test_control_flow_by_data_takes_one_branch_and_says_so(decide: object) -> None:
    captured = capture(Net(lambda self, x: x.relu() if decide(x) else x.tanh()), IMAGE)
    assert captured.route == "real"
    assert len(captured.failures) == 2
    assert ops(captured) == ["relu"]
    assert "the branch taken depends on the data" in captured.warnings[0]


def test_a_mask_decides_on_shapes() -> None:
    captured = capture(Net(lambda self, x: x[x > 0].relu()), IMAGE)
    assert captured.route == "real"
    assert "depends on the data" in captured.warnings[0]


def test_values_of_constants_are_no_data() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        rates = [rate.item() for rate in torch.linspace(0, 1, 3)]
        return x * rates[1]

    captured = capture(Net(forward), IMAGE)
    assert captured.warnings == ()
    assert_same(captured.graph, built(lambda b, x: b.add("mul", (x,), scalar=0.5)))


def test_buffers_hold_their_values_on_real_tensors() -> None:
    class Depth(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("depth", torch.tensor(3))

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(int(self.depth)):
                x = x.relu()
            return x

    captured = capture(Depth(), IMAGE)
    assert ops(captured) == ["relu"] * 3
    assert captured.warnings == ()


def test_examples_keep_their_values_on_real_tensors() -> None:
    def forward(self: nn.Module, x: Tensor, n: Tensor) -> Tensor:
        for _ in range(int(n)):
            x = x.relu()
        return x

    captured = capture(Net(forward), inputs=(torch.zeros(1, 4), torch.tensor(2)))
    assert ops(captured) == ["input", "relu", "relu"]


def test_numpy_in_forward() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return x + torch.from_numpy(np.ones(x.shape, dtype=np.float32)) * float(np.sqrt(4))

    captured = capture(Net(forward), IMAGE)
    assert ops(captured) == ["add"]


def test_packed_sequences() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        lengths = torch.tensor([5])
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        out, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return out

    captured = capture(Net(forward, rnn=nn.LSTM(3, 4)), (5, 3))
    assert "lstm" in ops(captured)
    assert captured.graph.params == sum(p.numel() for p in nn.LSTM(3, 4).parameters())


def test_real_runs_are_repeatable() -> None:
    net = Net(lambda self, x: x.relu() if x.sum() > 0 else x.tanh())
    assert capture(net, IMAGE).graph == capture(net, IMAGE).graph
