"""A network that is already a list of calls: what exported programs and their files hold.

Both are turned into a :class:`Program`, which :mod:`.replay` runs under the recorder.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from gennape_plugin.core.shapes import Shape


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of an earlier step, or an input, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor without data.

    Attributes:
        shape: Its shape.
        dtype: Its data type.
        strides: Its memory layout; ``None`` for a tensor laid out in order.
    """

    shape: Shape
    dtype: torch.dtype
    strides: tuple[int, ...] | None = None

    def make(self) -> torch.Tensor:
        """Such a tensor on the meta device."""
        if self.strides is None:
            return torch.empty(self.shape, dtype=self.dtype, device="meta")
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that the program holds.

    Attributes:
        spec: Its shape and data type.
        learned: Whether it is a parameter, not a buffer or a constant.
        key: Equal for the names of one and the same tensor.
    """

    spec: TensorSpec
    learned: bool
    key: Hashable


@dataclass(frozen=True, slots=True)
class Step:
    """One call.

    Attributes:
        target: The function; a :class:`Block` for a nested graph.
        args: Positional arguments, with a :class:`Ref` for every value.
        kwargs: Keyword arguments, likewise.
        results: Name of the result; nested lists of names (``None``: not used) where there
            are several.
        scope: Path of the module that the call was made in.
    """

    target: "Callable[..., Any] | Block"
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: Any
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Steps with named inputs.

    Attributes:
        inputs: Names of the inputs in order.
        steps: The calls in order.
        outputs: What it returns: a :class:`Ref`, or a list with one for each result.
    """

    inputs: tuple[str, ...]
    steps: Sequence[Step]
    outputs: Any


@dataclass(frozen=True, slots=True)
class Program:
    """A whole network.

    Attributes:
        name: Its name.
        inputs: Its input tensors by name, in order.
        weights: Its parameters, buffers and constants by name.
        numbers: Its inputs that are no tensors, by name.
        body: The calls.
        warnings: What was assumed when it was read.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    weights: Mapping[str, Weight]
    numbers: Mapping[str, Any]
    body: Block
    warnings: Sequence[str] = field(default=())


#: Calls that only check or bound sizes, which are plain numbers when a program is replayed.
CHECKS: Final = frozenset(
    {
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "_functional_assert_async",
        "_functional_assert_scalar",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    }
)

#: Higher-order operators that run one nested graph, with the position of that graph among
#: their arguments; the graph's own arguments follow it.
WRAPPERS: Final = {
    "wrap_with_set_grad_enabled": 1,
    "wrap_with_autocast": 4,
    "wrap_activation_checkpoint": 0,
    "tag_activation_checkpoint": 0,
    "invoke_subgraph": 0,
    "wrap": 0,
}


def nested(name: str, args: Sequence[Any]) -> tuple[Block, tuple[Any, ...], str | None] | None:
    """What a higher-order operator runs.

    Args:
        name: Name of the operator.
        args: Its positional arguments, nested graphs as :class:`Block`.

    Returns:
        The nested graph, its arguments, and what was assumed; ``None`` for an operator that
        runs no nested graph once.
    """
    if name == "cond" and len(args) == 4 and isinstance(args[1], Block):
        assumed = (
            "the branch taken depends on the data (torch.cond): the graph shows the branch of a "
            "condition that holds"
        )
        return args[1], tuple(args[3]), assumed
    place = WRAPPERS.get(name)
    if place is None or len(args) <= place or not isinstance(args[place], Block):
        return None
    rest = args[place + 1 :]
    if name == "invoke_subgraph":  # its second argument is a label
        rest = rest[1:]
    return args[place], tuple(rest), None
