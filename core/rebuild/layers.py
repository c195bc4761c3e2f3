"""Layers as modules of torch."""

import torch
from gennape_plugin.core.errors import RebuildError
from torch import nn

from .expressions import Layer


def made(layer: Layer) -> nn.Module | nn.Parameter:
    """The module, or the learned tensor, that a layer describes.

    Raises:
        RebuildError: if torch refuses the arguments, as those of a damaged file.
    """
    arguments = dict(layer.args)
    try:
        if layer.kind == "Parameter":
            return nn.Parameter(torch.randn(arguments["size"]) * 0.02)
        module: nn.Module = getattr(nn, layer.kind)(**arguments)
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise RebuildError(
            f"this graph cannot be rebuilt because torch refuses {layer.kind} with "
            f"{arguments!r:.300}: {error!s:.300}"
        ) from error
    return module
