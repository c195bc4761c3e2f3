"""Chains of operations as one node each: what message passing can take in larger steps.

A convolution, its normalisation and its activation are three nodes of a computation graph
but one step of a network. A *segment* is an operation that does something of its own (a
weighted op, a pool, a join) together with the light ones that only it feeds. There are a
half to a third as many segments as nodes, so the same number of message-passing layers
sees two to three times as far.
"""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from .batch import GraphBatch
from .ops import PAPER_LABELS, WEIGHTED_LABELS
from .quotient import mixed

_OWN: Final = WEIGHTED_LABELS | {"Maxpool", "Avgpool", "Add", "Concat", "Mul", "Mean"}


@dataclass(frozen=True)
class Segments:
    """The segments of a batch; those of a graph are contiguous.

    Attributes:
        kind: For each segment, the number of its kind. Segments of equal operations, in
            whatever order these follow each other, are of one kind.
        members: ``(row of the batch's kinds, kind)`` of every operation in a kind.
        kinds: Number of kinds.
        edges: ``(producer, consumer)`` segment numbers.
        ptr: Where each graph's segments start; one entry more than graphs.
    """

    kind: Int[Tensor, "segments"]
    members: Int[Tensor, "2 operations"]
    kinds: int
    edges: Int[Tensor, "2 edges"]
    ptr: Int[Tensor, "graphs_plus_1"]


def segments(batch: GraphBatch) -> Segments:
    """Cut every graph of a batch into segments.

    A light operation joins the one it reads where it reads nothing else and nothing else
    reads that. Results do not depend on the order of a graph's nodes but for numbering.
    """
    source, target = batch.edges
    nodes = torch.arange(batch.num_nodes, device=batch.kind.device)
    reads = torch.bincount(target, minlength=batch.num_nodes)
    readers = torch.bincount(source, minlength=batch.num_nodes)
    joins = _light(batch)[target] & (reads[target] == 1) & (readers[source] == 1)
    root = nodes.clone()
    root[target[joins]] = source[joins]
    # Chains halve in every round.
    while not torch.equal(further := root[root], root):
        root = further
    first, segment = torch.unique(root, return_inverse=True)
    colour = torch.zeros_like(first).index_add_(0, segment, mixed(batch.kind))
    unique, kind = torch.unique(colour, return_inverse=True)
    representative = torch.empty_like(unique)
    representative.scatter_(0, kind, nodes[: len(first)])
    chosen = torch.zeros(len(first), dtype=torch.bool, device=nodes.device)
    chosen[representative] = True
    inside = chosen[segment]
    crossing = segment[source] != segment[target]
    sizes = torch.bincount(batch.graph[first], minlength=batch.num_graphs)
    return Segments(
        kind=kind,
        members=torch.stack([batch.kind[inside], kind[segment[inside]]]),
        kinds=len(unique),
        edges=segment[batch.edges[:, crossing]],
        ptr=F.pad(sizes.cumsum(0), (1, 0)),
    )


def _light(batch: GraphBatch) -> Bool[Tensor, "nodes"]:
    """Which operations only touch up what another one made."""
    light = torch.tensor([label not in _OWN for label in PAPER_LABELS], device=batch.kind.device)
    return light[batch.kinds.label][batch.kind]
