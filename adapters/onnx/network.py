"""An ONNX model as checked Python data: inputs, weights, ordered nodes, declared shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gennape_plugin.core.errors import CaptureError, GraphError, InvalidInputError
from gennape_plugin.core.shapes import Shape

from .functions import Functions, domain_of
from .nodes import OnnxNode, text_of
from .ordering import check_order
from .tensors import MAX_RANK, MAX_SIZE, Array, checked_shape, dtype_name, read_tensor

Dim = int | str | None  # a size, the name of a size, or nothing known


@dataclass(frozen=True)
class Weight:
    """An initializer: what the file stores under a name."""

    shape: Shape
    dtype: str
    data: Array | None


@dataclass
class Network:
    """A model whose names and sizes have been checked.

    Attributes:
        name: Its name.
        opset: Version of the standard operators.
        inputs: Name, data type and shape of every input.
        weights: Initializers by name.
        nodes: Nodes, producers first, local functions written out.
        outputs: Names of the outputs.
        declared: Shapes that the file states, by name of the value.
        functions: For graphs inside nodes.
        sizes: Sizes of named dimensions.
        warnings: What was assumed, for people.
    """

    name: str
    opset: int
    inputs: list[tuple[str, str, Shape]]
    weights: dict[str, Weight]
    nodes: list[OnnxNode]
    outputs: list[str]
    declared: dict[str, list[Dim]]
    functions: Functions
    sizes: dict[str, int]
    warnings: list[str] = field(default_factory=list)

    def declared_shape(self, name: str) -> Shape | None:
        """The shape that the file states for a value, if it states all of it."""
        dims = self.declared.get(name)
        if dims is None:
            return None
        known = [self.sizes.get(dim) if isinstance(dim, str) else dim for dim in dims]
        shape = tuple(size for size in known if size is not None)
        return shape if len(shape) == len(known) else None


def read_network(model: Any, input_shape: Any, *, max_nodes: int) -> Network:
    """Check a ``ModelProto`` and read its structure.

    Args:
        model: The message.
        input_shape: Shape of one sample, or of each input, for dimensions that the file
            leaves open; ``None`` where there are none.
        max_nodes: More nodes than this are refused.

    Raises:
        GraphError: if the graph is not well formed.
        CaptureError: for inputs that are no tensors, or whose sizes are unknown.
        InvalidInputError: if ``input_shape`` does not fit the inputs.
    """
    graph = model.graph
    opset = max([o.version for o in model.opset_import if domain_of(o.domain) == ""], default=13)
    stored = len(graph.initializer) + len(graph.sparse_initializer)
    if stored > max_nodes:
        raise GraphError(f"the model has {stored} initializers: at most {max_nodes} are allowed")
    weights: dict[str, Weight] = {}
    for tensor in graph.initializer:
        _once(tensor.name, weights)
        what = f"initializer {tensor.name!r:.200}"
        weights[tensor.name] = Weight(*read_tensor(tensor, what))
    for sparse in graph.sparse_initializer:
        name = sparse.values.name
        _once(name, weights)
        shape = checked_shape(sparse.dims, f"initializer {name!r:.200}")
        weights[name] = Weight(shape, dtype_name(sparse.values.data_type), None)
    open_inputs = [value for value in graph.input if value.name not in weights]
    network = Network(
        name=text_of(graph.name),
        opset=opset,
        inputs=[],
        weights=weights,
        nodes=[],
        outputs=[value.name for value in graph.output],
        declared={},
        functions=Functions(model.functions, max_nodes=max_nodes),
        sizes={},
    )
    _read_inputs(network, open_inputs, input_shape)
    for value in (*graph.value_info, *graph.output):
        if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"):
            network.declared[value.name] = _dims(value)
    network.nodes = list(network.functions.expand(graph.node))
    known = {*weights, *(name for name, _, _ in network.inputs)}
    check_order(network.nodes, known)
    written = {*known, *(name for node in network.nodes for name in node.outputs)}
    for name in network.outputs:
        if name not in written:
            raise GraphError(f"output {name!r:.200} of the model is written by no node")
    return network


def _once(name: str, weights: dict[str, Weight]) -> None:
    if not name or name in weights:
        raise GraphError(f"two initializers are called {name!r:.200}: names must be unique")


# -- inputs -------------------------------------------------------------------------------------


def _read_inputs(network: Network, values: Sequence[Any], input_shape: Any) -> None:
    if not values:
        raise CaptureError("the model has no inputs: a network reads at least one tensor")
    samples = _samples(input_shape, len(values))
    seen: set[str] = set()
    for value, sample in zip(values, samples, strict=True):
        what = f"input {value.name!r:.200}"
        if not value.name or value.name in seen:
            raise GraphError(f"two inputs of the model are called {value.name!r:.200}")
        seen.add(value.name)
        if not value.type.HasField("tensor_type"):
            raise CaptureError(f"{what} of the model is no tensor: only tensors can be read")
        kind = value.type.tensor_type
        dims: list[Dim] | None = _dims(value) if kind.HasField("shape") else None
        shape = _resolved(network, what, dims, sample)
        network.inputs.append((value.name, dtype_name(kind.elem_type), shape))


def _dims(value: Any) -> list[Dim]:
    """Sizes and names of sizes that the file states for a value."""
    out: list[Dim] = []
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_value"):
            if not 0 <= dim.dim_value <= MAX_SIZE:
                raise GraphError(
                    f"{value.name!r:.200} has an axis of size {dim.dim_value}: sizes are integers "
                    f"from 0 to {MAX_SIZE}"
                )
            out.append(int(dim.dim_value))
        else:
            out.append(dim.dim_param or None)
    if len(out) > MAX_RANK:
        raise GraphError(f"{value.name!r:.200} has {len(out)} axes: at most {MAX_RANK} are allowed")
    return out


def _resolved(network: Network, what: str, dims: list[Dim] | None, sample: Shape | None) -> Shape:
    """The shape of an input: open dimensions from the sample, an open batch axis of 1."""
    if dims is None:
        if sample is None:
            raise CaptureError(
                f"{what} has no shape in the file: give input_shape=(channels, height, width)"
            )
        dims = [None] * (len(sample) + 1)
    if sample is not None and len(sample) + 1 != len(dims):
        raise InvalidInputError(
            f"{what} has {len(dims)} axes, batch included, but input_shape {sample} has "
            f"{len(sample)}: give the sizes of all axes but the first"
        )
    shape: list[int] = []
    for axis, dim in enumerate(dims):
        given = None if sample is None or axis == 0 else sample[axis - 1]
        known = network.sizes.get(dim) if isinstance(dim, str) else dim
        if isinstance(dim, int) and given is not None and given != dim:
            raise InvalidInputError(
                f"{what} has size {dim} on axis {axis}, but input_shape {sample} says {given}"
            )
        if given is None:
            given = known if known is not None else 1 if axis == 0 else None
        if given is None:
            raise CaptureError(
                f"{what} leaves the size of axis {axis} open ({dim or 'no name'}): give "
                "input_shape with the sizes of all axes but the first"
            )
        if axis == 0 and isinstance(dim, int) and dim != 1:
            network.warnings.append(
                f"{what} fixes its first axis at {dim}: costs are for that batch size"
            )
        if isinstance(dim, str):
            network.sizes[dim] = given
        shape.append(given)
    return tuple(shape)


def _samples(input_shape: Any, count: int) -> list[Shape | None]:
    if input_shape is None:
        return [None] * count
    if _is_shape(input_shape):
        shapes = [tuple(input_shape)]
    elif isinstance(input_shape, list | tuple) and all(map(_is_shape, input_shape)):
        shapes = [tuple(shape) for shape in input_shape]
    else:
        raise InvalidInputError(
            "input_shape is the shape of one sample without its batch axis, such as (3, 32, 32), "
            f"or a tuple of such shapes for several inputs; got {input_shape!r:.120}"
        )
    if len(shapes) != count:
        raise InvalidInputError(
            f"input_shape gives {len(shapes)} shapes, but the model has {count} inputs: give one "
            "shape for each"
        )
    return list(shapes)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(size, int) and not isinstance(size, bool) and 0 < size <= MAX_SIZE
        for size in value
    )
