"""The statements of a graph as a tree of named blocks, after the scopes.

A scope becomes a block where its statements follow each other and little passes in and out;
otherwise they belong to the block around it, under joined names. Blocks are what the written
classes and the module's submodules are made of, so parameters have the same names in both.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gennape_plugin.core.graph import ComputeGraph

from .expressions import Call, Layer, Operand
from .names import identifier, kind_name, unused
from .sharing import ties_of
from .steps import Step, steps_of
from .tree import Block, Member, Network

#: More values than these do not pass into, or out of, a block of its own.
_MAX_INPUTS: Final = 4
_MAX_OUTPUTS: Final = 3
_MAX_DEPTH: Final = 6

#: Applied to one tensor, as ``nn.Sequential`` does it.
_APPLIED: Final = Call("self", (Operand(0),))


@dataclass(slots=True)
class _Placed:
    """A statement on its way into a block: the scopes around it, and its own name if any."""

    step: Step
    path: tuple[str, ...]
    name: str


def network_of(graph: ComputeGraph) -> Network:
    """Arrange the statements of a graph in blocks.

    Raises:
        RebuildError: if the graph does not describe all of its operations.
    """
    steps = steps_of(graph)
    placed = _placed(graph, steps)
    last = {read: position for position, step in enumerate(steps) for read in step.reads}
    for read in graph.operands[-1]:
        last[read] = len(steps)
    root = Block("")
    _fill(root, placed, last, {step.value: i for i, step in enumerate(steps)}, depth=0)
    root.inputs, root.outputs = graph.inputs, graph.operands[-1]
    _name(root, graph)
    return Network(graph, root, ties_of(graph, root))


# -- which block ----------------------------------------------------------------------------


def _placed(graph: ComputeGraph, steps: Sequence[Step]) -> list[_Placed]:
    """Each statement with the scopes around it.

    A scope that is one layer (one module, or the same activation several times) is the name of
    that layer, not a block.
    """
    of_scope: dict[str, list[Step]] = {}
    for step in steps:
        of_scope.setdefault(graph.scopes[step.node], []).append(step)
    parents = set()
    for scope in of_scope:
        while scope:
            scope = scope.rpartition(".")[0]
            parents.add(scope)

    def is_layer(scope: str) -> bool:
        members = of_scope[scope]
        if not scope or scope in parents:
            return False
        nodes = {step.node for step in members}
        layers = {(step.layer, graph.weight_of[step.node]) for step in members if step.layer}
        if layers:
            return len(layers) == 1 and (len(nodes) == 1 or all(s.layer for s in members))
        return len({step.call for step in members if _hashable(step)}) == 1

    leaves = {scope: is_layer(scope) for scope in of_scope}
    placed = []
    for step in steps:
        scope = graph.scopes[step.node]
        parts = tuple(scope.split(".")) if scope else ()
        path, name = (parts[:-1], parts[-1]) if leaves[scope] else (parts, "")
        placed.append(_Placed(step, path[:_MAX_DEPTH], name))
    return placed


def _hashable(step: Step) -> bool:
    return all(isinstance(a, Operand | int | float | str | None) for a in step.call.args)


def _fill(
    block: Block,
    placed: list[_Placed],
    last: dict[int, int],
    order: dict[int, int],
    depth: int,
) -> None:
    """Put statements into a block, those of an inner scope into a block of their own."""
    _dissolve(placed, last, order, depth)
    start = 0
    while start < len(placed):
        item = placed[start]
        if len(item.path) == depth:
            block.members.append(Member(item.step, item.name))
            start += 1
            continue
        stop = start
        while stop < len(placed) and _scope(placed[stop], depth) == item.path[depth]:
            stop += 1
        inner = Block(item.path[depth], item.path[depth])
        _fill(inner, placed[start:stop], last, order, depth + 1)
        inner.inputs, inner.outputs = _borders(placed[start:stop], last, order)
        block.members.append(inner)
        start = stop


def _scope(item: _Placed, depth: int) -> str | None:
    return item.path[depth] if len(item.path) > depth else None


def _dissolve(
    placed: list[_Placed], last: dict[int, int], order: dict[int, int], depth: int
) -> None:
    """Move the statements of scopes that make no block of their own one level up."""
    again = True
    while again:
        again = False
        runs: dict[str, list[list[_Placed]]] = {}
        before: str | None = None
        for item in placed:
            scope = _scope(item, depth)
            if scope is not None:
                found = runs.setdefault(scope, [])
                if scope != before:
                    found.append([])
                found[-1].append(item)
            before = scope
        for scope, found in runs.items():
            inputs, outputs = _borders(found[0], last, order)
            fits = len(inputs) <= _MAX_INPUTS and 1 <= len(outputs) <= _MAX_OUTPUTS
            if len(found) == 1 and len(found[0]) > 1 and fits:
                continue
            again = True
            for item in [item for run in found for item in run]:
                if len(item.path) > depth + 1:
                    joined = f"{scope}_{item.path[depth + 1]}"
                    item.path = (*item.path[:depth], joined, *item.path[depth + 2 :])
                else:
                    item.name = f"{scope}_{item.name}" if item.name else ""
                    item.path = item.path[:depth]


def _borders(
    run: Sequence[_Placed], last: dict[int, int], order: dict[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The values that pass into a run of statements, and out of it."""
    own = {item.step.value for item in run}
    inputs = [r for item in run for r in item.step.reads if r not in own]
    end = order[run[-1].step.value]
    outputs = [item.step.value for item in run if last.get(item.step.value, -1) > end]
    return tuple(dict.fromkeys(inputs)), tuple(outputs)


# -- names ----------------------------------------------------------------------------------


def _name(block: Block, graph: ComputeGraph) -> None:
    """Name all members of a block, and find out whether it is a chain."""
    layers: dict[tuple[int, Layer], Member] = {}
    kinds = Counter[str]()
    for member in block.members:
        if isinstance(member, Block):
            _name(member, graph)
        elif member.step.layer is not None:
            key = graph.weight_of[member.step.node], member.step.layer
            owner = layers.setdefault(key, member)
            # Layers without weights have no owner: each node has its own.
            member.made = owner is member
            kinds[kind_name(member.step.layer.kind)] += member.made and not member.name
    block.chain = _is_chain(block)
    if block.chain:
        for position, member in enumerate(block.members):
            member.name = str(position)
        return
    taken: set[str] = set()
    count = Counter[str]()
    for member in block.members:
        if isinstance(member, Block):
            member.name = unused(identifier(member.name, "block"), taken)
        elif member.step.layer is None:
            member.name = ""
            continue
        elif not member.made:
            continue
        elif member.name:
            kind = kind_name(member.step.layer.kind)
            member.name = unused(identifier(member.name, kind), taken)
        else:
            kind = kind_name(member.step.layer.kind)
            count[kind] += 1
            name = f"{kind}{count[kind]}" if kinds[kind] > 1 else kind
            member.name = unused(name, taken)
        taken.add(member.name)
    for member in block.members:
        if isinstance(member, Member) and member.step.layer is not None and not member.made:
            key = graph.weight_of[member.step.node], member.step.layer
            member.name = layers[key].name


def _is_chain(block: Block) -> bool:
    if not block.name or len(block.inputs) != 1 or len(block.outputs) != 1:
        return False
    value = block.inputs[0]
    for member in block.members:
        if isinstance(member, Block):
            if member.inputs != (value,) or len(member.outputs) != 1:
                return False
            value = member.outputs[0]
            continue
        step = member.step
        if step.reads != (value,) or (step.layer is not None and step.call != _APPLIED):
            return False
        if not member.made or (step.layer is None and step.plain is None):
            return False
        if step.layer is None and step.node != step.value:
            return False
        # Names that people gave are worth a class.
        if member.name and not member.name.isdigit():
            return False
        value = step.value
    named = any(isinstance(m, Block) and m.name and not m.name[-1].isdigit() for m in block.members)
    return value == block.outputs[0] and not named
