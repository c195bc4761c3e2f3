"""The layers of ``torch.nn``: a collection that needs no other package."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from .catalogue import Catalogue, Sample, image, without_data

_IMAGE = (8, 12, 12)
_SEQUENCE = (6, 16)

_LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    **{
        name: (getattr(nn, name), _IMAGE)
        for name in (
            "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU "
            "LogSigmoid Mish PReLU ReLU ReLU6 RReLU SELU SiLU Sigmoid Softplus Softshrink Softsign "
            "Tanh Tanhshrink Dropout Dropout2d AlphaDropout Flatten"
        ).split()
    },
    "Conv1d": (partial(nn.Conv1d, 6, 4, 3), _SEQUENCE),
    "Conv2d": (partial(nn.Conv2d, 8, 4, 3, groups=2), _IMAGE),
    "Conv3d": (partial(nn.Conv3d, 2, 4, 3), (2, 6, 6, 6)),
    "ConvTranspose2d": (partial(nn.ConvTranspose2d, 8, 4, 2, 2), _IMAGE),
    "Linear": (partial(nn.Linear, 16, 8), _SEQUENCE),
    "BatchNorm2d": (partial(nn.BatchNorm2d, 8), _IMAGE),
    "GroupNorm": (partial(nn.GroupNorm, 2, 8), _IMAGE),
    "InstanceNorm2d": (partial(nn.InstanceNorm2d, 8), _IMAGE),
    "LayerNorm": (partial(nn.LayerNorm, 16), _SEQUENCE),
    "LocalResponseNorm": (partial(nn.LocalResponseNorm, 2), _IMAGE),
    "AdaptiveAvgPool2d": (partial(nn.AdaptiveAvgPool2d, 1), _IMAGE),
    "AdaptiveMaxPool2d": (partial(nn.AdaptiveMaxPool2d, 2), _IMAGE),
    "AvgPool2d": (partial(nn.AvgPool2d, 2), _IMAGE),
    "MaxPool2d": (partial(nn.MaxPool2d, 2), _IMAGE),
    "LPPool2d": (partial(nn.LPPool2d, 2, 2), _IMAGE),
    "PixelShuffle": (partial(nn.PixelShuffle, 2), _IMAGE),
    "ChannelShuffle": (partial(nn.ChannelShuffle, 2), _IMAGE),
    "ReflectionPad2d": (partial(nn.ReflectionPad2d, 1), _IMAGE),
    "Upsample": (partial(nn.Upsample, scale_factor=2), _IMAGE),
    "Unfold": (partial(nn.Unfold, 3), _IMAGE),
    "Softmax": (partial(nn.Softmax, -1), _SEQUENCE),
    "LSTM": (partial(nn.LSTM, 16, 8, batch_first=True), _SEQUENCE),
    "GRU": (partial(nn.GRU, 16, 8, batch_first=True), _SEQUENCE),
    "RNN": (partial(nn.RNN, 16, 8, batch_first=True), _SEQUENCE),
    "TransformerEncoderLayer": (
        partial(nn.TransformerEncoderLayer, 16, 2, 32, batch_first=True),
        _SEQUENCE,
    ),
}


def catalogue() -> Catalogue:
    """Layers by the name of their class."""
    networks: dict[str, Callable[[], Sample]] = {
        name: partial(_sample, build, shape) for name, (build, shape) in _LAYERS.items()
    }
    networks["Embedding"] = _embedding
    return networks


def _sample(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Sample:
    return Sample(without_data(build).eval(), (image(*shape),))


def _embedding() -> Sample:
    indices = torch.zeros(1, 6, dtype=torch.long, device="meta")
    return Sample(nn.Embedding(10, 4, device="meta"), (indices,))
