"""What the moves need to know of a graph: readers, kinds of nodes, blocks, tied channels."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node
from gennape_plugin.core.shapes import Shape

from .repair import ACTIVATIONS, FLOWS, JOINS, POOLS, RejectedError, is_depthwise

#: Blocks of more operations than this are not copied, removed or replaced as a whole.
_MAX_BLOCK = 80
#: Ops that belong to the layer before them: a stem ends after these.
_FOLLOW = ACTIVATIONS | {"batch_norm", "group_norm", "layer_norm", "dropout", "identity"}


@dataclass(frozen=True)
class Frozen:
    """Parts of a network that no mutation may change.

    Attributes:
        scopes: Scopes by their beginning: ``"stage0"`` freezes ``stage0.cell1`` too, and
            ``"layer1"`` does not freeze ``layer10``.
        stem: The first weighted layer with its norm and activation.
        head: Everything after the last feature map: pooling and classifier. The very last
            weighted layer keeps its number of outputs in any case.
    """

    scopes: tuple[str, ...] = ()
    stem: bool = False
    head: bool = False

    def check(self, graph: ComputeGraph) -> None:
        """Refuse scopes that the network does not have.

        Raises:
            InvalidInputError: naming those it has.
        """
        for scope in self.scopes:
            if not any(_inside(s, scope) for s in graph.scopes):
                top = dict.fromkeys(s.split(".")[0] for s in graph.scopes if s)
                known = ", ".join(list(top)[:20]) or "none"
                raise InvalidInputError(
                    f"no part of the network is called {scope!r}: it has {known}; `gennape trace "
                    "--nodes` lists all"
                )

    def of(self, graph: ComputeGraph) -> frozenset[int]:
        """Numbers of the frozen nodes; input and output are always among them."""
        nodes = graph.nodes
        found = {len(nodes) - 1, *graph.inputs}
        if self.scopes:
            found.update(
                i for i, s in enumerate(graph.scopes) if any(_inside(s, f) for f in self.scopes)
            )
        if self.stem:
            first = next((i for i, node in enumerate(nodes) if node.macs), 0)
            found.update(range(first + 1))
            while first + 1 < len(nodes) and nodes[first + 1].op in _FOLLOW:
                first += 1
                found.add(first)
        if self.head:
            last = max((i for i, node in enumerate(nodes) if _is_map(node.shape)), default=-1)
            found.update(range(last + 1, len(nodes)))
        return frozenset(found)


NOTHING: Final = Frozen()


def _inside(scope: str, outer: str) -> bool:
    return scope == outer or scope.startswith(f"{outer}.")


def _is_map(shape: Shape) -> bool:
    return len(shape) == 4 and prod(shape[2:]) > 1


def check_classifier(graph: ComputeGraph) -> None:
    """Refuse networks that mutations are not made for.

    Raises:
        InvalidInputError: if the network does not turn one batch of images into one tensor.
    """
    name = graph.name or "the network"
    if len(graph.inputs) != 1 or len(graph.operands[-1]) != 1:
        raise InvalidInputError(
            f"{name} has {len(graph.inputs)} inputs and {len(graph.operands[-1])} outputs: "
            "mutations need one of each"
        )
    shape = graph.nodes[graph.inputs[0]].shape
    if len(shape) != 4:
        raise InvalidInputError(
            f"{name} reads an input of shape {shape}: mutations are made for images, "
            "(batch, channels, height, width)"
        )


@dataclass(frozen=True)
class Region:
    """Nodes ``start + 1`` to ``stop``, which read nothing outside but ``start``.

    Only ``stop`` is read from outside.
    """

    start: int
    stop: int


class Anatomy:
    """Facts of one graph, worked out when they are asked for."""

    def __init__(self, graph: ComputeGraph, frozen: frozenset[int]) -> None:
        self.graph, self.frozen = graph, frozen
        nodes = graph.nodes
        readers: list[list[int]] = [[] for _ in nodes]
        by_op: dict[str, list[int]] = {}
        for index, reads in enumerate(graph.operands):
            for operand in reads:
                readers[operand].append(index)
            if len(reads) > 1 and len(set(reads)) < len(reads):
                for operand in reads:
                    readers[operand] = list(dict.fromkeys(readers[operand]))
        for index, node in enumerate(nodes):
            if index not in frozen:
                by_op.setdefault(node.op, []).append(index)
        #: Numbers of the nodes that read each node, each once, in order.
        self.readers = readers
        #: Nodes that may be changed, by op.
        self.by_op = by_op

    @cached_property
    def convs(self) -> list[int]:
        """Convolutions over images with a learned kernel."""
        nodes = self.graph.nodes
        found = self.by_op.get("conv", ())
        return [i for i in found if len(nodes[i].shape) == 4 and len(nodes[i].in_shapes) == 1]

    @cached_property
    def pools(self) -> list[int]:
        """Pools over images that keep the map, or divide it."""
        return self._of(POOLS)

    @cached_property
    def activations(self) -> list[int]:
        """Activations."""
        return self._of(ACTIVATIONS)

    @cached_property
    def joins(self) -> list[int]:
        """Sums and concatenations of feature maps."""
        return self._of({"add", "concat"})

    def _of(self, ops: "set[str] | frozenset[str]") -> list[int]:
        nodes = self.graph.nodes
        found = [i for op in self.by_op.keys() & ops for i in self.by_op[op]]
        return sorted([i for i in found if len(nodes[i].shape) == 4])

    @cached_property
    def maps(self) -> list[int]:
        """Nodes that may be changed and write feature maps."""
        nodes, frozen = self.graph.nodes, self.frozen
        return [
            i
            for i, node in enumerate(nodes)
            if len(node.shape) == 4 and node.axis == 1 and i not in frozen
        ]

    @cached_property
    def activation(self) -> str:
        """The network's usual activation."""
        ops = Counter(node.op for node in self.graph.nodes if node.op in ACTIVATIONS)
        return ops.most_common(1)[0][0] if ops else "relu"

    @cached_property
    def norm(self) -> bool:
        """Whether convolutions are followed by batch norms."""
        return any(node.op == "batch_norm" for node in self.graph.nodes)

    @cached_property
    def blocks(self) -> list[Region]:
        """Regions with one value in and one of the same shape out, without a frozen node.

        They lie between values that every path passes; in another order of the same nodes
        some more could be found.
        """
        nodes, readers = self.graph.nodes, self.readers
        reach, fixed, frozen_before = 0, 0, []
        places: dict[Shape, list[int]] = {}
        for index in range(len(nodes) - 1):
            fixed += index in self.frozen
            frozen_before.append(fixed)
            if reach <= index and len(nodes[index].shape) == 4 and nodes[index].axis == 1:
                places.setdefault(nodes[index].shape, []).append(index)
            if readers[index][-1] > reach:
                reach = readers[index][-1]
        return [
            Region(start, stop)
            for same in places.values()
            for nth, start in enumerate(same)
            for stop in same[nth + 1 : nth + 9]
            if 1 < stop - start <= _MAX_BLOCK and frozen_before[start] == frozen_before[stop]
        ]

    @cached_property
    def whole_blocks(self) -> list[Region]:
        """Blocks with a weighted layer in them that end where scopes do, or any such block."""
        nodes, scopes = self.graph.nodes, self.graph.scopes
        weighted = [
            b for b in self.blocks if any(nodes[i].macs for i in range(b.start + 1, b.stop + 1))
        ]
        aligned = [
            b
            for b in weighted
            if scopes[b.start] != scopes[b.start + 1] and scopes[b.stop] != scopes[b.stop + 1]
        ]
        return aligned or weighted

    def chain(self, start: int, most: int) -> list[int]:
        """Up to ``most`` nodes from ``start`` on, each read by the next alone."""
        nodes, operands, frozen = self.graph.nodes, self.graph.operands, self.frozen
        found = [start]
        while len(found) < most:
            readers = self.readers[found[-1]]
            if len(readers) != 1:
                break
            (after,) = readers
            if after in frozen or len(operands[after]) != 1 or len(nodes[after].shape) != 4:
                break
            if nodes[after].op not in FLOWS and nodes[after].op != "conv":
                break
            found.append(after)
        return found

    def tied(self, index: int) -> list[int]:
        """Layers that must write as many channels as ``index`` does, itself among them.

        Sums, norms, activations, pools and depthwise convolutions tie the channels of what
        they read to those of what they write.

        Raises:
            RejectedError: where something fixes the number: input, output, concatenation, a
                frozen node.
        """
        nodes, operands, readers = self.graph.nodes, self.graph.operands, self.readers
        seen, queue, producers = {index}, [index], []
        while queue:
            here = queue.pop()
            node = nodes[here]
            if here in self.frozen:
                raise RejectedError("the channels belong to a frozen node")
            channels = _channels(node)
            sources: tuple[int, ...] = ()
            if (node.op == "conv" and not is_depthwise(node)) or node.op == "linear":
                producers.append(here)
            elif node.op in FLOWS or node.op == "conv":
                sources = operands[here][:1]
            elif node.op in JOINS:
                sources = tuple([o for o in operands[here] if _channels(nodes[o]) == channels])
            else:
                raise RejectedError(f"the channels are fixed by {node.op}")
            ties = [
                r
                for r in readers[here]
                if nodes[r].op in FLOWS
                or nodes[r].op == "output"
                or is_depthwise(nodes[r])
                or (nodes[r].op in JOINS and _channels(nodes[r]) == channels)
            ]
            for other in (*sources, *ties):
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        return sorted(producers)


def _channels(node: Node) -> int:
    return node.shape[node.axis] if node.shape else 1
