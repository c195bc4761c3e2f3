"""The operations of the Inception search space: nodes of a graph, and modules."""

from itertools import pairwise
from typing import Final

import torch
from gennape_plugin.core.builder import GraphBuilder
from torch import Tensor, nn

from ._conv_norm import (
    ConvNorm,
    Pair,
    PoolNorm,
    Separable,
    concat,
    conv_norm,
    pool_norm,
    separable,
    unary,
)

_POOLS: Final = {"avgpool3x3": "avg_pool", "maxpool3x3": "max_pool"}


def op_nodes(b: GraphBuilder, x: int, op: str, c_out: int, stride: int) -> int:
    """The nodes of one operation."""
    if op in _POOLS:
        return pool_norm(b, x, _POOLS[op])
    kind, side, strides = op[:-3], int(op[-1]), (stride, stride)
    sides = (side, side)
    if kind == "inception_s":
        return separable(b, x, c_out, side, stride, split=True, bias=True)
    if kind == "inception_p":
        return _parallel(b, x, c_out, side, stride)
    if kind == "depthwise":
        if b.nodes[x].shape[1] != c_out:
            x = conv_norm(b, x, c_out, (1, 1), act=None, norm=False)
        return conv_norm(b, x, c_out, sides, strides, bias=True, depthwise=True)
    if kind == "double":
        x = conv_norm(b, x, c_out, sides, bias=True)
    return conv_norm(b, x, c_out, sides, strides, bias=True)


def op_module(op: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    """The same operation in PyTorch."""
    if op in _POOLS:
        return PoolNorm(c_in, _POOLS[op])
    kind, side, strides = op[:-3], int(op[-1]), (stride, stride)
    sides = (side, side)
    if kind == "inception_s":
        return Separable(c_in, c_out, side, stride, split=True, bias=True)
    if kind == "inception_p":
        return Parallel(c_in, c_out, side, stride)
    if kind == "depthwise":
        depthwise = ConvNorm(c_out, c_out, sides, strides, bias=True, depthwise=True)
        if c_in == c_out:
            return depthwise
        return nn.Sequential(ConvNorm(c_in, c_out, (1, 1), act=None, norm=False), depthwise)
    if kind == "double":
        return nn.Sequential(
            ConvNorm(c_in, c_out, sides, bias=True),
            ConvNorm(c_out, c_out, sides, strides, bias=True),
        )
    return ConvNorm(c_in, c_out, sides, strides, bias=True)


def parallel_branches(c_out: int, side: int, stride: int) -> list[tuple[int, list[Pair]]]:
    """Channels and kernels, in their order, of the two branches of ``inception_p``."""
    flat, tall = (1, side), (side, 1)
    half = c_out // 2
    if stride == 1:
        return [(half, [flat]), (c_out - half, [tall])]
    # A branch of one convolution could stride along one axis only.
    return [(half, [flat, tall]), (c_out - half, [tall, flat])]


def _strides(kernel: Pair, stride: int) -> Pair:
    """Each convolution strides along the axis of its kernel."""
    return (stride, 1) if kernel[0] > 1 else (1, stride)


def _parallel(b: GraphBuilder, x: int, c_out: int, side: int, stride: int) -> int:
    ends = []
    for channels, kernels in parallel_branches(c_out, side, stride):
        y = x
        for kernel in kernels:
            y = conv_norm(b, y, channels, kernel, _strides(kernel, stride), act=None, bias=True)
        ends.append(y)
    return unary(b, "relu6", concat(b, ends))


class Parallel(nn.Module):
    """``inception_p``: 1 x k and k x 1 convolutions side by side, then ReLU6."""

    def __init__(self, c_in: int, c_out: int, side: int, stride: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList()
        for channels, kernels in parallel_branches(c_out, side, stride):
            widths = [c_in, *[channels] * len(kernels)]
            self.branches.append(
                nn.Sequential(
                    *(
                        ConvNorm(w, v, kernel, _strides(kernel, stride), act=None, bias=True)
                        for (w, v), kernel in zip(pairwise(widths), kernels, strict=True)
                    )
                )
            )
        self.act = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(torch.cat([branch(x) for branch in self.branches], 1))
        return out
