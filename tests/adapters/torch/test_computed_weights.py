"""Weights, biases and options that are computed, constant or unusual stay in the graph."""

from collections.abc import Callable

import pytest
import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import RebuildError
from networks import Net
from torch import Tensor, nn
from torch.nn import functional as F

TABLE = nn.Embedding(6, 4)


def linear(out: int) -> nn.Linear:
    return nn.Linear(4, out)


@pytest.mark.parametrize(
    ("forward", "part"),
    [
        (lambda self, x: F.embedding(torch.arange(2), self.part(x)), linear(3)),
        (lambda self, x: F.bilinear(x, x, self.part(x).view(2, 4, 4)[:, :, :4]), linear(8)),
        (lambda self, x: F.prelu(x, self.part(x).view(-1)[:4]), linear(1)),
        (
            lambda self, x: torch.gru(
                x[None], torch.zeros(1, 1, 2), [self.part(x).view(6, 4), torch.zeros(6, 2)],
                False, 1, 0.0, False, False, True,
            )[0],
            linear(6),
        ),
        (
            lambda self, x: F.embedding_bag(
                torch.zeros(4, 1, dtype=torch.long), torch.zeros(3, 2), mode="sum",
                per_sample_weights=self.part(x),
            ),
            linear(1),
        ),
    ],
    ids=["embedding", "bilinear", "prelu", "gru", "bag"],
)  # fmt: skip
def test_what_is_computed_from_an_input_still_depends_on_it(
    forward: Callable[[nn.Module, Tensor], Tensor], part: nn.Linear
) -> None:
    graph = capture(Net(forward, part=part), inputs=torch.randn(4, 4)).graph
    assert "linear" in [node.op for node in graph.nodes]
    assert graph.params == sum(p.numel() for p in part.parameters())


@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_with_a_computed_bias_counts(transposed: bool) -> None:
    function = F.conv_transpose2d if transposed else F.conv2d

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return function(x, self.conv.weight, self.gate(x.mean((0, 2, 3))))

    conv = (nn.ConvTranspose2d if transposed else nn.Conv2d)(4, 4, 3, bias=False)
    graph = capture(Net(forward, conv=conv, gate=nn.Linear(4, 4)), (4, 8, 8)).graph
    plain = capture(conv, (4, 8, 8)).graph
    assert graph.macs == plain.macs + 16
    assert graph.params == plain.params + 20


def test_constants_are_no_parameters() -> None:
    class Constants(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))
            self.register_buffer("shift", torch.zeros(8))
            self.register_buffer("table", torch.zeros(10, 8))
            self.conv = nn.Conv1d(8, 8, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            x = F.layer_norm(
                x + F.embedding(torch.arange(6), self.table), (8,), self.scale, self.shift
            )
            x = F.batch_norm(x.transpose(1, 2), self.shift, self.scale.detach(), None, self.shift)
            return F.conv1d(x, self.conv.weight, self.shift)

    assert capture(Constants().eval(), (6, 8)).graph.params == 8 + 8 * 8 * 3


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.interpolate(x, size=(5, 5), mode="bilinear", antialias=True),
        lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"),
        lambda x: F.avg_pool2d(x, 2, divisor_override=3),
        lambda x: torch.round(x, decimals=1),
        lambda x: torch.logit(x, eps=0.1),
        lambda x: torch.nan_to_num(x, posinf=1.0),
        lambda x: F.softplus(x, threshold=3),
        lambda x: x.nansum(dim=1),
        lambda x: x.nanmean(dim=1),
    ],
)
def test_options_that_the_graph_does_not_hold_are_not_rebuilt_without(
    function: Callable[[Tensor], Tensor],
) -> None:
    graph = capture(Net(lambda self, x: function(x)), (3, 8, 8)).graph
    with pytest.raises(RebuildError):
        graph.to_module()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.interpolate(x, size=(5, 7), mode="bilinear"),
        lambda x: F.interpolate(x, scale_factor=1.3, recompute_scale_factor=True, mode="bilinear"),
        lambda x: F.normalize(x, eps=10.0),
        lambda x: torch.round(x, decimals=0),
        lambda x: F.avg_pool2d(x, 2),
    ],
)
def test_the_usual_forms_are_rebuilt_exactly(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(1, 3, 10, 10)
    module = capture(Net(lambda self, x: function(x)), (3, 10, 10)).graph.to_module()
    torch.testing.assert_close(module(x), function(x))


@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda x, w: torch.tensordot(x, w, 1), 3 * 8 * 8 * 8),
        (lambda x, w: torch.tensordot(x, w, dims=([2], [1])), 3 * 8 * 8 * 8),
        (lambda x, w: torch.tensordot(x, x, dims=([1, 2], [1, 2])), 3 * 64 * 3),
        (torch.inner, 3 * 8 * 8 * 8),
        (lambda x, w: torch.linalg.multi_dot([x[0], w, x[1]]), 2 * 8**3),
        (lambda x, w: torch.addbmm(w, x, x, beta=0.5, alpha=2.0), 3 * 8**3),
    ],
)
def test_products_count_and_are_rebuilt(
    function: Callable[[Tensor, Tensor], Tensor], macs: int
) -> None:
    net = Net(lambda self, x: function(x, self.part.weight), part=nn.Linear(8, 8, bias=False))
    x = torch.randn(3, 8, 8)
    graph = capture(net, inputs=x).graph
    assert graph.macs == macs
    assert "custom" not in [node.op for node in graph.nodes]
    module = graph.to_module()
    for parameter in module.parameters():
        parameter.data = net.part.weight.data
    out = module(x)
    assert out.shape == function(x, net.part.weight).shape
