"""Modules that read what networks wrote, and stay on the CPU when those move."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class OnCpu(nn.Module):
    """A module whose buffers no ``to``, ``cuda`` or ``half`` of a model around it moves.

    Outputs of a model come back to the CPU (:meth:`.GennapeModel.predict`), and what is made
    of them is float64, which not every device has.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return self
