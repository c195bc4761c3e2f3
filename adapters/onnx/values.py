"""What an ONNX name stands for while the graph is written."""

from dataclasses import dataclass

import numpy as np
from gennape_plugin.core.shapes import Shape

from .tensors import Array


@dataclass(slots=True, eq=False)
class Value:
    """A tensor: the result of a node of the graph, or a constant.

    Attributes:
        shape: Its shape.
        dtype: Its data type, in torch's words.
        node: The node of the graph; of a constant, the ``parameter`` made for it, if any.
        data: The elements of a small constant.
        learned: Whether it is a constant that training would change.
        key: Which stored weight it is, however it is arranged; empty for other values.
        constant: Whether it is a constant.
    """

    shape: Shape
    dtype: str
    node: int | None = None
    data: Array | None = None
    learned: bool = False
    key: str = ""
    constant: bool = False

    @property
    def count(self) -> int:
        """Number of elements."""
        total = 1
        for size in self.shape:
            total *= size
        return total

    @property
    def number(self) -> float | None:
        """The one element of a constant of one element; ``None`` for everything else."""
        if self.data is None or self.data.size != 1 or self.data.dtype.kind not in "fiub":
            return None
        return float(self.data.reshape(()))

    def integers(self) -> tuple[int, ...] | None:
        """The elements of a small constant as integers; ``None`` for everything else."""
        if self.data is None or self.data.dtype.kind not in "fiub":
            return None
        flat = self.data.reshape(-1)
        if self.data.dtype.kind == "f" and not np.isfinite(flat).all():
            return None
        return tuple([int(element) for element in flat])


def constant(data: Array, *, learned: bool = False, key: str = "") -> Value:
    """A constant whose elements are known."""
    shape = tuple(data.shape)
    return Value(shape, str(data.dtype), data=data, learned=learned, key=key, constant=True)


def unknown_constant(shape: Shape, dtype: str) -> Value:
    """A constant of which only the shape is known."""
    return Value(shape, dtype, constant=True)
