"""The way back: a computation graph as a network that runs, or as its Python source."""

from .module import example_inputs, to_module
from .source import to_source

__all__ = ["example_inputs", "to_module", "to_source"]
