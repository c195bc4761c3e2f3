"""`GraphBuilder`: write a computation graph down, one operation at a time.

Benchmark families, file readers and the module recorder all make their graphs here, so
shapes, channel axes and defaults are worked out in one place::

    b = GraphBuilder("tiny")
    x = b.input((1, 3, 32, 32))
    x = b.relu(b.batch_norm(b.conv(x, 64, kernel=3, stride=2)))
    x = b.linear(b.mean(x, (2, 3)), 10)
    graph = b.build(x)
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .errors import GraphError
from .graph import MAX_NODES, ComputeGraph
from .node import Node, make_node
from .ops import AttrValue
from .rewiring import reached, rewired
from .shapes import Shape

Size = int | Sequence[int]


def _pair(value: Size, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


class GraphBuilder:
    """Collects operations; every method returns the index of the node it made."""

    def __init__(self, name: str = "", *, max_nodes: int = MAX_NODES) -> None:
        """Start an empty graph.

        Args:
            name: Name of the network, for people.
            max_nodes: More nodes than this raise :class:`GraphError`.
        """
        self.name = name
        self.nodes: list[Node] = []
        self.operands: list[tuple[int, ...]] = []
        #: By what identifies a weight to the caller, the node that owns it.
        self.owners: dict[Hashable, int] = {}
        self._weight_of: dict[int, int] = {}
        self._scopes: list[str] = []
        self._scope = ""
        self._max_nodes = max_nodes

    # -- the two ways in ---------------------------------------------------------------

    def add(
        self,
        op: str,
        operands: Sequence[int] = (),
        *,
        out_shape: Shape | None = None,
        shares: int | None = None,
        **attrs: AttrValue,
    ) -> int:
        """Add one operation of any kind.

        Args:
            op: Name of the op (see :data:`~gennape_plugin.core.ops.OPS`).
            operands: Indices of the nodes that it reads, in order.
            out_shape: Shape of the result, where the op has no shape rule.
            shares: Index of the earlier node whose weights it uses again.
            **attrs: The op's attributes.

        Raises:
            GraphError: naming the op, its attributes and the shapes it was given.
        """
        operands = tuple(operands)
        nodes = self.nodes
        if operands and not 0 <= min(operands) <= max(operands) < len(nodes):
            raise GraphError(
                f"op {op!r} reads nodes {operands}, but only {len(nodes)} exist so far"
            )
        in_shapes = tuple([nodes[i].shape for i in operands])
        in_axis = nodes[operands[0]].axis if operands else None
        node = make_node(op, attrs, in_shapes, in_axis=in_axis, out_shape=out_shape)
        if shares is not None and (
            not 0 <= shares < len(nodes) or nodes[shares].params != node.params
        ):
            raise GraphError(
                f"op {op!r} with {node.params} parameters cannot share the weights of node "
                f"{shares}: it must be an earlier node with equally many"
            )
        index = self.append(node, operands)
        if shares is not None:
            self._weight_of[index] = self._weight_of.get(shares, shares)
        return index

    def owner(
        self,
        key: Hashable,
        op: str,
        operands: Sequence[int],
        *,
        out_shape: Shape | None = None,
        **attrs: AttrValue,
    ) -> tuple[int | None, bool]:
        """The node whose weights an operation may share.

        Args:
            key: What identifies the weight, in :attr:`owners`.
            op: Name of the op.
            operands: Its operands.
            out_shape: Shape of its result, where the op has no shape rule.
            **attrs: Its attributes.

        Returns:
            The node that owns the weight, ``None`` where there is none, and whether it has as
            many parameters as the operation: another kind of use of a weight cannot share it.
        """
        known = self.owners.get(key)
        if known is None:
            return None, False
        shapes = tuple([self.nodes[i].shape for i in operands])
        params = make_node(op, attrs, shapes, out_shape=out_shape).params
        return known, self.nodes[known].params == params

    def append(self, node: Node, operands: tuple[int, ...]) -> int:
        """Add an operation made earlier by :func:`~.node.make_node` (the fast way).

        The caller vouches that the operands have the node's ``in_shapes``.
        """
        index = len(self.nodes)
        if index >= self._max_nodes:
            raise GraphError(f"the network has more than {self._max_nodes} operations")
        self.nodes.append(node)
        self.operands.append(operands)
        self._scopes.append(self._scope)
        return index

    def shape(self, node: int) -> Shape:
        """Shape of a node's result, batch axis first."""
        return self.nodes[node].shape

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Label the nodes made inside, for people (``"stage1.block0"``)."""
        before = self._scope
        self._scope = f"{before}.{name}" if before else name
        try:
            yield
        finally:
            self._scope = before

    def set_scope(self, name: str) -> None:
        """Label the nodes made from now on."""
        self._scope = name

    # -- the common operations -------------------------------------------------------------

    def input(self, shape: Sequence[int], dtype: str = "float32") -> int:
        """An input tensor of ``shape``, batch axis included."""
        return self.add("input", shape=tuple(shape), dtype=dtype)

    def conv(
        self,
        x: int,
        channels: int,
        *,
        kernel: Size,
        stride: Size = 1,
        padding: Size | None = None,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> int:
        """A convolution; ``padding`` defaults to ``dilation * (kernel - 1) / 2``.

        That default gives the output sizes of TF's SAME for odd kernels.
        """
        rank = len(self.shape(x)) - 2
        k, d = _pair(kernel, rank), _pair(dilation, rank)
        if padding is None:
            # Sequences of unequal lengths are left for the shape rule to refuse.
            padding = [di * (ki - 1) // 2 for ki, di in zip(k, d, strict=False)]
        return self.add(
            "conv",
            (x,),
            channels=channels,
            kernel=k,
            stride=_pair(stride, rank),
            padding=_pair(padding, rank),
            dilation=d,
            groups=groups,
            bias=bias,
        )

    def depthwise(
        self, x: int, *, kernel: Size, stride: Size = 1, dilation: Size = 1, bias: bool = False
    ) -> int:
        """A depthwise convolution: one filter a channel, SAME padding."""
        channels = self.shape(x)[1]
        return self.conv(
            x, channels, kernel=kernel, stride=stride, dilation=dilation, groups=channels, bias=bias
        )

    def linear(self, x: int, features: int, *, bias: bool = True) -> int:
        """A fully connected layer over the last axis."""
        return self.add("linear", (x,), features=features, bias=bias)

    def batch_norm(self, x: int) -> int:
        """Batch normalisation with learned scale and shift."""
        return self.add("batch_norm", (x,))

    def relu(self, x: int) -> int:
        """``max(x, 0)``."""
        return self.add("relu", (x,))

    def relu6(self, x: int) -> int:
        """``min(max(x, 0), 6)``."""
        return self.add("relu6", (x,))

    def max_pool(self, x: int, *, kernel: Size, stride: Size, padding: Size = 0) -> int:
        """Max pooling."""
        return self._pool("max_pool", x, kernel, stride, padding, dilation=(1,) * self._rank(x))

    def avg_pool(
        self,
        x: int,
        *,
        kernel: Size,
        stride: Size,
        padding: Size = 0,
        count_include_pad: bool = True,
    ) -> int:
        """Average pooling."""
        return self._pool(
            "avg_pool", x, kernel, stride, padding, count_include_pad=count_include_pad
        )

    def _rank(self, x: int) -> int:
        return len(self.shape(x)) - 2

    def _pool(
        self, op: str, x: int, kernel: Size, stride: Size, padding: Size, **attrs: Any
    ) -> int:
        rank = self._rank(x)
        window: Mapping[str, Any] = {
            "kernel": _pair(kernel, rank),
            "stride": _pair(stride, rank),
            "padding": _pair(padding, rank),
        }
        return self.add(op, (x,), **window, **attrs)

    def mean(self, x: int, axes: Sequence[int], *, keepdim: bool = False) -> int:
        """Mean over ``axes``."""
        return self.add("mean", (x,), axes=tuple(axes), keepdim=keepdim)

    def join(self, op: str, *xs: int) -> int:
        """``add`` or ``mul`` of two or more tensors."""
        return self.add(op, xs)

    def concat(self, xs: Sequence[int], *, dim: int = 1) -> int:
        """Concatenation; a single tensor is returned as it is."""
        return xs[0] if len(xs) == 1 else self.add("concat", xs, dim=dim)

    # -- the end ---------------------------------------------------------------------------

    def build(self, *outputs: int, prune: bool = False) -> ComputeGraph:
        """Close the graph over its outputs.

        Args:
            *outputs: Indices of the nodes that the network returns.
            prune: Drop nodes that no output depends on (inputs stay); otherwise such
                nodes are an error.

        Raises:
            GraphError: without outputs, or for dead nodes.
        """
        if not outputs:
            raise GraphError("a graph needs at least one output: build(x)")
        self.add("output", outputs)
        if not any(node.op == "input" for node in self.nodes):
            raise GraphError("a graph needs at least one input: b.input((1, 3, 32, 32))")
        graph = ComputeGraph(
            self.nodes,
            self.operands,
            weight_of=[self._weight_of.get(i, i) for i in range(len(self.nodes))],
            scopes=self._scopes,
            name=self.name,
            _trusted=True,
        )
        alive = reached(graph.nodes, graph.operands)
        if all(alive):
            return graph
        if not prune:
            dead = alive.index(False)
            raise GraphError(
                f"node {dead} ({graph.nodes[dead].op}) does not reach the output: "
                "remove it or build(..., prune=True)"
            )
        return rewired(graph, graph.nodes, graph.operands)
