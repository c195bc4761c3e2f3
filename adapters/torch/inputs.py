"""The arguments of a forward pass: made from shapes, or converted from examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.shapes import Shape
from torch import Tensor, nn

from .calls import tensors_in
from .routes import Convert

_SEED: Final = 0  # of real inputs made from shapes: the same run after run


@dataclass(frozen=True)
class Arguments:
    """What forward is called with.

    Attributes:
        shapes: Shapes of the inputs to make, batch axis included; empty with examples.
        dtype: Data type of the inputs to make.
        inputs: Example arguments by position.
        kwargs: Example arguments by name.
    """

    shapes: tuple[Shape, ...]
    dtype: torch.dtype
    inputs: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def make(self, convert: Convert, *, real: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of tensors that belong to a route.

        Args:
            convert: The route's function from tensors to its own.
            real: Whether its tensors hold data: then inputs made from shapes are normal noise.
        """
        if self.shapes:
            return tuple(self._made(shape, convert, real) for shape in self.shapes), {}
        memo: dict[int, Tensor] = {}
        return (
            tuple(_converted(item, convert, memo) for item in self.inputs),
            {name: _converted(item, convert, memo) for name, item in self.kwargs.items()},
        )

    def _made(self, shape: Shape, convert: Convert, real: bool) -> Tensor:
        if not real:
            return convert(torch.empty(shape, dtype=self.dtype, device="meta"))
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(_SEED))
        return noise.to(self.dtype)

    def __str__(self) -> str:
        shapes = self.shapes or [tuple(t.shape) for t in tensors_in((self.inputs, self.kwargs))]
        return " and ".join(map(str, shapes))


def arguments_of(
    module: nn.Module, input_shape: Any, inputs: Any, kwargs: Mapping[str, Any] | None
) -> Arguments:
    """The arguments that a user has asked for.

    Raises:
        InvalidInputError: if they are given in no form that is allowed.
    """
    if (input_shape is None) == (inputs is None and kwargs is None):
        raise InvalidInputError(
            "give either input_shape=(3, 32, 32) or example inputs (inputs=..., kwargs=...)"
        )
    if input_shape is not None:
        return Arguments(_shapes(input_shape), _default_dtype(module), (), {})
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InvalidInputError(
            f"kwargs are the keyword arguments of forward as a dictionary, got {kwargs!r:.120}"
        )
    if not tensors_in((inputs, kwargs)):
        raise InvalidInputError(
            "the example inputs hold no tensor: give inputs=torch.zeros(1, 3, 32, 32), a tuple of "
            f"arguments, or kwargs={{'x': tensor}}; got {inputs!r:.120}"
        )
    positional = inputs if isinstance(inputs, tuple) else () if inputs is None else (inputs,)
    return Arguments((), torch.float32, positional, kwargs or {})


def _shapes(input_shape: Any) -> tuple[Shape, ...]:
    """The shapes of all inputs, with a batch of one sample."""
    if _is_shape(input_shape):
        return ((1, *input_shape),)
    if isinstance(input_shape, list | tuple) and input_shape and all(map(_is_shape, input_shape)):
        return tuple((1, *shape) for shape in input_shape)
    raise InvalidInputError(
        f"input_shape is the shape of one sample without its batch axis, such as (3, 32, 32), or a "
        f"tuple of such shapes for several inputs; got {input_shape!r:.120}"
    )


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in value
    )


def _default_dtype(module: nn.Module) -> torch.dtype:
    """The data type of a module's inputs: that of its first floating-point parameter."""
    for parameter in module.parameters():
        # Eight-bit floats are storage: networks compute in wider ones.
        if parameter.dtype.is_floating_point and parameter.dtype.itemsize > 1:
            return parameter.dtype
    return torch.get_default_dtype()


def _converted(tree: Any, convert: Convert, memo: dict[int, Tensor]) -> Any:
    """Nested arguments with every tensor converted, the same one to the same one."""
    if isinstance(tree, Tensor):
        made = memo.get(id(tree))
        if made is None:
            made = memo[id(tree)] = convert(tree)
        return made
    if isinstance(tree, tuple):
        items = [_converted(item, convert, memo) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if type(tree) is list:
        return [_converted(item, convert, memo) for item in tree]
    if isinstance(tree, dict):
        made_items = {key: _converted(item, convert, memo) for key, item in tree.items()}
        return made_items if type(tree) is dict else type(tree)(made_items)
    return tree
