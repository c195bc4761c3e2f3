"""The way back: a computation graph as a network that runs, or as its Python source."""

from .module import to_module
from .source import to_source

__all__ = ["to_module", "to_source"]
