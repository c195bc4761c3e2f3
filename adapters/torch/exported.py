"""Programs of ``torch.export``, and what ``torch.fx`` graphs say of their inputs."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureError, InvalidInputError
from gennape_plugin.core.graph import MAX_NODES
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from .program import CHECKS, Block, Program, Ref, Step, TensorSpec, Weight, nested
from .replay import replay

#: A dynamic batch is at least so large in programs that do not say otherwise: ``torch.export``
#: treats sizes 0 and 1 as constants.
_LEAST_DYNAMIC: Final = 2


def capture_exported(
    program: ExportedProgram, *, name: str | None = None, max_nodes: int = MAX_NODES
) -> Capture:
    """The computation graph of an exported program, whatever its dialect.

    Shapes are the program's own. A dynamic first axis of an input is the batch and becomes 1;
    other dynamic axes have the size of the example that the program was exported with.

    Args:
        program: The program; it is not run and not changed.
        name: Name of the graph; that of the exported module's class by default.
        max_nodes: More operations than this are refused.

    Raises:
        InvalidInputError: if it is no exported program.
        CaptureError: if one of its calls fails without data, or no output depends on an input.
    """
    if not isinstance(program, ExportedProgram):
        raise InvalidInputError(
            f"an exported program is what torch.export.export returns, got "
            f"{type(program).__name__}: {program!r:.80}"
        )
    return replay(_Reader(program).read(name), route="export", max_nodes=max_nodes)


class _Reader:
    """Reads one exported program."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._sizes: dict[Any, int] = {}  # by symbol
        self._warnings: dict[str, None] = {}

    def read(self, name: str | None) -> Program:
        """The program as inputs, weights and steps."""
        program = self._program
        placeholders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
        inputs: dict[str, TensorSpec] = {}
        weights: dict[str, Weight] = {}
        numbers: dict[str, Any] = {}
        given = [
            (spec, placeholders[spec.arg.name])
            for spec in program.graph_signature.input_specs
            if spec.arg.name in placeholders
        ]
        users = [node for spec, node in given if spec.kind is InputKind.USER_INPUT]
        self._choose_sizes([node.meta.get("val") for node in users])
        for spec, node in given:
            value = node.meta.get("val")
            if spec.kind is not InputKind.USER_INPUT:
                weights[node.name] = self._weight(spec.target, value, spec.kind)
            elif isinstance(value, Tensor):
                inputs[node.name] = self._spec(value)
            else:
                numbers[node.name] = self._number(value)
        body = self._block(program.graph_module)
        # Results that only write buffers come first and are no outputs of the network.
        kept = [
            output
            for spec, output in zip(
                program.graph_signature.output_specs, _sequence(body.outputs), strict=False
            )
            if spec.kind is OutputKind.USER_OUTPUT
        ]
        body = Block(body.inputs, body.steps, kept)
        title = _title(program.graph_module) if name is None else name
        return Program(title, inputs, weights, numbers, body, tuple(self._warnings))

    # -- inputs and weights ----------------------------------------------------------------

    def _choose_sizes(self, values: Sequence[Any]) -> None:
        """Decide on the size that each symbol stands for."""
        ranges = self._program.range_constraints
        tensors = [value for value in values if isinstance(value, Tensor)]
        for symbol in _batches(tensors):
            least = ranges[symbol].lower if symbol in ranges else 1
            self._sizes[symbol] = 1 if least <= _LEAST_DYNAMIC else int(least)
        for size in [s for t in tensors for s in t.shape] + list(values):
            if not isinstance(size, torch.SymInt):
                continue
            for symbol in size.node.expr.free_symbols:
                if symbol not in self._sizes:
                    self._sizes[symbol] = chosen = self._example(size, symbol)
                    self._warnings[
                        f"a size of the input is dynamic ({symbol}): the graph is that of {chosen}"
                    ] = None

    def _example(self, size: torch.SymInt, symbol: Any) -> int:
        hint = size.node.hint if size.node.expr == symbol else None
        if hint is None:
            known = getattr(size.node.shape_env, "backed_var_to_val", None)
            known = known or getattr(size.node.shape_env, "var_to_val", {})
            hint = known.get(symbol)
        if hint is None and symbol in self._program.range_constraints:
            hint = self._program.range_constraints[symbol].lower
        if hint is None:
            raise CaptureError(
                f"the input's size {symbol} is dynamic and the program holds no example of it: "
                "export the module with fixed sizes"
            )
        return int(hint)

    def _number(self, value: Any) -> Any:
        if not isinstance(value, torch.SymInt):
            return value
        return int(value.node.expr.xreplace(self._sizes))

    def _spec(self, value: Tensor) -> TensorSpec:
        shape = tuple(int(self._number(size)) for size in value.shape)
        fixed = all(isinstance(size, int) for size in value.shape)
        strides = tuple(map(int, value.stride())) if fixed and _strided(value) else None
        return TensorSpec(shape, value.dtype, strides)

    def _weight(self, target: str | None, value: Any, kind: InputKind) -> Weight:
        program = self._program
        held = program.state_dict.get(target or "", program.constants.get(target or "", value))
        if not isinstance(held, Tensor):
            raise CaptureError(
                f"the program reads {target!r}, a {type(held).__name__}: only tensors can be "
                "shown in a graph"
            )
        return Weight(self._spec(held), kind is InputKind.PARAMETER, _identity(held))

    # -- calls -------------------------------------------------------------------------------

    def _block(self, module: fx.GraphModule) -> Block:
        inputs: list[str] = []
        steps: list[Step] = []
        blocks: dict[str, Block] = {}
        outputs: Any = []
        for node in module.graph.nodes:
            if node.op == "placeholder":
                inputs.append(node.name)
            elif node.op == "get_attr":
                held = _attribute(module, node.target)
                if isinstance(held, fx.GraphModule):
                    blocks[node.name] = self._block(held)
                else:
                    raise CaptureError(
                        f"the program reads the attribute {node.target!r} of its module, which "
                        "torch.export lifts out: save and load it, or export the module again"
                    )
            elif node.op == "output":
                outputs = _referring(node.args[0], blocks)
            elif node.op == "call_function":
                self._step(node, blocks, steps)
            # A call of a module is a check of guards: torch.export leaves no other.
        return Block(tuple(inputs), steps, outputs)

    def _step(self, node: fx.Node, blocks: Mapping[str, Block], steps: list[Step]) -> None:
        target: Any = node.target
        args = tuple(_referring(node.args, blocks))
        kwargs = _referring(dict(node.kwargs), blocks)
        name = getattr(target, "__name__", str(target)).partition(".")[0]
        if name in CHECKS:
            return
        if isinstance(target, torch._ops.HigherOrderOperator):
            inner = nested(name, args)
            if inner is None:
                raise CaptureError(
                    f"the program calls the higher-order operator {name}, which cannot be shown "
                    "in a graph: capture the module that was exported"
                )
            target, args, assumed = inner
            kwargs = {}
            if assumed is not None:
                self._warnings[assumed] = None
        steps.append(Step(target, args, kwargs, node.name, _scope(node)))


def _referring(tree: Any, blocks: Mapping[str, Block]) -> Any:
    """Arguments of a node, with references for nodes and no device but meta."""
    if isinstance(tree, fx.Node):
        return blocks.get(tree.name) or Ref(tree.name)
    if isinstance(tree, tuple | list):
        return [_referring(item, blocks) for item in tree]
    if isinstance(tree, Mapping):
        return {key: _referring(item, blocks) for key, item in tree.items()}
    return torch.device("meta") if isinstance(tree, torch.device) else tree


def _sequence(outputs: Any) -> Sequence[Any]:
    return outputs if isinstance(outputs, tuple | list) else (outputs,)


def _identity(tensor: Tensor) -> Any:
    """Equal for views of the same memory with the same layout."""
    try:
        memory: Any = tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):
        memory = id(tensor)
    return memory, tuple(tensor.shape), _strided(tensor) and tensor.stride(), str(tensor.dtype)


def _strided(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided


def _attribute(module: fx.GraphModule, path: Any) -> Any:
    return operator.attrgetter(str(path))(module)


def _modules_of(node: fx.Node) -> list[tuple[str, Any]]:
    stack = node.meta.get("nn_module_stack")
    return list(stack.values()) if isinstance(stack, Mapping) else []


def _scope(node: fx.Node) -> str:
    modules = _modules_of(node)
    return module_path(modules[-1][0]) if modules else ""


def module_path(path: str) -> str:
    """A module's path as ``named_modules`` gives it; ``""`` for what is no module."""
    path = path.removeprefix("L['self']").lstrip(".")
    return path.split("@")[0] if not path.startswith("_empty_nn_module_stack") else ""


def _title(module: fx.GraphModule) -> str:
    """Class of the module that was exported."""
    for node in module.graph.nodes:
        for path, kind in _modules_of(node):
            if path == "":
                text = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
                return str(text).rpartition(".")[2] or "Exported"
    return "Exported"


# -- torch.fx -----------------------------------------------------------------------------------


def example_inputs_of(module: fx.GraphModule) -> tuple[Tensor, ...] | None:
    """Inputs of the shapes that a traced graph has noted, on the meta device.

    ``torch.fx.passes.shape_prop.ShapeProp`` and torch's own tracers note them. A dynamic first
    axis is the batch and becomes 1; others have the size of the example that was traced.

    Returns:
        One tensor for each input that forward requires; ``None`` where a shape is missing.

    Raises:
        InvalidInputError: if it is no graph module.
    """
    if not isinstance(module, fx.GraphModule):
        raise InvalidInputError(
            f"a traced graph is a torch.fx.GraphModule, got {type(module).__name__}"
        )
    noted: list[Any] = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            keys = ("val", "example_value", "tensor_meta")
            value = next((node.meta[k] for k in keys if node.meta.get(k) is not None), None)
            if getattr(value, "shape", None) is None:
                if node.args:  # it has a default, as have all after it
                    break
                return None
            noted.append(value)
    batches = dict.fromkeys(_batches(noted), 1)
    shapes: list[Any] = [[_size(s, batches) for s in value.shape] for value in noted]
    if not noted or any(None in shape for shape in shapes):
        return None
    pairs = zip(noted, shapes, strict=True)
    return tuple(torch.empty(shape, dtype=n.dtype, device="meta") for n, shape in pairs)


def _size(size: Any, batches: Mapping[Any, int]) -> int | None:
    """A size as a number; ``None`` for one without an example."""
    if not isinstance(size, torch.SymInt):
        return int(size)
    expr = size.node.expr
    return int(expr.xreplace(batches)) if expr.free_symbols <= set(batches) else size.node.hint


def _batches(values: Sequence[Any]) -> list[Any]:
    """The symbols of dynamic first axes."""
    first: list[Any] = [value.shape[0] for value in values if len(value.shape)]
    symbols = [size.node.expr for size in first if isinstance(size, torch.SymInt)]
    return [symbol for symbol in symbols if symbol.is_Symbol]
