"""A hash of a computation graph that does not depend on the numbering of its nodes.

Nodes that follow each other without a branch are hashed together, with everything above
them (operands in order, except where the op is commutative), then, where that leaves
several such chains equal, with everything below them; the graph's hash is that of the
sorted hashes. Names and scopes play no part. Isomorphic graphs always agree; graphs that
differ only by symmetries that such colour refinement cannot see would collide, which for
directed graphs with labelled nodes and ordered operands has not been met.
"""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING

from .node import Node
from .ops import COMMUTATIVE, AttrValue

if TYPE_CHECKING:
    from .graph import ComputeGraph

_BYTES = 16


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_BYTES).digest()


@lru_cache(maxsize=1 << 16)
def _node_bytes(node: Node) -> bytes:
    attrs = tuple([(name, _plain(value)) for name, value in node.attrs])
    return _digest(repr((node.op, attrs, node.in_shapes, node.shape)).encode())


def _plain(value: AttrValue) -> AttrValue:
    """One spelling for equal numbers: 1, 1.0 and True are equal, so they hash alike.

    Nodes are interned, so which of them a node holds depends on what was made before.
    """
    if isinstance(value, tuple):
        return tuple([_plain(entry) for entry in value])
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value


def _repeats(operands: tuple[int, ...], *, ordered: bool) -> bytes:
    if ordered:
        return repr([operands.index(operand) for operand in operands]).encode()
    return repr(sorted(Counter(operands).values())).encode()


def canonical_hash(graph: "ComputeGraph") -> str:
    """32 hex digits, equal for graphs that differ only in the order of their nodes."""
    nodes, operands, owner = graph.nodes, graph.operands, graph.weight_of
    sharers = {o: count for o, count in Counter(owner).items() if count > 1}
    chains = _chains(graph, sharers)
    down: dict[int, bytes] = {}
    for last, (first, text) in chains.items():
        reads = operands[first]
        parts = [down[operand] for operand in reads]
        if len(reads) > 1:
            commutative = nodes[first].op in COMMUTATIVE
            if commutative:
                parts.sort()
            if len(set(reads)) < len(reads):
                # Reading one node twice differs from reading two equal nodes.
                parts.append(_repeats(reads, ordered=not commutative))
        down[last] = _digest(b"".join(parts + text))
    # A chain that no other one equals so far is known by what lies above it; only the others
    # are told apart by their readers, which come later in the order.
    seen = Counter(down.values())
    full = dict(down)
    if len(seen) < len(down):
        readers: dict[int, list[bytes]] = {i: [] for i, d in down.items() if seen[d] > 1}
        for last in reversed(chains):
            if last in readers:
                full[last] = _digest(down[last] + b"".join(sorted(readers[last])))
            first = chains[last][0]
            for position, operand in enumerate(operands[first]):
                if operand in readers:
                    place = b"" if nodes[first].op in COMMUTATIVE else b"%d" % position
                    readers[operand].append(full[last] + place)
    shared = [
        _digest(b"shared" + b"".join(sorted([full[i] for i, o in enumerate(owner) if o == root])))
        for root in sharers
    ]
    parts = sorted(full.values()) + sorted(shared)
    return blake2b(b"".join(parts), digest_size=_BYTES).hexdigest()


def _chains(
    graph: "ComputeGraph", sharers: Mapping[int, int]
) -> dict[int, tuple[int, list[bytes]]]:
    """By its last node, each chain's first one and what its nodes are, in order.

    A node continues the chain of the one it reads where it reads nothing else and nothing
    else reads that, so a chain is known by what its first node reads and by its nodes. One
    whose weights are shared is the last of its chain: it has to be found by itself.
    """
    # Nodes are interned, so equal ones mostly are one object: identity is the cheapest key.
    own_bytes = {key: _node_bytes(node) for key, node in {id(n): n for n in graph.nodes}.items()}
    uses, owner = Counter(chain.from_iterable(graph.operands)), graph.weight_of
    chains: dict[int, tuple[int, list[bytes]]] = {}
    for index, (node, reads) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        own = own_bytes[id(node)]
        if owner[index] in sharers:
            own += b"%d" % sharers[owner[index]]
        if len(reads) == 1 and uses[reads[0]] == 1 and owner[reads[0]] not in sharers:
            continued = chains.pop(reads[0])
            continued[1].append(own)
            chains[index] = continued
        else:
            chains[index] = (index, [own])
    return chains
