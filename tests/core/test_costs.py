"""Multiply-adds against torch's own counter, parameters against torch's own modules."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.core.costs import costs
from gennape_plugin.core.node import make_node
from gennape_plugin.core.ops import OPS
from gennape_plugin.core.shapes import Shape
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

few = st.integers(1, 4)


def flops(run: Callable[..., object], *shapes: Shape) -> int:
    with FlopCounterMode(display=False) as counter:
        run(*(torch.empty(shape, device="meta") for shape in shapes))
    return counter.get_total_flops()


def params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Shape, Shape, dict[str, Any]]:
    """The operand's shape, the kernel, the other attributes."""
    rank, groups = draw(st.integers(1, 3)), draw(few)
    kernel, stride, dilation, padding = (
        tuple(draw(st.integers(low, 3)) for _ in range(rank)) for low in (1, 1, 1, 0)
    )
    shape = (draw(few), groups * draw(few), *(draw(st.integers(7, 9)) for _ in range(rank)))
    attrs: dict[str, Any] = {
        "channels": groups * draw(few),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    return shape, kernel, attrs


@given(convolutions(), st.booleans())
def test_convolutions(case: tuple[Shape, Shape, dict[str, Any]], transposed: bool) -> None:
    shape, kernel, attrs = case
    kinds: tuple[Any, ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    extra: dict[str, Any] = {}
    if transposed:
        kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
        extra = {"output_padding": (0,) * len(kernel)}
    options = {name: value for name, value in attrs.items() if name != "channels"}
    kind = kinds[len(kernel) - 1]
    module = kind(shape[1], attrs["channels"], kernel, device="meta", **options)
    op = "conv_transpose" if transposed else "conv"
    node = make_node(op, {**attrs, **extra, "kernel": kernel}, (shape,))
    assert node.flops == 2 * node.macs == flops(module, shape)
    assert node.params == params(module)


def test_a_kernel_from_another_node_is_no_parameter() -> None:
    attrs: dict[str, Any] = {
        "channels": 5,
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
    }
    node = make_node("conv", attrs, ((2, 4, 8, 8), (5, 4, 3, 3)))
    assert node.params == 0
    assert node.flops == flops(F.conv2d, *node.in_shapes)


@given(st.lists(few, min_size=1, max_size=3), few, few, st.booleans())
def test_linear(lead: list[int], width: int, features: int, bias: bool) -> None:
    module = nn.Linear(width, features, bias=bias, device="meta")
    node = make_node("linear", {"features": features, "bias": bias}, ((*lead, width),))
    assert node.flops == flops(module, (*lead, width))
    assert node.params == params(module)


@given(st.lists(few, max_size=2), few, few, few, st.booleans())
def test_matmul(lead: list[int], m: int, k: int, n: int, spread: bool) -> None:
    a, b = (*lead, m, k), (*([1] * len(lead) if spread else lead), k, n)
    assert make_node("matmul", {}, (a, b)).flops == flops(torch.matmul, a, b)


@pytest.mark.parametrize(("a", "b", "macs"), [((5,), (5,), 5), ((2, 3, 5), (5,), 30)])
def test_matmul_with_vectors(a: Shape, b: Shape, macs: int) -> None:
    assert make_node("matmul", {}, (a, b)).macs == macs


@given(few, few, few, few, few, few)
def test_attention(batch: int, heads: int, queries: int, keys: int, width: int, out: int) -> None:
    lead = (batch, heads)
    shapes = ((*lead, queries, width), (*lead, keys, width), (*lead, keys, out))

    def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-2, -1)).softmax(-1) @ v

    assert make_node("attention", {}, shapes).flops == flops(written_out, *shapes)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))),
        ("bhid,bhjd->bhij", ((2, 3, 4, 5), (2, 3, 6, 5))),
        ("...ij, ...jk -> ...ik", ((7, 2, 3, 4), (7, 2, 4, 5))),
        ("ij,jk", ((3, 4), (4, 5))),
    ],
)
def test_einsum(equation: str, shapes: tuple[Shape, ...]) -> None:
    out = tuple(torch.einsum(equation, *(torch.zeros(s) for s in shapes)).shape)
    node = make_node("einsum", {"equation": equation}, shapes, out_shape=out)
    assert node.flops == flops(lambda *xs: torch.einsum(equation, *xs), *shapes)


@pytest.mark.parametrize("order", [1, -1])
def test_einsum_broadcasts_sizes_of_one(order: int) -> None:
    shapes = ((2, 3, 4), (1, 4, 5))
    equation = ("bij,bjk->bik", "bjk,bij->bik")[order < 0]
    node = make_node("einsum", {"equation": equation}, shapes[::order], out_shape=(2, 3, 5))
    assert node.macs == 2 * 3 * 4 * 5


def test_einsum_of_one_operand_multiplies_nothing() -> None:
    node = make_node("einsum", {"equation": "ij->ji"}, ((3, 4),), out_shape=(4, 3))
    assert (node.macs, node.params) == (0, 0)


RECURRENT: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@pytest.mark.parametrize("op", sorted(RECURRENT))
@given(few, st.integers(2, 5), st.integers(1, 3), st.booleans(), st.booleans(), st.booleans())
def test_recurrent_cells(
    op: str, width: int, hidden: int, layers: int, bias: bool, two_ways: bool, project: bool
) -> None:
    projection = hidden - 1 if project and op == "lstm" else 0
    extra = {"proj_size": projection} if op == "lstm" else {}
    module = RECURRENT[op](
        width, hidden, layers, bias=bias, bidirectional=two_ways, device="meta", **extra
    )
    steps, batch = 3, 2
    out = (steps, batch, (projection or hidden) * (2 if two_ways else 1))
    attrs = {
        "hidden": hidden,
        "layers": layers,
        "bias": bias,
        "bidirectional": two_ways,
        "projection": projection,
    }
    node = make_node(op, attrs, ((steps, batch, width),), out_shape=out)
    assert node.params == params(module)
    # One multiply-add for each weight and step: torch's counter does not know these kernels.
    weights = sum(p.numel() for name, p in module.named_parameters() if "weight" in name)
    assert node.macs == weights * steps * batch


def test_many_layers_cost_no_time() -> None:
    """A file may claim any number of layers."""
    attrs = {"hidden": 2, "layers": 1 << 40}
    node = make_node("lstm", attrs, ((3, 2, 2),), out_shape=(3, 2, 2))
    assert node.params == (1 << 40) * params(nn.LSTM(2, 2))


@pytest.mark.parametrize(
    ("op", "attrs", "shapes", "module"),
    [
        ("batch_norm", {}, ((2, 6, 4, 4),), nn.BatchNorm2d(6)),
        ("batch_norm", {"affine": False}, ((2, 6),), nn.BatchNorm1d(6, affine=False)),
        ("instance_norm", {"affine": True}, ((2, 6, 4),), nn.InstanceNorm1d(6, affine=True)),
        ("instance_norm", {}, ((2, 6, 4),), nn.InstanceNorm1d(6)),
        ("group_norm", {"groups": 3}, ((2, 6, 4, 4),), nn.GroupNorm(3, 6)),
        ("layer_norm", {"shape": (4, 6)}, ((2, 4, 6),), nn.LayerNorm((4, 6))),
        (
            "layer_norm",
            {"shape": (6,), "bias": False},
            ((2, 4, 6),),
            nn.LayerNorm(6, bias=False),
        ),
        (
            "layer_norm",
            {"shape": (6,), "affine": False},
            ((2, 4, 6),),
            nn.LayerNorm(6, elementwise_affine=False),
        ),
        ("rms_norm", {"shape": (6,)}, ((2, 4, 6),), nn.RMSNorm(6)),
        (
            "rms_norm",
            {"shape": (6,), "affine": False},
            ((2, 4, 6),),
            nn.RMSNorm(6, elementwise_affine=False),
        ),
        ("embedding", {"entries": 11, "features": 5}, ((2, 3),), nn.Embedding(11, 5)),
        ("prelu", {}, ((2, 6, 4),), nn.PReLU()),
        ("prelu", {"parameters": 6}, ((2, 6, 4),), nn.PReLU(6)),
        ("relu", {}, ((2, 6),), nn.ReLU()),
    ],
)
def test_parameters_without_products(
    op: str, attrs: dict[str, Any], shapes: tuple[Shape, ...], module: nn.Module
) -> None:
    node = make_node(op, attrs, shapes)
    assert node.params == params(module)
    assert node.macs == 0


@pytest.mark.parametrize("bias", [True, False])
def test_bilinear(bias: bool) -> None:
    node = make_node("bilinear", {"features": 7, "bias": bias}, ((2, 5), (2, 3)))
    assert node.params == params(nn.Bilinear(5, 3, 7, bias=bias))
    assert node.macs == 2 * 5 * 3 * 7


def test_learned_and_fixed_tensors() -> None:
    assert make_node("parameter", {"shape": (2, 3)}).params == 6
    assert make_node("parameter", {"shape": (2, 3), "trainable": False}).params == 0
    custom = make_node("custom", {"target": "f", "params": 17}, out_shape=(1, 2))
    assert (custom.params, custom.macs) == (17, 0)


COUNTED = set(
    "conv conv_transpose linear bilinear matmul einsum attention lstm gru rnn batch_norm "
    "instance_norm group_norm layer_norm rms_norm embedding prelu parameter custom".split()
)


@pytest.mark.parametrize("op", sorted(set(OPS) - COUNTED))
def test_everything_else_is_free(op: str) -> None:
    assert costs(op, {}, ((2, 3, 4, 4),), (2, 3, 4, 4)) == (0, 0)
