"""A hash of a computation graph that does not depend on the numbering of its nodes.

Each node is hashed with everything above it (operands in order, except where the op is
commutative), then, where that leaves several nodes equal, with everything below it; the
graph's hash is that of the sorted node hashes. Names and scopes play no part. Isomorphic
graphs always agree; graphs that differ only by symmetries that such colour refinement
cannot see would collide, which for directed graphs with labelled nodes and ordered
operands has not been met.
"""

from collections import Counter
from functools import lru_cache
from hashlib import blake2b
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
    # Nodes are interned, so equal ones mostly are one object: identity is the cheapest key.
    own_bytes = {key: _node_bytes(node) for key, node in {id(n): n for n in nodes}.items()}
    groups = {o for o, count in Counter(owner).items() if count > 1}
    sharers = Counter([o for o in owner if o in groups])
    down: list[bytes] = []
    for index, node in enumerate(nodes):
        own, reads = own_bytes[id(node)], operands[index]
        if owner[index] in groups:
            own += b"%d" % sharers[owner[index]]
        if len(reads) == 1:
            down.append(_digest(own + down[reads[0]]))
            continue
        parts = [down[operand] for operand in reads]
        if node.op in COMMUTATIVE:
            parts.sort()
        if len(set(reads)) < len(reads):
            # Reading one node twice differs from reading two equal nodes.
            own += _repeats(reads, ordered=node.op not in COMMUTATIVE)
        down.append(_digest(own + b"".join(parts)))
    # A node that no other node equals so far is known by what lies above it; only the others
    # are told apart by their readers, which come later in the order.
    seen = Counter(down)
    full = down.copy()
    if len(seen) < len(nodes):
        readers: dict[int, list[bytes]] = {i: [] for i, d in enumerate(down) if seen[d] > 1}
        alone = readers.keys().isdisjoint
        for index in range(len(nodes) - 1, -1, -1):
            if index in readers:
                full[index] = _digest(down[index] + b"".join(sorted(readers[index])))
            reads = operands[index]
            if alone(reads):
                continue
            commutative = nodes[index].op in COMMUTATIVE
            for position, operand in enumerate(reads):
                if operand in readers:
                    readers[operand].append(
                        full[index] + (b"" if commutative else b"%d" % position)
                    )
    parts = sorted(full)
    for root in sharers:
        members = sorted(full[i] for i, o in enumerate(owner) if o == root)
        parts.append(_digest(b"shared" + b"".join(members)))
    parts[len(full) :] = sorted(parts[len(full) :])
    return blake2b(b"".join(parts), digest_size=_BYTES).hexdigest()
