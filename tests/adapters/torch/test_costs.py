"""Multiply-adds and parameters against torch's own counter, on networks run for real."""

import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.adapters.torch import capture_module
from networks import Net
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def residual() -> nn.Module:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.first(x)))
        return self.head((self.second(y) + self.shortcut(x)).mean((2, 3)))

    return Net(
        forward,
        first=nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        norm=nn.BatchNorm2d(8),
        second=nn.Conv2d(8, 8, 5, padding=4, dilation=2, groups=4),
        shortcut=nn.Conv2d(3, 8, 1, 2),
        head=nn.Linear(8, 10),
    )


def decoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1),
        nn.GroupNorm(2, 6),
        nn.ConvTranspose2d(6, 4, 4, 2, 1, groups=2),
        nn.InstanceNorm2d(4, affine=True),
        nn.PReLU(4),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 1, 3, padding="same"),
    )


def one_and_three_axes() -> nn.Module:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = self.line(x.flatten(2))
        z = self.volume(x.unsqueeze(2))
        return self.back(y), z.mean((2, 3, 4))

    return Net(
        forward,
        line=nn.Conv1d(3, 4, 5, 3, 2),
        back=nn.ConvTranspose1d(4, 2, 3, 2),
        volume=nn.Conv3d(3, 4, (1, 3, 3), padding=(0, 1, 1)),
    )


def attention() -> nn.Module:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.position
        q, k, v = self.qkv(tokens).view(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1) / 2).softmax(-1)
        mixed = (scores @ v).transpose(1, 2).reshape(1, -1, 8)
        mixed = mixed + F.scaled_dot_product_attention(tokens, tokens, tokens)
        return self.norm(torch.einsum("bnc,bnd->bcd", mixed, tokens))

    net = Net(forward, patch=nn.Conv2d(3, 8, 4, 4), qkv=nn.Linear(8, 24), norm=nn.LayerNorm(8))
    net.position = nn.Parameter(torch.zeros(1, 16, 8))
    return net


@pytest.mark.parametrize("build", [residual, decoder, one_and_three_axes, attention])
def test_costs(build: object) -> None:
    net = build().eval()
    graph = capture_module(net, (3, 16, 16))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.rand(1, 3, 16, 16))
    assert graph.flops == 2 * graph.macs == counter.get_total_flops()
    assert graph.params == sum(p.numel() for p in net.parameters())
