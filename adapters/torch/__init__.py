"""PyTorch modules as computation graphs."""

from .capture import Capture, capture, capture_module

__all__ = ["Capture", "capture", "capture_module"]
