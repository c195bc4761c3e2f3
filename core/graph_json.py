"""Computation graphs as JSON: a lossless, readable and bounded format.

Distinct operations are written once and referred to by number, so the file of a large
network stays small. Reading trusts nothing: sizes are limited, every operation is
validated and every recorded shape is inferred again.
"""

import json
from pathlib import Path
from reprlib import repr as short  # bounded in length and depth, whatever a file holds
from typing import Any, Final

from .errors import GraphError
from .graph import MAX_NODES, ComputeGraph
from .node import Node, make_node
from .ops import AttrValue

FORMAT: Final = "gennape-graph"
VERSION: Final = 1
MAX_BYTES: Final = 256 << 20
_MAX_RANK: Final = 16
_MAX_TEXT: Final = 4096


def graph_to_dict(graph: ComputeGraph) -> dict[str, Any]:
    """The graph as plain JSON values."""
    table: dict[Node, int] = {}
    nodes = []
    for node, operands in zip(graph.nodes, graph.operands, strict=True):
        nodes.append([table.setdefault(node, len(table)), list(operands)])
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": graph.name,
        "ops": [
            {
                "op": node.op,
                "attrs": {name: _as_json(value) for name, value in node.attrs},
                "in": [list(shape) for shape in node.in_shapes],
                "out": list(node.shape),
            }
            for node in table
        ],
        "nodes": nodes,
        "shared": [[i, o] for i, o in enumerate(graph.weight_of) if i != o],
        "scopes": list(graph.scopes),
    }


def graph_from_dict(data: object) -> ComputeGraph:
    """Read what :func:`graph_to_dict` wrote.

    Raises:
        GraphError: if anything is missing, of a wrong type, over a limit or inconsistent.
    """
    record = _expect(data, dict, "a graph file holds one JSON object")
    if record.get("format") != FORMAT or record.get("version") != VERSION:
        raise GraphError(
            f"format {short(record.get('format'))} version {short(record.get('version'))}: this "
            f"package reads {FORMAT!r} version {VERSION}; write the file again with "
            "`gennape trace --json`"
        )
    table = []
    for entry in _expect(record.get("ops"), list, "'ops' is a list", MAX_NODES):
        fields = _expect(entry, dict, "each op is an object")
        op = _expect(fields.get("op"), str, "'op' is a name", _MAX_TEXT)
        attrs = {
            _expect(k, str, "attribute names are text"): _attr(v)
            for k, v in _expect(fields.get("attrs"), dict, "'attrs' is an object", 64).items()
        }
        shapes = tuple(
            _shape(s) for s in _expect(fields.get("in"), list, "'in' lists shapes", 65536)
        )
        table.append((op, attrs, shapes, _shape(fields.get("out"))))
    made: dict[tuple[int, int | None], Node] = {}
    nodes: list[Node] = []
    operands: list[list[int]] = []
    for item in _expect(record.get("nodes"), list, "'nodes' is a list", MAX_NODES):
        pair = _expect(item, list, "a node is [op number, [operand numbers]]", 2)
        if len(pair) != 2 or type(pair[0]) is not int or not 0 <= pair[0] < len(table):
            raise GraphError(
                f"node {len(nodes)} refers to op {short(pair[:1])}: 0 to {len(table) - 1} exist"
            )
        reads = _expect(pair[1], list, "operands are a list", 65536)
        if not all(type(i) is int and 0 <= i < len(nodes) for i in reads):
            raise GraphError(
                f"node {len(nodes)} reads {short(reads)}: operands must come before it"
            )
        op, attrs, shapes, out = table[pair[0]]
        if shapes != tuple([nodes[i].shape for i in reads]):
            raise GraphError(
                f"node {len(nodes)} ({short(op)}) expects operands of shapes {short(shapes)}, but "
                f"nodes {short(reads)} have others"
            )
        in_axis = nodes[reads[0]].axis if reads else None
        key = (pair[0], in_axis)
        if key not in made:
            made[key] = make_node(op, attrs, shapes, in_axis=in_axis, out_shape=out)
        nodes.append(made[key])
        operands.append(reads)
    owners = list(range(len(nodes)))
    for item in _expect(record.get("shared", []), list, "'shared' is a list", MAX_NODES):
        if (
            not isinstance(item, list)
            or len(item) != 2
            or not all(type(i) is int and 0 <= i < len(nodes) for i in item)
        ):
            raise GraphError(
                f"'shared' holds [node, owner] pairs of existing nodes, got {short(item)}"
            )
        owners[item[0]] = item[1]
    scopes = _expect(record.get("scopes", [""] * len(nodes)), list, "'scopes' is a list", MAX_NODES)
    name = _expect(record.get("name", ""), str, "'name' is text", _MAX_TEXT)
    scopes = [_expect(s, str, "scopes are text", _MAX_TEXT) for s in scopes]
    return ComputeGraph(nodes, operands, weight_of=owners, scopes=scopes, name=name)


def save_graph(graph: ComputeGraph, path: str | Path) -> None:
    """Write the graph as a JSON file."""
    text = json.dumps(graph_to_dict(graph), separators=(",", ":"))
    Path(path).write_text(text + "\n", encoding="utf-8")


def load_graph(path: str | Path) -> ComputeGraph:
    """Read a JSON file written by :func:`save_graph`.

    Raises:
        GraphError: if the file is missing, too large, not JSON or not a valid graph.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise GraphError(f"{path} has {size} bytes: at most {MAX_BYTES} are read")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"{path} is not a readable JSON file: {error}") from None
    try:
        return graph_from_dict(data)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None


def _expect(value: Any, kind: type[Any], what: str, limit: int | None = None) -> Any:
    if not isinstance(value, kind):
        raise GraphError(f"{what}, got {short(value)}")
    if limit is not None and len(value) > limit:
        raise GraphError(f"{what} of at most {limit} entries, got {len(value)}")
    return value


def _shape(value: Any) -> tuple[int, ...]:
    sizes = _expect(value, list, "a shape is a list of integers", _MAX_RANK)
    if not all(type(size) is int and 0 <= size < 1 << 40 for size in sizes):
        raise GraphError(f"a shape is a list of integers from 0 on, got {short(value)}")
    return tuple(sizes)


def _as_json(value: AttrValue) -> Any:
    return [_as_json(entry) for entry in value] if isinstance(value, tuple) else value


def _attr(value: Any, depth: int = 0) -> AttrValue:
    if isinstance(value, list) and depth < 4:
        return tuple(_attr(v, depth + 1) for v in _expect(value, list, "", 65536))
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return value
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        return value
    raise GraphError(
        f"an attribute is text, a number, true, false, null or a list, got {short(value)}"
    )
