"""Runs a :class:`~.program.Program` once, on tensors without data, under the recorder."""

from collections.abc import Mapping
from typing import Any

import torch
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureError
from torch import Tensor, nn

from . import handlers  # noqa: F401 (fills the table)
from .calls import tensors_in
from .isolation import isolated
from .program import Block, Program, Ref, Step
from .recorder import Recorder
from .values import Value, set_value


def replay(program: Program, *, route: str, max_nodes: int) -> Capture:
    """The graph of a program.

    Args:
        program: The program.
        route: Name of the route, for the capture.
        max_nodes: More operations than this are refused.

    Raises:
        CaptureError: if a call fails, or no result depends on an input.
    """
    recorder = Recorder(name=program.name, on_meta=True, max_nodes=max_nodes)
    with isolated():
        try:
            values = _given(program, recorder)
        except (RuntimeError, TypeError, OverflowError) as error:
            raise CaptureError(
                f"{program.name} holds a tensor that torch refuses: {_first_line(error)}"
            ) from error
        with recorder:
            result = _run(program.body, values, recorder)
    outputs = [node for t in tensors_in(result) if (node := recorder.node(t)) is not None]
    if not any(map(recorder.node_depends, outputs)):
        raise CaptureError(
            f"no output of {program.name} depends on an input: the program returns constants, or "
            "numbers only"
        )
    recorder.builder.set_scope("")
    graph = recorder.builder.build(*outputs, prune=True)
    return Capture(graph, route, warnings=(*program.warnings, *recorder.warnings))


def _given(program: Program, recorder: Recorder) -> dict[str, Any]:
    """The program's inputs, with their nodes, and its weights."""
    values: dict[str, Any] = dict(program.numbers)
    made: dict[Any, Tensor] = {}
    for name, weight in program.weights.items():
        key = weight.key, weight.learned
        if key not in made:
            tensor = weight.spec.make()
            made[key] = nn.Parameter(tensor, requires_grad=False) if weight.learned else tensor
        values[name] = made[key]
    for name, spec in program.inputs.items():
        values[name] = tensor = spec.make()
        dtype = str(spec.dtype).removeprefix("torch.")
        index = recorder.emit("input", (), {"shape": spec.shape, "dtype": dtype})
        set_value(tensor, Value(recorder, index))
    return values


def _run(block: Block, values: dict[str, Any], recorder: Recorder) -> Any:
    for step in block.steps:
        recorder.scope = step.scope
        args = _filled(step.args, values)
        kwargs = _filled(step.kwargs, values)
        if isinstance(step.target, Block):
            inner = {**values, **dict(zip(step.target.inputs, args, strict=True))}
            result = _run(step.target, inner, recorder)
        else:
            result = _called(step, args, kwargs)
        _store(step.results, result, values)
    return _filled(block.outputs, values)


def _called(step: Step, args: Any, kwargs: Any) -> Any:
    target: Any = step.target
    if isinstance(target, torch._ops.OpOverload) and _makes_tensors(target):
        kwargs["device"] = torch.device("meta")
    try:
        return target(*args, **kwargs)
    except CaptureError:
        raise
    except Exception as error:
        place = f" (in submodule {step.scope!r})" if step.scope else ""
        shapes = " and ".join(str(tuple(t.shape)) for t in tensors_in((args, kwargs)))
        raise CaptureError(
            f"the call of {target} on {shapes or 'no tensor'}{place} failed: {_first_line(error)}; "
            "a program is read without its weights' values: capture the module that was exported"
        ) from error


def _makes_tensors(target: torch._ops.OpOverload) -> bool:
    """Whether an operator makes tensors on a device of its own choice."""
    arguments = target._schema.arguments
    return any(a.name == "device" and a.kwarg_only for a in arguments)


def _filled(tree: Any, values: Mapping[str, Any]) -> Any:
    """Arguments with every reference replaced by its value."""
    if isinstance(tree, Ref):
        if tree.name not in values:
            raise CaptureError(
                f"the program reads {tree.name!r:.80}, which nothing before has made: it is damaged"
            )
        return values[tree.name]
    if isinstance(tree, tuple | list):
        return type(tree)([_filled(item, values) for item in tree])
    if isinstance(tree, Mapping):
        return {key: _filled(item, values) for key, item in tree.items()}
    return tree


def _store(names: Any, result: Any, values: dict[str, Any]) -> None:
    if isinstance(names, str):
        values[names] = result
    elif names is not None:
        results = result if isinstance(result, tuple | list) else (result,)
        for name, item in zip(names, results, strict=False):
            _store(name, item, values)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
