"""The graph under construction: nodes of ONNX values, and what is known of them."""

from collections import Counter
from collections.abc import Sequence

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import CaptureError, GraphError
from gennape_plugin.core.ops import AttrValue
from gennape_plugin.core.shapes import Shape

from .network import Network
from .nodes import OnnxNode
from .ordering import reads
from .tensors import MAX_RANK, is_float
from .values import Value

Attrs = dict[str, AttrValue]


class GraphWriter:
    """Writes nodes, and keeps track of what every ONNX name stands for.

    Attributes:
        network: The model.
        builder: The graph so far.
        values: What each name stands for.
        made_by: The ONNX node that wrote each name.
        readers: How often each name is read, the model's outputs included.
        reader: The last node that reads each name.
        merged: Ids of nodes whose work an earlier one has taken over.
        warnings: What was assumed, without repetitions.
    """

    def __init__(self, network: Network, *, name: str, max_nodes: int) -> None:
        """Start a graph with the inputs and weights of a model.

        Args:
            network: The model.
            name: Name of the graph.
            max_nodes: More nodes than this are refused.
        """
        self.network = network
        self.builder = GraphBuilder(name)
        self.values: dict[str, Value] = {}
        self.made_by: dict[str, OnnxNode] = {}
        self.readers: Counter[str] = Counter(network.outputs)
        self.reader: dict[str, OnnxNode] = {}
        self.merged: set[int] = set()
        self.warnings: dict[str, None] = dict.fromkeys(network.warnings)
        self._max_nodes = max_nodes
        self._depends: list[bool] = []  # of each node: whether it depends on an input
        self._learned: list[bool] = []  # whether it depends on something learned
        for title, dtype, shape in network.inputs:
            node = self.emit("input", (), {"shape": shape, "dtype": dtype})
            self.values[title] = Value(shape, dtype, node)
        for title, weight in network.weights.items():
            # A file does not tell parameters from buffers; numbers without axes are settings.
            learned = is_float(weight.dtype) and weight.shape != ()
            self.values[title] = Value(
                weight.shape, weight.dtype, None, weight.data, learned, title, True
            )
        self.note_readers(network.nodes)

    def note_readers(self, nodes: Sequence[OnnxNode]) -> None:
        """Count who reads what, before the nodes are written."""
        for node in nodes:
            for name in reads(node):
                if name:
                    self.readers[name] += 1
                    self.reader[name] = node
            for name in node.outputs:
                if name:
                    self.made_by[name] = node

    def only_reader(self, name: str) -> OnnxNode | None:
        """The node that alone reads a value, once."""
        return self.reader.get(name) if self.readers[name] == 1 else None

    # -- reading -----------------------------------------------------------------------

    def depends(self, value: Value) -> bool:
        """Whether a value depends on an input."""
        return value.node is not None and self._depends[value.node]

    def is_constant(self, node: int) -> bool:
        """Whether a node depends neither on an input nor on anything learned."""
        return not self._depends[node] and not self._learned[node]

    def operand(self, value: Value) -> int:
        """The node of a value; a constant gets its ``parameter`` here."""
        if value.node is None:
            attrs: Attrs = {"shape": value.shape, "trainable": value.learned}
            value.node = self.emit("parameter", (), attrs, weight=value)
        return value.node

    def shape(self, node: int) -> Shape:
        """Shape of a node's result."""
        return self.builder.nodes[node].shape

    # -- writing -----------------------------------------------------------------------

    def emit(
        self,
        op: str,
        operands: Sequence[int],
        attrs: Attrs,
        out_shape: Shape | None = None,
        weight: Value | None = None,
    ) -> int:
        """Add one node.

        Args:
            op: Name of the op.
            operands: Its operands.
            attrs: Its attributes.
            out_shape: Shape of its result, where it is known.
            weight: The value that identifies its weights.

        Raises:
            CaptureError: beyond the greatest number of nodes.
            GraphError: if the operation does not fit its operands or its result.
        """
        builder = self.builder
        if len(builder.nodes) >= self._max_nodes:
            raise CaptureError(f"the model has more than {self._max_nodes} operations")
        key = weight.key if weight is not None else ""
        shares = None
        if key:
            owner, fits = builder.owner(key, op, operands, out_shape=out_shape, **attrs)
            shares = owner if fits else None
        index = builder.add(op, operands, out_shape=out_shape, shares=shares, **attrs)
        if len(self.shape(index)) > MAX_RANK:
            raise GraphError(f"its result has more than {MAX_RANK} axes")
        if key and shares is None:
            builder.owners[key] = index
        self._depends.append(op == "input" or any(self._depends[i] for i in operands))
        trainable = op == "parameter" and attrs["trainable"] is True
        self._learned.append(trainable or any(self._learned[i] for i in operands))
        return index

    def warn(self, message: str) -> None:
        """Note an assumption."""
        self.warnings[message] = None
