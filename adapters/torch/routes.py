"""The tensors that a forward can run on: without data, faked, or real.

A route is a context that gives a function from the user's tensors to its own.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import torch
from torch import Tensor, nn

Convert = Callable[[Tensor], Tensor]


@contextmanager
def meta_tensors() -> Iterator[Convert]:
    """Tensors on the meta device: shapes, strides and data types."""

    def convert(tensor: Tensor) -> Tensor:
        if type(tensor) in (Tensor, nn.Parameter) and tensor.layout is torch.strided:
            return torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
            )
        return tensor.detach().to("meta")

    yield convert


@contextmanager
def fake_tensors() -> Iterator[Convert]:
    """Fake tensors: the same, but they say that they are on the CPU."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # takes a second to import

    def convert(tensor: Tensor) -> Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")

    # What fails here is tried on another route or reported in one line: its log says no more.
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield convert
    finally:
        log.disabled = before


@contextmanager
def real_tensors() -> Iterator[Convert]:
    """Copies on the CPU; tensors without data become zeros."""

    def convert(tensor: Tensor) -> Tensor:
        if tensor.is_meta:
            return torch.zeros(tensor.shape, dtype=tensor.dtype)
        return tensor.detach().to("cpu", copy=True)

    yield convert


#: In the order in which they are tried.
ROUTES: Final[dict[str, Callable[[], AbstractContextManager[Convert]]]] = {
    "meta": meta_tensors,
    "fake": fake_tensors,
    "dispatch": fake_tensors,
    "real": real_tensors,
}
