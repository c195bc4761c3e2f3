"""PyTorch modules, exported programs and their files as computation graphs."""

from .capture import capture, capture_module
from .exported import capture_exported, example_inputs_of
from .pt2 import capture_pt2

__all__ = ["capture", "capture_exported", "capture_module", "capture_pt2", "example_inputs_of"]
