"""Any ``nn.Module`` as a computation graph.

The forward runs once, on a copy of the module whose tensors carry no data (the meta
device). Where that fails, it runs on fake tensors, and after that on real ones: some
kernels, and code that looks at values, need them. A route is given up on an exception,
or when the output does not depend on the input: then the run on fake tensors is recorded
once more at the dispatcher, which also sees scripted code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any, Final

import torch
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureError, GraphError, InvalidInputError
from gennape_plugin.core.graph import MAX_NODES, ComputeGraph
from torch import nn
from torch.nn.parameter import is_lazy

from . import handlers  # noqa: F401 (fills the table)
from .calls import tensors_in
from .copying import ModuleCopier, unwrapped
from .dispatch import dispatched, is_scripted
from .inputs import Arguments, arguments_of
from .isolation import isolated
from .recorder import Recorder
from .routes import ROUTES, Convert
from .scopes import followed
from .values import Value, get_value, set_value

#: Beyond this many bytes of weights the real route, which copies them, is not taken.
MAX_REAL_BYTES: Final = 4 << 30


@dataclass(frozen=True)
class _Failure:
    """Why a route failed: the exception, and the path of the module that it came from."""

    route: str
    error: Exception
    path: str

    def __str__(self) -> str:
        return f"{self.route}: {_first_line(self.error)}"


class _DisconnectedError(Exception):
    """The output does not depend on the input."""


def capture_module(
    module: nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    *,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> ComputeGraph:
    """The computation graph of a module, in evaluation mode.

    The module itself is not run and not changed.

    Args:
        module: The network.
        input_shape: Shape of one sample without the batch axis, ``(channels, height,
            width)``, or one such shape for each input. The batch size is 1.
        inputs: Example inputs instead, batch axis included: one argument, or a tuple of
            forward's positional arguments (tensors, or any nesting of tuples, lists and
            dictionaries of tensors). Only shapes and data types matter, unless forward
            looks at the values.
        kwargs: Keyword arguments of forward, as examples.
        name: Name of the graph; the module's class by default.

    Raises:
        InvalidInputError: if an argument is not of these forms.
        CaptureError: if forward fails, or returns nothing that depends on its input.
    """
    return capture(module, input_shape, inputs=inputs, kwargs=kwargs, name=name).graph


def capture(
    module: nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    *,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
    max_nodes: int = MAX_NODES,
) -> Capture:
    """As :func:`capture_module`, with a record of how it was done.

    Args:
        module: The network.
        input_shape: Shape of one sample, or of each input.
        inputs: Example inputs.
        kwargs: Keyword arguments of forward.
        name: Name of the graph.
        max_nodes: More operations than this are refused.

    Raises:
        InvalidInputError: if an argument is not of these forms.
        CaptureError: if forward fails, or returns nothing that depends on its input.
    """
    _check(module)
    module = unwrapped(module)
    arguments = arguments_of(module, input_shape, inputs, kwargs)
    title = type(module).__name__ if name is None else name
    failures: list[_Failure] = []
    scripted = is_scripted(module)
    for route, tensors in ROUTES.items():
        if not _worth_trying(route, module, scripted, failures):
            continue
        recorder = Recorder(name=title, on_meta=route == "meta", max_nodes=max_nodes)
        try:
            with isolated(), tensors() as convert:
                graph, kept = _run(module, arguments, recorder, convert, route)
                noted = (*kept, *recorder.warnings)
                # Inside too: runtime type checkers draw from the random generator.
                return Capture(graph, route, tuple(map(str, failures)), noted)
        except CaptureError:
            raise
        except Exception as error:
            failed = recorder.failure
            path = failed[1] if failed is not None and failed[0] is error else ""
            failures.append(_Failure(route, error, path))
    raise _refusal(module, arguments, failures) from failures[-1].error


def _worth_trying(
    route: str, module: nn.Module, scripted: bool, failures: Sequence[_Failure]
) -> bool:
    if scripted:  # the other routes see nothing of it
        return route == "dispatch"
    if route == "dispatch":
        return isinstance(failures[-1].error, _DisconnectedError)
    return route != "real" or _bytes(module) <= MAX_REAL_BYTES


def _run(
    module: nn.Module, arguments: Arguments, recorder: Recorder, convert: Convert, route: str
) -> tuple[ComputeGraph, list[str]]:
    """One forward pass of a copy of the module under the recorder."""
    copier = ModuleCopier(convert, partial(followed, recorder))
    copied = copier.module(module)
    args, kwargs = arguments.make(convert, real=route == "real")
    for tensor in tensors_in((args, kwargs)):
        if get_value(tensor, recorder) is None:
            dtype = str(tensor.dtype).removeprefix("torch.")
            index = recorder.emit("input", (), {"shape": tuple(tensor.shape), "dtype": dtype})
            set_value(tensor, Value(recorder, index))
    with dispatched(recorder, copied, convert) if route == "dispatch" else recorder:
        result = copied(*args, **kwargs)
    outputs = tensors_in(result)
    if not outputs:
        raise CaptureError(
            f"forward of {type(module).__name__} returns no tensor but {type(result).__name__}: "
            "a network returns a tensor, or tuples, lists and dictionaries of tensors"
        )
    nodes = [node for t in outputs if (node := recorder.node(t)) is not None]
    if not any(map(recorder.node_depends, nodes)):
        raise _DisconnectedError("the output does not depend on the input")
    recorder.builder.set_scope("")
    return recorder.builder.build(*nodes, prune=True), copier.kept


def _bytes(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters() if not is_lazy(p))


# -- errors -----------------------------------------------------------------------------------


def _check(module: object) -> None:
    if isinstance(module, type):
        raise InvalidInputError(
            f"got the class {module.__name__}, not a network: call it first, {module.__name__}(...)"
        )
    if isinstance(module, torch.jit.ScriptFunction | FunctionType):
        raise InvalidInputError(
            "got a function, not a network: give a module whose forward calls it"
        )
    if not isinstance(module, nn.Module):
        raise InvalidInputError(
            f"a network is a torch.nn.Module, got {type(module).__name__}: {module!r:.80}"
        )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _refusal(module: nn.Module, arguments: Arguments, failures: Sequence[_Failure]) -> CaptureError:
    """One message for all failures: the last route is the closest to a run by the user."""
    last = failures[-1]
    title, error = type(module).__name__, last.error
    if isinstance(error, _DisconnectedError):
        return CaptureError(
            f"no output of {title} depends on its input of shape {arguments}: "
            "forward ignores its arguments, or computes where torch does not show it (NumPy, vmap, "
            "scripted functions)"
        )
    if isinstance(error, GraphError):
        return CaptureError(f"the operations of {title} make no graph: {error}")
    place = f"in submodule {last.path!r} " if last.path else ""
    message = (
        f"forward of {title} failed {place}on input of shape {arguments}: {_first_line(error)}"
    )
    if last.route == "fake":
        message += " (its weights are too large to try real tensors)"
    if isinstance(error, TypeError) and "argument" in str(error):
        message += "; give one shape for each input, or inputs=(...) and kwargs={...}"
    elif arguments.shapes and "indices" in message and "Long" in message:
        message += "; its input is indices: give inputs=torch.zeros(..., dtype=torch.long)"
    elif isinstance(error, RecursionError):
        pass
    elif "OpaqueTensorImpl" in message:
        message += "; its weights are packed for oneDNN: give the script as it was before that"
    elif isinstance(error, RuntimeError | IndexError | ValueError):
        message += "; check input_shape, or give example inputs with inputs=..."
    return CaptureError(message)
