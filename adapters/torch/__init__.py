"""PyTorch modules as computation graphs.

Exported programs and their files are read by :mod:`.exported` and :mod:`.pt2`, which are
imported by those who need them: ``torch.export`` takes a moment.
"""

from .capture import capture, capture_module

__all__ = ["capture", "capture_module"]
