"""The way back: a computation graph as a network that runs, or as its Python source."""

from .module import to_module

__all__ = ["to_module"]
