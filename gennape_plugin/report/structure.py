"""A network as nested parts: scopes, blocks between bottlenecks, and repeats of them.

Every part is a run of consecutive nodes. Producers come before consumers, so however the
runs are drawn, edges between them only lead forward: a part can be drawn as one box
without making a circle.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import accumulate, groupby
from typing import Final

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node

#: Scope components that are told apart; anything deeper is drawn as operations.
_MAX_DEPTH: Final = 12
#: More boxes than this side by side are put into groups of half as many.
_MAX_CHILDREN: Final = 48
#: Runs of operations up to this length are not searched for blocks.
_SHORT: Final = 12
_MAX_PERIOD: Final = 8  # elements of a repeated pattern


@dataclass(frozen=True)
class Part:
    """Consecutive nodes that are shown together.

    Attributes:
        path: Where they come from, for people; empty where unknown.
        start: First node.
        stop: One beyond the last.
        signature: Equal for parts of equal operations, wired equally.
        children: What it is made of (of its first copy); empty for a single operation.
        copies: How many times the same part stands here.
        parallel: Whether the copies read the same values instead of each other.
    """

    path: str
    start: int
    stop: int
    signature: bytes
    children: tuple["Part", ...] = ()
    copies: int = 1
    parallel: bool = False

    @property
    def size(self) -> int:
        """Number of nodes, of all copies."""
        return self.stop - self.start

    @property
    def first_stop(self) -> int:
        """One beyond the last node of the first copy."""
        return self.start + self.size // self.copies


def parts_of(graph: ComputeGraph) -> Part:
    """The whole network as nested parts."""
    return _Reader(graph).whole()


def elements(part: Part, limit: int) -> list[Part]:
    """What to draw of a part: its children, the largest taken apart up to ``limit`` boxes.

    First those that hold parts of other scopes; then all blocks or none, so that equals
    look alike. Repeats stay together.
    """
    found = list(part.children)
    while True:
        fitting = [
            (p.size, -i)
            for i, p in enumerate(found)
            if p.copies == 1
            and any(child.children and child.path != p.path for child in p.children)
            and len(found) - 1 + len(p.children) <= limit
        ]
        if not fitting:
            break
        at = -max(fitting)[1]
        found[at : at + 1] = found[at].children
    flat = [op for p in found for op in (p.children if p.children and p.copies == 1 else (p,))]
    return flat if len(flat) <= limit else found


def element_of(drawn: Sequence[Part], node: int) -> int | None:
    """Which of some parts (in order) holds a node."""
    at = bisect_right([part.start for part in drawn], node) - 1
    return at if at >= 0 and node < drawn[at].stop else None


class _Reader:
    def __init__(self, graph: ComputeGraph) -> None:
        self.operands = graph.operands
        self.paths = [tuple(s.split(".")[:_MAX_DEPTH]) if s else () for s in graph.scopes]
        names: dict[Node, bytes] = {}
        self.names = [names.setdefault(n, b"%d" % len(names)) for n in graph.nodes]
        # How many values are still to be read at each boundary between consecutive nodes.
        last = list(range(len(graph)))
        for producer, consumer, _ in graph.edges():
            last[producer] = consumer
        change = [0] * (len(graph) + 2)
        for producer, consumer in enumerate(last):
            change[producer + 1] += 1
            change[consumer + 1] -= 1
        self.crossing = list(accumulate(change))

    def whole(self) -> Part:
        count = len(self.names)
        children = self.merged(self.split(0, count, 0))
        while len(children) == 1 and children[0].copies == 1 and children[0].children:
            children = list(children[0].children)
        return Part("", 0, count, b"", tuple(children))

    def split(self, start: int, stop: int, depth: int) -> list[Part]:
        """Nodes by the next component of their scopes; without one, by bottlenecks."""
        found: list[Part] = []

        def key(i: int) -> str | None:
            return self.paths[i][depth] if len(self.paths[i]) > depth else None

        at = start
        for name, run in groupby(range(start, stop), key):
            end = at + len(list(run))
            if name is None:
                found += self.blocks(at, end, depth)
            else:
                found.append(self.group(at, end, depth + 1))
            at = end
        return found

    def group(self, start: int, stop: int, depth: int) -> Part:
        path = ".".join(self.paths[start][:depth])
        if stop - start == 1:
            return self.op(start)
        if all(len(self.paths[i]) <= depth for i in range(start, stop)):
            children = self.merged(self.blocks(start, stop, depth))
        else:
            children = self.merged(self.split(start, stop, depth))
        if len(children) == 1 and children[0].children:
            return children[0]
        return Part(path, start, stop, self.signature(start, stop), tuple(children))

    def blocks(self, start: int, stop: int, depth: int) -> list[Part]:
        """A run without scopes, cut where the fewest values pass on."""
        if stop - start <= _SHORT:
            return [self.op(i) for i in range(start, stop)]
        least = min(self.crossing[start + 1 : stop])
        cuts = [i for i in range(start + 1, stop) if self.crossing[i] == least]
        path = ".".join(self.paths[start][:depth])
        found = []
        for a, b in zip([start, *cuts], [*cuts, stop], strict=True):
            ops = [self.op(i) for i in range(a, b)]
            whole = b - a == stop - start
            if len(ops) == 1 or whole:
                found += ops
            else:
                found.append(Part(path, a, b, self.signature(a, b), tuple(self.merged(ops))))
        return found

    def op(self, index: int) -> Part:
        return Part(".".join(self.paths[index]), index, index + 1, self.signature(index, index + 1))

    def signature(self, start: int, stop: int) -> bytes:
        """Operations and wiring; values from outside count by their order only."""
        outside: dict[int, int] = {}
        digest = blake2b(digest_size=12)
        for i in range(start, stop):
            digest.update(self.names[i])
            for operand in self.operands[i]:
                if operand >= start:
                    digest.update(b"<%d" % (i - operand))
                else:
                    digest.update(b"^%d" % outside.setdefault(operand, len(outside)))
            digest.update(b";")
        return digest.digest()

    def merged(self, found: list[Part]) -> list[Part]:
        """Equal neighbours become one; more than fit side by side are put into groups."""
        merged, at = [], 0
        keys = [part.signature for part in found]
        while at < len(found):
            period, copies = _repeat(keys, at)
            if copies == 1:
                merged.append(found[at])
            else:
                merged.append(self.repeated(found[at : at + period * copies], period, copies))
            at += period * copies
        while len(merged) > _MAX_CHILDREN:
            half = _MAX_CHILDREN // 2
            merged = [
                _bundle(merged[i : i + half], self.signature) for i in range(0, len(merged), half)
            ]
        return merged

    def repeated(self, run: list[Part], period: int, copies: int) -> Part:
        first, last = run[0], run[-1]
        second = run[period].start
        parallel = not any(
            first.start <= operand < self._copy_start(run, period, i)
            for i in range(second, last.stop)
            for operand in self.operands[i]
        )
        if period > 1:
            first = _bundle(run[:period], self.signature)
        path = _span(run[0].path, last.path)
        return replace(first, path=path, stop=last.stop, copies=copies, parallel=parallel)

    def _copy_start(self, run: list[Part], period: int, node: int) -> int:
        length = run[period].start - run[0].start
        return node - (node - run[0].start) % length


def _repeat(keys: Sequence[bytes], at: int) -> tuple[int, int]:
    """Length and number of copies of the pattern that covers most from ``at`` on."""
    best = (1, 1)
    for period in range(1, min(_MAX_PERIOD, (len(keys) - at) // 2) + 1):
        copies = 1
        while keys[at + copies * period : at + (copies + 1) * period] == keys[at : at + period]:
            copies += 1
        if copies > 1 and period * copies > best[0] * best[1]:
            best = (period, copies)
    return best


def _bundle(parts: Sequence[Part], signature: Callable[[int, int], bytes]) -> Part:
    if len(parts) == 1:
        return parts[0]
    start, stop = parts[0].start, parts[-1].stop
    path = _span(parts[0].path, parts[-1].path)
    return Part(path, start, stop, signature(start, stop), tuple(parts))


def _span(first: str, last: str) -> str:
    """``blocks.0 to 5`` for ``blocks.0`` and ``blocks.5``."""
    if first == last:
        return first
    ours, theirs = first.split("."), last.split(".")
    same = 0
    while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
        same += 1
    if same == min(len(ours), len(theirs)):
        return ".".join(ours[:same])
    return f"{first} to {'.'.join(theirs[same:])}"
