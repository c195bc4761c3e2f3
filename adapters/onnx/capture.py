"""Any ONNX model as a computation graph.

Shapes are worked out while the graph is written, in Python integers, by the rules of the
graph's own operations: nothing is run, and no weight is read.

What an exported file no longer says, or says in other words, is a *documented difference*
from the graph of the module that it was exported from:

* ``nn.Identity`` and dropout in evaluation are not exported; ``sum([a, b, c])`` is two sums.
* Buffers are stored as parameters are: a float tensor with axes counts as learned. What
  parameters or buffers alone decide is stored as one tensor, of the size of the result.
* The same operation on the same tensor, done twice without weights, is exported once.
* A bias before a folded batch normalisation is lost. A shared convolution before a batch
  normalisation counts once for each use.
* ``x * sigmoid(x)``, and the other patterns of :mod:`.patterns` and :mod:`.norm_patterns`,
  become the operation they stand for, whichever way the module wrote them.
* Attention is exported as its products and its softmax (one more edge in the paper's view: the
  second product reads the values); a recurrent module of several
  layers as one node a layer, with reshapes between them.
* A batch normalisation folded into a convolution is told by the names of the weights
  (:mod:`.folded_norm`).
* Quantisation steps are data-type casts; scales and zero points are left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureError, GennapeError, GraphError
from gennape_plugin.core.graph import MAX_NODES

from . import handlers  # noqa: F401 (fills the tables)
from .control import CONTROL, branch_taken
from .folding import Folder
from .loading import load_model
from .network import read_network
from .nodes import OnnxNode
from .patterns import MATCHERS
from .registry import HANDLERS, Call, UnknownResultError
from .unknown import keep_as_custom
from .writer import GraphWriter

if TYPE_CHECKING:
    import onnx

_MAX_NAME: Final = 200
_MALFORMED: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
_MAX_NESTED: Final = 50


def capture_onnx(
    source: "str | Path | onnx.ModelProto",
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    *,
    name: str | None = None,
    max_nodes: int = MAX_NODES,
) -> Capture:
    """The computation graph of an ONNX model.

    External weight files are never opened: sizes are those that the model states.

    Args:
        source: Path of the file, or the model itself.
        input_shape: Shape of one sample without the batch axis, ``(channels, height,
            width)``, or one such shape for each input, where the file leaves sizes open. An
            open batch axis has size 1.
        name: Name of the graph; by default that of the file, or of the model's graph.
        max_nodes: More nodes than this are refused, local functions written out.

    Raises:
        InvalidInputError: if the source is no ONNX model, or an argument does not fit it.
        GraphError: if the model is not well formed.
        CaptureError: if the model holds what no graph can show.
    """
    model = load_model(source)
    try:
        return _captured(model, source, input_shape, name, max_nodes)
    except GennapeError:
        raise
    # Hostile files reach protobuf's and Python's own limits (text that is no UTF-8, recursion).
    except _MALFORMED as error:
        raise GraphError(
            f"the model is malformed: {type(error).__name__}: {error!s:.200}"
        ) from error


def _captured(
    model: "onnx.ModelProto",
    source: object,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None,
    name: str | None,
    max_nodes: int,
) -> Capture:
    network = read_network(model, input_shape, max_nodes=max_nodes)
    if name is None:
        name = Path(source).stem if isinstance(source, str | Path) else network.name[:_MAX_NAME]
    writer = GraphWriter(network, name=name, max_nodes=max_nodes)
    _Run(writer).run(network.nodes, 0)
    results = [writer.values[title] for title in network.outputs]
    nodes = [value.node for value in results if value.node is not None]
    if not any(map(writer.depends, results)):
        raise CaptureError("no output of the model depends on an input: it computes a constant")
    writer.builder.set_scope("")
    graph = writer.builder.build(*nodes, prune=True)
    return Capture(graph, "onnx", (), tuple(writer.warnings))


class _Run:
    """Writes the nodes of a model one by one."""

    def __init__(self, writer: GraphWriter) -> None:
        self.writer = writer
        self.folder = Folder()
        self.branches = 0

    def run(self, nodes: Sequence[OnnxNode], depth: int) -> None:
        """Write nodes in order."""
        if depth > _MAX_NESTED:
            raise GraphError(f"graphs are nested deeper than {_MAX_NESTED}")
        for node in nodes:
            if id(node) in self.writer.merged:
                continue
            call = Call(self.writer, node)
            self.writer.builder.set_scope(scope_of(node.name))
            try:
                if node.op in CONTROL and not node.domain:
                    self.branches += 1
                    inner = branch_taken(call, self.branches)
                    self.writer.note_readers(inner)
                    self.run(inner, depth + 1)
                else:
                    self.write(call)
            except (GraphError, CaptureError) as error:
                text = str(error)
                if not text.startswith("node "):
                    raise type(error)(f"{node.title}: {text}") from None
                raise

    def write(self, call: Call) -> None:
        """Write one node: as a constant, a pattern's end, by its handler, or as it is."""
        node = call.node
        if not any(node.outputs):
            return
        handler = HANDLERS.get(node.op) if not node.domain else None
        try:
            if not node.domain:
                if self.folder.fold(call):
                    return
                whole = node.inputs and all(node.inputs)
                if whole and any(matcher(call) for matcher in MATCHERS.get(node.op, ())):
                    return
            if handler is None:
                keep_as_custom(call)
            else:
                handler(call)
        except UnknownResultError:
            keep_as_custom(call)
        for name in node.outputs:
            if name and name not in self.writer.values and self.writer.readers[name]:
                raise CaptureError(
                    f"{node.title} has a further result {name!r:.200}, which no graph shows"
                )


def scope_of(name: str) -> str:
    """The module path in a node's name as torch's exporter writes it.

    ``/layer1/layer1.0/conv1/Conv`` is ``layer1.0.conv1``.
    """
    if not name.startswith("/"):
        return name[:_MAX_NAME]
    path: list[str] = []
    for part in name[1:].split("/")[:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)[:_MAX_NAME]
