"""PyTorch modules as computation graphs."""

from .capture import capture, capture_module

__all__ = ["capture", "capture_module"]
