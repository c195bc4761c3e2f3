"""Everything that a capture must leave as it was: a module, and the state of the process."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def fingerprint(value: Any, seen: dict[int, int] | None = None) -> Any:
    """Everything reachable from an object: structure, identities, values, tensor contents."""
    seen = {} if seen is None else seen
    if isinstance(value, bool | int | float | complex | str | bytes | type | None):
        return repr(value)
    if id(value) in seen:
        return ("again", seen[id(value)])
    seen[id(value)] = len(seen)
    if isinstance(value, Tensor) and is_lazy(value):
        return (type(value).__name__, id(value), value.requires_grad, str(value.dtype))
    if isinstance(value, Tensor):
        data = value.detach()
        plain = data.int_repr() if data.is_quantized else data
        content = None if data.is_meta else hashlib.sha256(plain.numpy().tobytes()).hexdigest()
        return (
            type(value).__name__,
            id(value),
            content,
            tuple(value.shape),
            value.stride(),
            str(value.dtype),
            str(value.device),
            value.requires_grad,
            value._version,
            fingerprint(value.__dict__, seen),
        )
    if isinstance(value, dict):
        return (
            type(value).__name__,
            id(value),
            [(repr(k), fingerprint(v, seen)) for k, v in value.items()],
        )
    if isinstance(value, list | tuple):
        return (type(value).__name__, [fingerprint(v, seen) for v in value])
    if isinstance(value, set):
        return ("set", sorted(map(repr, value)))
    state = [fingerprint(getattr(value, "__dict__", None), seen)]
    for cell in getattr(value, "__closure__", None) or ():
        state.append(fingerprint(cell.cell_contents, seen))
    return (type(value).__name__, id(value), state)


def global_state() -> tuple[Any, ...]:
    return (
        random.getstate(),
        repr(np.random.get_state()),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mkldnn.enabled,
        torch.backends.mha.get_fastpath_enabled(),
        len(torch.nn.modules.module._global_forward_hooks),
        len(torch.nn.modules.module._global_forward_pre_hooks),
        torch._C._len_torch_function_stack(),
        torch._C._len_torch_dispatch_stack(),
    )


@contextmanager
def untouched(net: nn.Module) -> Iterator[None]:
    """Asserts that a block changes neither a module nor the state of the process.

    Attributes, hooks, flags and tensors are compared, and the state dictionary: scripted and
    quantised layers keep their weights where no attribute shows them.
    """

    def all_of_it() -> tuple[Any, ...]:
        flags = {name: getattr(part, "training", None) for name, part in net.named_modules()}
        return stored(net), flags, fingerprint(net), global_state()

    before = all_of_it()
    yield
    for one, two in zip(before, all_of_it(), strict=True):
        assert one == two


def stored(net: nn.Module) -> dict[str, Any]:
    """Contents of the state dictionary."""
    found: dict[str, Any] = {}
    for name, value in net.state_dict().items():
        if isinstance(value, Tensor) and not is_lazy(value):
            kind, _, content, *rest = fingerprint(value.detach())[:-1]
            found[name] = kind, content, rest
        else:
            found[name] = type(value).__name__
    return found
