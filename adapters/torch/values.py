"""Dataflow by tensor: which node of the graph holds a tensor's present value.

A :class:`Value` hangs on each tensor object that depends on an input or a parameter.
Tensors that share memory form a tree under the tensor that they are views of: a write
to one of them moves all of them on to a new node, the others at their next read.
"""

from typing import Any, Final, NamedTuple, Protocol

from gennape_plugin.core.ops import AttrValue
from gennape_plugin.core.shapes import Shape
from torch import Tensor

#: Name under which a tensor carries its value. An attribute of the tensor, not a table
#: keyed by ``id``: it lives exactly as long as the tensor, so nothing is kept alive.
_ATTRIBUTE: Final = "_gennape_value"


class Emitter(Protocol):
    """What views need of the recorder."""

    def emit(
        self, op: str, nodes: tuple[int, ...], attrs: dict[str, AttrValue], out_shape: Shape | None
    ) -> int:
        """Add a node; returns its index."""

    def node_shape(self, node: int) -> Shape:
        """Shape of a node's result."""


class Total(NamedTuple):
    """A running total.

    Attributes:
        terms: The nodes added up so far.
        place: The instruction that adds: a total grows only there.
    """

    terms: tuple[int, ...]
    place: tuple[int, int]


class Value:
    """The present value of one tensor object.

    Attributes:
        owner: The recorder that it belongs to; values of another run count for nothing.
        node: Index of the node that computes it.
        base: Value of the tensor that this one is a view of.
        view: Op and attributes that lead from ``base`` to this tensor; ``None``: the whole.
        version: For a tensor of its own, the number of writes to its memory so far; for a
            view, the number that ``node`` takes account of.
        read: Whether an operation has read ``node``.
        total: What was added up so far, while the tensor is the running total of ``sum(...)``.
    """

    __slots__ = ("base", "node", "owner", "read", "total", "version", "view")

    def __init__(
        self,
        owner: Emitter,
        node: int,
        base: "Value | None" = None,
        view: tuple[str, dict[str, AttrValue]] | None = None,
    ) -> None:
        self.owner = owner
        self.node = node
        self.base = base
        self.view = view
        self.version: int = 0 if base is None else base.root.version
        self.read = False
        self.total: Total | None = None

    @property
    def root(self) -> "Value":
        """The value of the tensor that owns the memory."""
        value = self
        while value.base is not None:
            value = value.base
        return value

    def refresh(self) -> int:
        """Bring ``node`` up to date with all writes to the memory, and return it."""
        base = self.base
        if base is not None:
            version = self.root.version
            if self.version != version:
                node = base.refresh()
                if self.view is not None:
                    op, attrs = self.view
                    node = self.owner.emit(op, (node,), attrs, self.owner.node_shape(self.node))
                self.node, self.version = node, version
                self.read, self.total = False, None
        return self.node

    def take(self) -> int:
        """As :meth:`refresh`, for an operation that reads the node."""
        node = self.refresh()
        self.read = True
        return node

    def write(self, node: int) -> None:
        """Take ``node`` as the new content of this tensor, and of what shares its memory."""
        value = self
        while value.base is not None:
            base = value.base
            whole = base.refresh()
            value.node, value.read, value.total = node, False, None
            node = _written_through(self.owner, whole, node, value.view)
            value = base
        value.node, value.read, value.total = node, False, None
        value.version += 1
        version, value = value.version, self
        while value.base is not None:
            value.version = version
            value = value.base


def _written_through(
    owner: Emitter, whole: int, part: int, view: tuple[str, dict[str, AttrValue]] | None
) -> int:
    """The node of a tensor after ``part`` was written to a view of it."""
    if view is None:
        return part
    op, attrs = view
    shape = owner.node_shape(whole)
    if op == "reshape":
        return owner.emit("reshape", (part,), {"shape": shape}, shape)
    if op == "permute":
        dims: Any = attrs["dims"]
        back = tuple(dims.index(axis) for axis in range(len(dims)))
        return owner.emit("permute", (part,), {"dims": back}, shape)
    return owner.emit("scatter", (whole, part), {"spec": attrs.get("spec")}, shape)


def get_value(tensor: Tensor, owner: Emitter) -> Value | None:
    """The value that ``owner`` has given to a tensor; ``None`` for constants."""
    value: Value | None = getattr(tensor, _ATTRIBUTE, None)
    return value if value is not None and value.owner is owner else None


def set_value(tensor: Tensor, value: Value) -> None:
    """Make ``value`` the value of a tensor."""
    setattr(tensor, _ATTRIBUTE, value)


def same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors share their memory (also told for meta and fake tensors)."""
    try:
        return bool(a.untyped_storage()._cdata == b.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse and wrapped tensors have no storage
        return False
