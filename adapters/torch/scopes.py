"""Forwards that take the place of a copied module's own, to follow where the run is."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .recorder import Recorder
from .values import Value, get_value, set_value


def followed(recorder: Recorder, module: nn.Module, path: str) -> Callable[..., Any]:
    """The forward of a module, labelling the nodes that it makes.

    Args:
        recorder: The recorder.
        module: The copy of a submodule.
        path: Its path in the network, ``"layer1.0.conv1"``.
    """
    if type(module).forward is nn.Identity.forward and "forward" not in module.__dict__:
        return _identity(recorder, path)
    forward = module.forward

    def run(*args: Any, **kwargs: Any) -> Any:
        before, recorder.scope = recorder.scope, path
        try:
            return forward(*args, **kwargs)
        except Exception as error:
            if recorder.failure is None or recorder.failure[0] is not error:
                recorder.failure = error, path
            raise
        finally:
            recorder.scope = before

    run.__wrapped__ = forward  # type: ignore[attr-defined]  # inspect.signature looks here
    return run


def _identity(recorder: Recorder, path: str) -> Callable[[Tensor], Tensor]:
    """The forward of an ``nn.Identity``, which calls no torch function to be seen."""

    def run(input: Tensor) -> Tensor:
        node = recorder.node(input)
        if node is None:
            return input
        before, recorder.scope = recorder.scope, path
        index = recorder.emit("identity", (node,), {})
        recorder.scope = before
        with torch._C.DisableTorchFunction():
            alias = input.detach()
        # An alias, so that other readers of the input do not come to read the identity.
        set_value(alias, Value(recorder, index, get_value(input, recorder)))
        return alias

    return run
