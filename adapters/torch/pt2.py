"""``.pt2`` files, which ``torch.export.save`` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureError
from gennape_plugin.core.graph import MAX_NODES

from .program import CHECKS, Block, Program, Step, TensorSpec, Weight, nested
from .pt2_archive import read_records
from .pt2_targets import arguments_of, returns_one, target_of
from .pt2_values import (
    DTYPES,
    argument_value,
    evaluated,
    example_of,
    name_of,
    only,
    result_names,
    scope_of,
    symbol_of,
)
from .replay import replay

#: Greatest size of an axis.
_MAX_SIZE: Final = 1 << 40


def capture_pt2(
    path: str | Path,
    *,
    model: str | None = None,
    name: str | None = None,
    max_nodes: int = MAX_NODES,
) -> Capture:
    """The computation graph of a ``.pt2`` file.

    Only its description of the network is read: nothing in the file is run or unpickled, and
    its weights are left alone. Dynamic sizes are chosen as in
    :func:`~.exported.capture_exported`.

    Args:
        path: The file.
        model: Name of the network, where the file holds several.
        name: Name of the graph; that of the file by default.
        max_nodes: More operations than this are refused.

    Raises:
        InvalidInputError: if there is no such file, or no such network in it.
        CaptureError: if it is no such archive, a damaged one, or calls what is not torch's own.
    """
    records = read_records(path, model)
    try:
        program = _Reader(records.weights).read(records.program, name or records.name)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise CaptureError(
            f"{path} describes no exported program that this version reads "
            f"({type(error).__name__}: {error!s:.120}); load it yourself with torch.export.load if "
            "you trust the file, and give the ExportedProgram"
        ) from error
    return replay(program, route="pt2", max_nodes=max_nodes)


class _Reader:
    """Reads the record of one program."""

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._stored = stored
        self._sizes: dict[str, int] = {}  # by symbol
        self._warnings: dict[str, None] = {}

    def read(self, record: Mapping[str, Any], name: str) -> Program:
        """The program as inputs, weights and steps."""
        module = record["graph_module"]
        graph, signature = module["graph"], module["signature"]
        metas = graph["tensor_values"]
        specs = [only(spec) for spec in signature["input_specs"]]
        users = [only(spec["arg"]) for kind, spec in specs if kind == "user_input"]
        self._choose_sizes([metas[a["name"]] for kind, a in users if kind == "as_tensor"])
        inputs: dict[str, TensorSpec] = {}
        weights: dict[str, Weight] = {}
        numbers: dict[str, Any] = {}
        for kind, spec in specs:
            if kind == "user_input":
                form, value = only(spec["arg"])
                if form == "as_tensor":
                    inputs[value["name"]] = self._spec(metas[value["name"]])
                elif form == "as_sym_int":
                    size = graph["sym_int_values"][value["as_name"]]
                    numbers[value["as_name"]] = self._size(size)
            elif kind in ("parameter", "buffer", "tensor_constant"):
                label = spec["arg"]["name"]
                weights[label] = self._weight(spec.get(f"{kind}_name"), metas[label], kind)
        body = self._block(graph)
        kept = [
            output
            for (kind, _), output in zip(
                map(only, signature["output_specs"]), body.outputs, strict=True
            )
            if kind == "user_output"
        ]
        body = Block(body.inputs, body.steps, kept)
        return Program(name, inputs, weights, numbers, body, tuple(self._warnings))

    # -- sizes and tensors -------------------------------------------------------------------

    def _choose_sizes(self, metas: Sequence[Mapping[str, Any]]) -> None:
        for meta in metas:
            for axis, size in enumerate(meta["sizes"]):
                symbol = symbol_of(size)
                if symbol is not None and axis == 0:
                    self._sizes[symbol] = 1
        for meta in metas:
            for size in meta["sizes"]:
                symbol = symbol_of(size)
                if symbol is not None and symbol not in self._sizes:
                    self._sizes[symbol] = chosen = example_of(size)
                    self._warnings[
                        f"a size of the input is dynamic ({symbol}): the graph is that of {chosen}"
                    ] = None

    def _size(self, size: Mapping[str, Any]) -> int:
        kind, value = only(size)
        if kind == "as_expr":
            found = evaluated(value["expr_str"], self._sizes)
            value = example_of(size) if found is None else found
        if type(value) is not int or not 0 <= value <= _MAX_SIZE:
            raise ValueError(f"{value!r:.40} is no size")
        return value

    def _spec(self, meta: Mapping[str, Any]) -> TensorSpec:
        sizes = meta["sizes"]
        strides = None
        if all("as_int" in size for size in (*sizes, *meta["strides"])):
            strides = tuple(map(self._size, meta["strides"]))
        return TensorSpec(tuple(map(self._size, sizes)), DTYPES[meta["dtype"]], strides)

    def _weight(self, name: str | None, meta: Mapping[str, Any], kind: str) -> Weight:
        spec = self._spec(meta)
        stored = self._stored.get(name or "")
        stored = stored if isinstance(stored, dict) else {}
        place = stored.get("path_name")
        key: Any = (kind, name)
        if isinstance(place, str):
            offset = (stored.get("tensor_meta") or {}).get("storage_offset")
            key = (place, str(offset), spec.shape, spec.strides)
        return Weight(spec, kind == "parameter", key)

    # -- calls ---------------------------------------------------------------------------------

    def _block(self, graph: Mapping[str, Any]) -> Block:
        inputs = tuple(name_of(argument) for argument in graph["inputs"])
        steps: list[Step] = []
        for node in graph["nodes"]:
            self._step(node, steps)
        outputs = [argument_value(argument, self._block) for argument in graph["outputs"]]
        single = graph.get("is_single_tensor_return") and len(outputs) == 1
        return Block(inputs, steps, outputs[0] if single else outputs)

    def _step(self, node: Mapping[str, Any], steps: list[Step]) -> None:
        target_name: str = node["target"]
        args: list[Any] = []
        named: dict[str, Any] = {}
        by_name = target_name.startswith("torch.ops.") and ".higher_order." not in target_name
        for given in node["inputs"]:
            value = argument_value(given["arg"], self._block)
            if not given["name"] or not by_name:
                args.append(value)
            else:
                named[given["name"]] = value
        if target_name.rpartition(".")[0].rpartition(".")[2] in CHECKS:
            return
        results: Any = result_names(node["outputs"])
        scope = scope_of(node.get("metadata") or {})
        if target_name.startswith("torch.ops.higher_order."):
            label = target_name.removeprefix("torch.ops.higher_order.")
            inner = nested(label, args)
            if inner is None:
                raise CaptureError(
                    f"the file calls the higher-order operator {label!r:.60}, which cannot be "
                    "shown in a graph"
                )
            block, given_args, assumed = inner
            if assumed is not None:
                self._warnings[assumed] = None
            single = node.get("is_hop_single_tensor_return") and isinstance(results, list)
            steps.append(Step(block, given_args, {}, results[0] if single else results, scope))
            return
        target, overload = target_of(target_name)
        if overload is not None:
            args, named = arguments_of(overload, named)
        if overload is None or returns_one(overload):
            results = results[0] if results else None
        steps.append(Step(target, tuple(args), named, results, scope))
