"""The table of ONNX operators, and what a handler is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.shapes import Shape

from .nodes import OnnxNode
from .values import Value, unknown_constant
from .writer import Attrs, GraphWriter


class UnknownResultError(Exception):
    """What an operator returns cannot be told from the file: data decide on it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One node of the model that is about to be written.

    Attributes:
        writer: The graph.
        node: The node.
    """

    writer: GraphWriter
    node: OnnxNode

    # -- operands ----------------------------------------------------------------------

    def get(self, position: int) -> Value | None:
        """An operand that may be left out."""
        inputs = self.node.inputs
        if position >= len(inputs) or not inputs[position]:
            return None
        return self.writer.values[inputs[position]]

    def need(self, position: int) -> Value:
        """An operand that must be there."""
        value = self.get(position)
        if value is None:
            raise GraphError(f"it lacks input {position}")
        return value

    def given(self) -> list[Value]:
        """All operands that are there."""
        return [self.writer.values[name] for name in self.node.inputs if name]

    def depends(self, value: Value | None) -> bool:
        """Whether a value depends on an input of the model."""
        return value is not None and self.writer.depends(value)

    def integers(self, position: int) -> tuple[int, ...] | None:
        """A constant operand as integers; ``None`` where it is left out.

        Raises:
            UnknownResultError: if its elements are not known.
        """
        value = self.get(position)
        if value is None:
            return None
        elements = value.integers()
        if elements is None:
            raise UnknownResultError
        return elements

    def axes(self, position: int, rank: int, name: str = "axes") -> tuple[int, ...] | None:
        """Axes from an attribute or, in newer versions, an operand, counted from the front."""
        axes = self.node.ints(name, None)
        if axes is None:
            axes = self.integers(position)
        return None if axes is None else tuple([axis_of(axis, rank) for axis in axes])

    # -- results -----------------------------------------------------------------------

    def emit(
        self,
        op: str,
        operands: Sequence[Value],
        attrs: Attrs | None = None,
        *,
        shape: Shape | None = None,
        weight: Value | None = None,
        dtype: str | None = None,
    ) -> Value:
        """Add one node of the graph, and return its value."""
        nodes = [self.writer.operand(value) for value in operands]
        index = self.writer.emit(op, nodes, attrs or {}, shape, weight)
        dtype = dtype or (operands[0].dtype if operands else "float32")
        if weight is None and self.writer.is_constant(index):
            # Computed from constants alone: nothing but its shape matters.
            return unknown_constant(self.writer.shape(index), dtype)
        return Value(self.writer.shape(index), dtype, index)

    def put(self, value: Value, position: int = 0) -> None:
        """Say what one of the node's outputs is."""
        outputs = self.node.outputs
        if position < len(outputs) and outputs[position]:
            self.writer.values[outputs[position]] = value

    def part(self, value: Value, position: int, shape: Shape, dtype: str | None = None) -> None:
        """Say that a further output is another result of the node behind ``value``."""
        outputs = self.node.outputs
        if position < len(outputs) and outputs[position] and self.writer.readers[outputs[position]]:
            index: Attrs = {"index": position}
            self.put(self.emit("select", [value], index, shape=shape, dtype=dtype), position)


Handler = Callable[[Call], None]

#: Handlers by operator of the standard domain.
HANDLERS: dict[str, Handler] = {}


def handles(names: str) -> Callable[[Handler], Handler]:
    """Register a handler of some operators."""

    def register(handler: Handler) -> Handler:
        for name in names.split():
            HANDLERS[name] = handler
        return handler

    return register


def axis_of(axis: int, rank: int) -> int:
    """A possibly negative axis counted from the front.

    Raises:
        GraphError: if there is no such axis.
    """
    if not -rank <= axis < rank:
        raise GraphError(f"axis {axis} does not exist: {-rank} to {rank - 1} are allowed")
    return axis % rank


def last_or_front(axis: int, rank: int) -> int:
    """An axis in its one written form: ``-1`` for the last, otherwise counted from the front."""
    front = axis_of(axis, rank) if rank else 0
    return -1 if front == rank - 1 else front
