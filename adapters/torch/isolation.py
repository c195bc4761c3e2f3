"""Runs foreign code and puts global state back: random generators, data type, threads."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch


@contextmanager
def isolated() -> Iterator[None]:
    """Undo what the code inside does to the random generators and torch's defaults.

    Gradients are off inside, and functions compiled with ``torch.compile`` run as written.
    """
    python, generator = random.getstate(), torch.get_rng_state()
    numpy: Any = sys.modules.get("numpy.random")
    numpy_state = numpy.get_state() if numpy is not None else None
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        with torch.no_grad(), _uncompiled():
            yield
    finally:
        random.setstate(python)
        torch.set_rng_state(generator)
        if numpy is not None:
            numpy.set_state(numpy_state)
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _uncompiled() -> Any:
    # Whoever has compiled anything has imported this; importing it takes seconds.
    set_stance = getattr(torch.compiler, "set_stance", None)  # from torch 2.6 on
    if "torch._dynamo" not in sys.modules or set_stance is None:
        return nullcontext()
    return set_stance("force_eager")
