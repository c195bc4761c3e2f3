"""The graph under construction: nodes of tensors, and what is known of them."""

from collections.abc import Iterable
from typing import Final, cast

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import CaptureError
from gennape_plugin.core.ops import AttrValue
from gennape_plugin.core.shapes import Shape
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .calls import Call
from .values import Value, get_value, same_memory, set_value
from .weights import WeightBook

Attrs = dict[str, AttrValue]

_PARTLY: Final[Attrs] = {"spec": None}  # of a slice that is known only by its result


class GraphWriter:
    """Writes nodes, and keeps track of which tensor holds which node's result.

    Attributes:
        builder: The graph so far.
        scope: Path of the module that is running.
        warnings: What was assumed, for people, without repetitions.
    """

    def __init__(self, *, name: str, max_nodes: int) -> None:
        """Start an empty graph.

        Args:
            name: Name of the network.
            max_nodes: More nodes than this are refused.
        """
        super().__init__()
        self.builder = GraphBuilder(name)
        self.scope = ""
        self.warnings: dict[str, None] = {}
        self.weights = WeightBook(self.builder)
        self._max_nodes = max_nodes
        self._depends: list[bool] = []  # of each node: whether it depends on an input
        self._constants: dict[int, tuple[Tensor, int]] = {}  # by id, which the tensor keeps taken
        # Parameter nodes that were at most transposed so far, by their own index and by those of
        # their transposes; and those of them whose weight a layer has taken over.
        self._unread: dict[int, int] = {}
        self._taken_over: set[int] = set()

    # -- reading tensors ---------------------------------------------------------------

    def value(self, tensor: Tensor) -> Value | None:
        """The value of a tensor, ``None`` for a constant; a parameter gets its node here."""
        value = get_value(tensor, self)
        if value is not None or is_lazy(tensor):
            return value
        if isinstance(tensor, nn.Parameter):
            attrs: Attrs = {"shape": tuple(tensor.shape), "trainable": True}
            node = self.emit("parameter", (), attrs, weight=tensor)
            self.weights.note_parameter(node, tensor)
            value = Value(self, node)
            set_value(tensor, value)
            return value
        base = tensor._base
        whole = None if base is None else get_value(base, self)
        if whole is not None:
            # A view made while its base was a constant, which was overwritten since.
            self.view(tensor, cast(Tensor, base), "slice", _PARTLY)
        return get_value(tensor, self)

    def is_learned(self, tensor: Tensor | None) -> bool:
        """Whether a tensor is a parameter, or computed from parameters alone."""
        if tensor is None:
            return False
        value = get_value(tensor, self)
        if value is None:
            return isinstance(tensor, nn.Parameter)
        return not self._depends[value.refresh()]

    def node(self, tensor: object) -> int | None:
        """The node of a tensor, now read; ``None`` for constants and everything else."""
        if not isinstance(tensor, Tensor):
            return None
        value = self.value(tensor)
        return None if value is None else value.take()

    def constant(self, tensor: Tensor) -> int:
        """A node for a constant, where an op has to read it."""
        known = self._constants.get(id(tensor))
        if known is None:
            attrs: Attrs = {"shape": tuple(tensor.shape), "trainable": False}
            known = tensor, self.emit("parameter", (), attrs)
            self._constants[id(tensor)] = known
        return known[1]

    def depends(self, tensor: object) -> bool:
        """Whether a tensor depends on an input (weights computed from weights do not)."""
        if not isinstance(tensor, Tensor):
            return False
        value = get_value(tensor, self)
        return value is not None and self._depends[value.refresh()]

    def node_depends(self, node: int) -> bool:
        """Whether a node depends on an input."""
        return self._depends[node]

    def node_shape(self, node: int) -> Shape:
        """Shape of a node's result."""
        return self.builder.nodes[node].shape

    # -- writing nodes -----------------------------------------------------------------

    def emit(
        self,
        op: str,
        nodes: tuple[int, ...],
        attrs: Attrs,
        out_shape: Shape | None = None,
        weight: Tensor | None = None,
    ) -> int:
        """Add one node.

        Args:
            op: Name of the op.
            nodes: Its operands.
            attrs: Its attributes.
            out_shape: Shape of its result, where it is known.
            weight: The tensor that identifies its weights.

        Raises:
            CaptureError: beyond the greatest number of nodes.
            GraphError: if the operation does not fit its operands or its result.
        """
        builder = self.builder
        if len(builder.nodes) >= self._max_nodes:
            raise CaptureError(
                f"forward made more than {self._max_nodes} operations: it loops without end, or "
                "the network is beyond the limit; capture a part of it"
            )
        key = shares = None
        if weight is not None:
            value = get_value(weight, self)
            key = self.weights.key(weight, None if value is None else value.refresh())
            owner, fits = builder.owner(key, op, nodes, out_shape=out_shape, **attrs)
            if fits:
                shares = owner
            elif (
                owner is not None and owner in self._unread
            ):  # a layer on a transposed weight, as in addmm
                self._taken_over.add(owner)
            elif owner is not None:
                self._warn_of_two_uses()
                key = None
        builder.set_scope(self.scope)
        index = builder.add(op, nodes, out_shape=out_shape, shares=shares, **attrs)
        if key is not None and shares is None:
            builder.owners[key] = index
        if op == "parameter":
            self._unread[index] = index
        else:
            self._note_reads(op, nodes, index)
        depends = self._depends
        depends.append(op == "input" or any(depends[i] for i in nodes))
        return index

    def _note_reads(self, op: str, nodes: tuple[int, ...], index: int) -> None:
        """Keep track of the parameters that a node reads: transposing alone is no use of one."""
        for node in nodes:
            parameter = self._unread.get(node)
            if parameter is None:
                continue
            if op == "permute":
                self._unread[index] = parameter
            else:
                self._unread = {k: v for k, v in self._unread.items() if v != parameter}
                if parameter in self._taken_over:
                    self._warn_of_two_uses()

    def _warn_of_two_uses(self) -> None:
        self.warn("a weight is used by two kinds of operation and counted twice")

    def warn(self, message: str) -> None:
        """Note an assumption."""
        self.warnings[message] = None

    def warn_of_data(self, call: Call, operands: Iterable[object]) -> None:
        """Note that the path, or a shape, hangs on values, if they depend on an input."""
        if any(self.depends(t) for t in operands):
            self.warn(
                f"the branch taken depends on the data ({call.title}): the graph shows the path "
                "of one input"
            )

    # -- results -----------------------------------------------------------------------

    def bind(self, call: Call, out: Tensor, node: int, *, writes: bool = False) -> Tensor:
        """Say that ``out``, the result of ``call``, has the value of ``node``.

        Returns:
            ``out``, or an alias of it where the call has returned its operand unchanged
            (dropout in evaluation), so that the operand keeps its own value.
        """
        known = get_value(out, self)
        if writes or call.writes:
            known = known or self._part_of_constant(out)
            if known is not None:
                known.write(node)
                return out
        elif known is not None:
            out = out.detach()
            set_value(out, Value(self, node, known))
            return out
        set_value(out, Value(self, node))
        return out

    def _part_of_constant(self, out: Tensor) -> Value | None:
        """A value for a view of a constant that is about to be written to."""
        base = out._base
        if base is None:
            return None
        whole = get_value(base, self)
        if whole is None:
            whole = Value(self, self.constant(base))
            set_value(base, whole)
        value = Value(self, self.constant(out), whole, ("slice", _PARTLY))
        set_value(out, value)
        return value

    def alias(self, out: Tensor, source: Tensor) -> Tensor:
        """Say that ``out`` has the very value of ``source``: no node."""
        value = self.value(source)
        if value is not None and out is not source:
            base = value if same_memory(out, source) else None
            set_value(out, Value(self, value.refresh(), base))
        return out

    def view(self, out: Tensor, source: Tensor, op: str, attrs: Attrs) -> Tensor:
        """Record ``out``, a rearrangement of ``source`` that may share its memory."""
        value = self.value(source)
        if value is not None:
            index = self.emit(op, (value.take(),), attrs, tuple(out.shape))
            base = value if same_memory(out, source) else None
            set_value(out, Value(self, index, base, (op, attrs)))
        return out
