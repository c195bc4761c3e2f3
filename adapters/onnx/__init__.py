"""ONNX models as computation graphs."""

from .capture import capture_onnx

__all__ = ["capture_onnx"]
