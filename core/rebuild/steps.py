"""A graph as a list of statements, in its own order: the part that both writers share."""

from dataclasses import dataclass

from gennape_plugin.core.errors import RebuildError
from gennape_plugin.core.graph import ComputeGraph

from . import ops_layout, ops_pointwise, ops_weighted  # noqa: F401 (they fill the table)
from .batch_axis import MALFORMED, batch_axes
from .expressions import Call, Layer, Operand
from .registry import RULES, Built, Site


@dataclass(frozen=True, slots=True)
class Step:
    """One statement.

    Attributes:
        node: Index of the graph's node.
        value: Number of the value that it computes: ``node``, or a number beyond all nodes
            for several results at once.
        reads: Numbers of the values that its operands stand for.
        call: The expression.
        layer: The module that it applies.
        plain: A module that could stand for the expression.
    """

    node: int
    value: int
    reads: tuple[int, ...]
    call: Call
    layer: Layer | None = None
    plain: Layer | None = None


def steps_of(graph: ComputeGraph) -> list[Step]:
    """The statements that compute a graph; inputs and the output are none.

    Raises:
        RebuildError: naming the first node that a graph does not describe fully.
    """
    batch = batch_axes(graph)
    count = len(graph)
    split = {
        operands[0]
        for node, operands in zip(graph.nodes, graph.operands, strict=True)
        if node.op == "select"
    }
    steps: list[Step] = []
    parts: dict[int, Built] = {}
    for index, (node, operands) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if node.op in ("input", "output"):
            continue
        site = Site(graph, index, batch, index in split)
        if node.op == "select":
            source = parts.get(operands[0])
            way = None if source is None else source.parts.get(node.attr("index"))
            if way is None:
                site.refuse("the graph does not keep which of several results it takes")
            steps.append(_part(index, count + operands[0], way))
            continue
        rule = RULES.get(node.op)
        if rule is None:
            site.refuse("there is no rule for this operation")
        try:
            built = rule(site)
        except RebuildError:
            raise
        except MALFORMED as error:
            site.refuse(f"its attributes are not of the right kind ({error})")
        if not built.main:
            if index in split:
                site.refuse("the graph does not keep what its further results are")
            steps.append(Step(index, index, operands, built.call, built.layer, built.plain))
            continue
        parts[index] = built
        steps.append(Step(index, count + index, operands, built.call, built.layer))
        steps.append(_part(index, count + index, built.main))
    return steps


def _part(node: int, source: int, way: tuple[int, ...]) -> Step:
    first, *rest = way
    call = Call("[]", (Operand(0), first))
    for position in rest:
        call = Call("[]", (call, position))
    return Step(node, node, (source,), call)
