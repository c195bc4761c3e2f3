"""Records below torch's functions, at the dispatcher: what scripted code calls.

TorchScript runs its own interpreter, so a ``TorchFunctionMode`` sees nothing of it. The
dispatcher sees every ATen operator, scripted or not, already without its composites: a linear
layer is an ``addmm``. The recorder's handlers know those from exported programs.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .recorder import Recorder


def is_scripted(module: nn.Module) -> bool:
    """Whether a module, or a part of it, is scripted or traced."""
    return any(isinstance(part, torch.jit.ScriptModule) for part in module.modules())


class _Dispatched(TorchDispatchMode):
    """Hands each operator to the recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder
        self.failure: Exception | None = None  # the interpreter drops the text of exceptions

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return self._recorder.__torch_function__(func, types, args, kwargs or {})
        except Exception as error:
            self.failure = error
            raise


@contextmanager
def dispatched(recorder: Recorder) -> Iterator[None]:
    """Record what is run inside."""
    # With gradients on, encoder layers do not take the one kernel that computes them whole, and
    # without oneDNN recurrent layers are written out, so that both can be counted.
    slow = torch.enable_grad(), torch.backends.mkldnn.flags(enabled=False)
    jit: Any = torch.jit
    mode = _Dispatched(recorder)
    try:
        with slow[0], slow[1], jit.optimized_execution(False), mode:
            yield
    except RuntimeError as error:
        if mode.failure is not None and "TorchScript interpreter" in str(error):
            raise mode.failure from error
        raise


def copied_script(
    module: torch.jit.ScriptModule, convert: Callable[[Tensor], Tensor]
) -> torch.jit.ScriptModule:
    """A copy of a scripted module in evaluation mode, with other tensors.

    Args:
        module: The module.
        convert: Makes the counterpart of a tensor, the same one for the same tensor.
    """
    made: torch.jit.ScriptModule = copy.deepcopy(module)
    made.eval()
    for part, original in zip(made.modules(), module.modules(), strict=True):
        for name, parameter in original._parameters.items():
            if parameter is not None:
                part._parameters[name] = convert(parameter)  # type: ignore[assignment]
        for name, buffer in original._buffers.items():
            if buffer is not None:
                part._buffers[name] = convert(buffer)
        held: Any = part
        if hasattr(part, "_flat_weights_names"):  # recurrent layers keep a list of theirs
            held._flat_weights = [part._parameters[n] for n in held._flat_weights_names]
    return made
