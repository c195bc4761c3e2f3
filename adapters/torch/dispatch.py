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
from torch.utils._pytree import tree_map_only

from .recorder import Recorder


def is_scripted(module: nn.Module) -> bool:
    """Whether a module, or a part of it, is scripted or traced."""
    return any(isinstance(part, torch.jit.ScriptModule) for part in module.modules())


class _Dispatched(TorchDispatchMode):
    """Hands each operator to the recorder."""

    def __init__(self, recorder: Recorder, folded: Mapping[Any, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder
        self._folded = folded
        self.failure: Exception | None = None  # the interpreter drops the text of exceptions

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self._folded:
            args, kwargs = tree_map_only(
                Tensor, lambda t: self._folded.get(_place(t), t), (args, kwargs or {})
            )
        try:
            return self._recorder.__torch_function__(func, types, args, kwargs or {})
        except Exception as error:
            self.failure = error
            raise


@contextmanager
def dispatched(
    recorder: Recorder, module: nn.Module, convert: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Record what is run inside.

    Args:
        recorder: What records it.
        module: The network that is run.
        convert: Makes the counterparts of weights that are folded into scripted code.
    """
    # With gradients on, encoder layers do not take the one kernel that computes them whole, and
    # without oneDNN recurrent layers are written out, so that both can be counted.
    slow = torch.enable_grad(), torch.backends.mkldnn.flags(enabled=False)
    jit: Any = torch.jit
    folded = _folded_weights(module, convert)
    if folded:
        recorder.warn(
            "a frozen script does not tell weights from constants: its arrays of real numbers are "
            "counted as parameters"
        )
    mode = _Dispatched(recorder, folded)
    try:
        with slow[0], slow[1], jit.optimized_execution(False), mode:
            yield
    except RuntimeError as error:
        if mode.failure is not None and "TorchScript interpreter" in str(error):
            raise mode.failure from error
        raise


def _folded_weights(
    module: nn.Module, convert: Callable[[Tensor], Tensor]
) -> dict[Any, nn.Parameter]:
    """Parameters in the place of the constants that ``torch.jit.freeze`` makes of weights."""
    folded: dict[Any, nn.Parameter] = {}
    for part in module.modules():
        if not isinstance(part, torch.jit.ScriptModule) or any(True for _ in part.parameters()):
            continue  # constants beside parameters are constants
        try:
            code: Any = part.inlined_graph
        except (AttributeError, RuntimeError):  # it has no forward
            continue
        for node in code.findAllNodes("prim::Constant"):
            if not node.hasAttribute("value") or node.kindOf("value") != "t":
                continue
            value = node.t("value")
            if value.dim() and value.is_floating_point() and value.layout is torch.strided:
                folded[_place(value)] = nn.Parameter(convert(value), requires_grad=False)
    return folded


def _place(tensor: Tensor) -> Any:
    """What identifies a constant of scripted code, which is another object at every read."""
    if type(tensor) is not Tensor or tensor.layout is not torch.strided:
        return None
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


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
