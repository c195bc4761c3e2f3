"""What a proxy accepts: the network, the shape of a sample, the batch, the targets."""

from collections.abc import Sequence
from typing import Any

import torch
from gennape_plugin.core.errors import InvalidInputError
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class Refusal(InvalidInputError):  # noqa: N818 (an InvalidInputError to callers)
    """A proxy is not defined for this network; the message is a part of the final one."""


def check_network(module: object) -> nn.Module:
    """The module, if it is one that can be copied and has its weights."""
    if isinstance(module, type) or not isinstance(module, nn.Module):
        given = f"the class {module.__name__}" if isinstance(module, type) else repr(module)
        raise InvalidInputError(f"a network is an instance of torch.nn.Module, got {given:.120}")
    for part in module.modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise InvalidInputError(
                f"{type(module).__name__} holds a scripted module, whose calls torch does not "
                "show: give the module that was scripted"
            )
    if any(map(is_lazy, module.parameters())):
        raise InvalidInputError(
            f"{type(module).__name__} has lazy parameters without a shape yet: run it once on a "
            "batch first"
        )
    return module


def check_weights(module: nn.Module) -> None:
    """Refuse weights without values, or with values that no score can be made of."""
    for name, weight in module.named_parameters():
        if weight.is_meta:
            raise InvalidInputError(
                f"weight {name!r} is on the meta device and has no values: build the network on "
                "a real device, or ask for params and flops only"
            )
        if not bool(torch.isfinite(weight.detach()).all()):
            raise InvalidInputError(
                f"weight {name!r} has NaN or infinity; every weight must be finite: "
                "initialise the network"
            )


def check_shape(input_shape: Any) -> tuple[int, ...]:
    """The shape of one sample, as a tuple."""
    if not isinstance(input_shape, Sequence) or not all(
        isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in input_shape
    ):
        raise InvalidInputError(
            "input_shape is the shape of one sample without its batch axis, such as (3, 32, 32); "
            f"got {input_shape!r:.120}"
        )
    return tuple(input_shape)


def check_integer(name: str, value: object, least: int) -> int:
    """The value, if it is an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidInputError(f"{name} is an integer of at least {least}, got {value!r:.80}")
    return value


def check_inputs(inputs: object, shape: tuple[int, ...]) -> Tensor:
    """The given batch, if it has the shape of samples."""
    if not isinstance(inputs, Tensor) or inputs.ndim == 0 or tuple(inputs.shape[1:]) != shape:
        got = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise InvalidInputError(
            f"inputs is a tensor of shape (batch, *input_shape), here (batch, {str(shape)[1:]}; "
            f"got {got}"
        )
    if len(inputs) < 1 or not bool(torch.isfinite(inputs).all()):
        raise InvalidInputError("inputs must hold at least one sample and only finite values")
    return inputs


def check_targets(targets: object, batch: int, classes: int) -> Tensor:
    """The given targets, if there is one valid class for each sample."""
    if (
        not isinstance(targets, Tensor)
        or targets.dtype != torch.long
        or tuple(targets.shape) != (batch,)
        or not bool(((targets >= 0) & (targets < classes)).all())
    ):
        got = f"{targets.dtype} {tuple(targets.shape)}" if isinstance(targets, Tensor) else targets
        raise InvalidInputError(
            f"targets is a torch.long tensor of {batch} classes from 0 to {classes - 1}, "
            f"got {got!s:.80}"
        )
    return targets


def check_output(output: object, batch: int, classes: int | None) -> Tensor:
    """What forward returned, if it is one score for each sample and class."""
    if (
        isinstance(output, Tensor)
        and output.ndim == 2
        and output.dtype.is_floating_point
        and output.shape[0] == batch
        and output.shape[1] == (classes or output.shape[1]) > 0
    ):
        return output
    got = type(output).__name__
    if isinstance(output, Tensor):
        got = f"{str(output.dtype).removeprefix('torch.')} of shape {tuple(output.shape)}"
    raise Refusal(
        f"forward returns {got}; it must be one floating-point tensor of shape (batch, classes) = "
        f"({batch}, {classes or 'any number'}): wrap the network so that it returns its logits"
    )
