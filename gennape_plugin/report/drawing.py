"""The network as drawings: an overview, and one of each kind of part, to be opened.

Parts open by HTML's own ``<details>``, so the page needs no script for them.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Final

import numpy as np

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node
from gennape_plugin.prediction import engineering

from .attribution import FloatArray
from .layout import layered
from .markup import text
from .structure import Part, element_of, elements

#: Boxes of one drawing, and of all together: beyond, a page gets too large to be of use.
_IN_ONE: Final = 30
MAX_DRAWN: Final = 360
_MAX_SOURCES: Final = 6  # values from outside that get a box each
_WIDTH: Final = 216.0
_HEIGHT: Final = 42.0
_LETTERS: Final = 31  # of a box's text


@dataclass(frozen=True)
class _Box:
    """What a box says; ``part`` is the id of what it opens, if any."""

    title: str
    below: str
    detail: str
    value: float = 0.0
    kind: str = "op"
    part: str = ""


def score_part(value: float) -> tuple[str, str]:
    """What a box says of its part of the score, and its longer text."""
    return f"{value:+.3f}", f"{value:+.3f} of the score"


def drawings(
    graph: ComputeGraph,
    root: Part,
    values: FloatArray,
    *,
    limit: int = MAX_DRAWN,
    say: Callable[[float], tuple[str, str]] = score_part,
    prefix: str = "part",
) -> str:
    """The overview and the parts below it, as HTML.

    Args:
        graph: The network.
        root: Its parts.
        values: Attribution of each node; colours the boxes.
        limit: Boxes that may be drawn altogether.
        say: What a box says of its value, in short and in its longer text.
        prefix: Begins the ids of the drawings; those of one page must differ.
    """
    pen = _Pen(graph, values, say)
    queue, pages, drawn, dropped = deque([(root, "")]), [], 0, 0
    while queue:
        part, name = queue.popleft()
        shown = elements(part, _IN_ONE)
        if drawn and drawn + len(shown) > limit:
            dropped += 1
            pages.append((part, name, ""))
            continue
        drawn += len(shown)
        # Equal parts are drawn once; all boxes of a kind open the same drawing.
        fresh = [p for p in shown if p.children and p.signature not in pen.numbers]
        for p in fresh:
            if p.signature not in pen.numbers:
                pen.numbers[p.signature] = f"{prefix}-{len(pen.numbers) + 1}"
                queue.append((p, pen.numbers[p.signature]))
        pages.append((part, name, pen.draw(part, shown)))
    (_, _, overview), *inner = pages
    return overview + _inner(graph, inner, dropped, prefix)


def _inner(
    graph: ComputeGraph, pages: Sequence[tuple[Part, str, str]], dropped: int, prefix: str
) -> str:
    if not pages:
        return ""
    parts = []
    for part, name, svg in pages:
        one = f", one of {part.copies}" if part.copies > 1 else ""
        nodes = part.first_stop - part.start
        holds = _contents(graph, part)
        where = text(f"{part.path}: {holds}" if part.path else holds)
        content = svg or "<p>Not drawn: the page would get too large.</p>"
        parts.append(
            f'<details id="{name}"><summary>{where}{one} ({nodes} operations)</summary>'
            f"{content}</details>"
        )
    notice = (
        f'<p class="notice">This network is large: {dropped} of {len(pages)} kinds of parts are '
        "not drawn; the boxes that stand for them hold their totals.</p>"
        if dropped
        else ""
    )
    return (
        f'<h3 id="{prefix}s-title">Inside the parts</h3>{notice}'
        '<p class="buttons" hidden><button type="button" data-open="1">Open all</button> '
        f'<button type="button" data-open="">Close all</button></p>{"".join(parts)}'
    )


class _Pen:
    """Draws parts of one network."""

    def __init__(
        self, graph: ComputeGraph, values: FloatArray, say: Callable[[float], tuple[str, str]]
    ) -> None:
        self.graph, self.values, self.say = graph, values, say
        self.numbers: dict[bytes, str] = {}
        self.readers: list[list[int]] = [[] for _ in graph.nodes]
        for producer, consumer, _ in graph.edges():
            self.readers[producer].append(consumer)

    def draw(self, part: Part, shown: Sequence[Part]) -> str:
        """One drawing: what comes in, the elements, and where values leave to."""
        stop = part.first_stop
        wires: set[tuple[int, int]] = set()
        sources: dict[int, int] = {}
        leaves: set[int] = set()
        for node in range(part.start, stop):
            here = element_of(shown, node)
            if here is None:
                continue
            for operand in self.graph.operands[node]:
                there = element_of(shown, operand)
                if there is None:
                    place = sources.setdefault(operand, min(len(sources), _MAX_SOURCES - 1))
                    wires.add((place - _MAX_SOURCES, here))
                elif there != here:
                    wires.add((there, here))
            if any(reader >= stop for reader in self.readers[node]):
                leaves.add(here)
        boxes = [self.source(nodes) for nodes in _by_place(sources)]
        first = len(boxes)
        boxes += [self.element(p, part.path) for p in shown]
        edges = [(a + _MAX_SOURCES if a < 0 else a + first, b + first) for a, b in sorted(wires)]
        if leaves:
            edges += [(i + first, len(boxes)) for i in sorted(leaves)]
            boxes.append(_Box("to what follows", "", "values that others read", kind="port"))
        name = text(part.path or self.graph.name or "the network")
        return _svg(boxes, edges, f"Graph of {name}, read from top to bottom")

    def source(self, nodes: Sequence[int]) -> _Box:
        node = nodes[0]
        where = self.graph.scopes[node] or self.graph.nodes[node].op
        title = f"from {where}" if len(nodes) == 1 else f"from {len(nodes)} others"
        return _Box(_tail(title), _size(self.graph.nodes[node]), title, kind="port")

    def element(self, part: Part, around: str) -> _Box:
        """A box for one part of a drawing whose own path is ``around``."""
        value = float(np.sum(self.values[part.start : part.stop]))
        nodes = self.graph.nodes[part.start : part.stop]
        flops, writes = engineering(sum(n.flops for n in nodes)), _size(nodes[-1])
        short, long = self.say(value)
        facts = f"writes {writes}, {flops}FLOPs" + (f", {long}" if long else "")
        if part.size == 1:
            title = describe(nodes[0])
            detail = f"{title} {part.path}, {facts}"
            return _Box(_head(title), f"{writes}   {short}", detail, value)
        holds = _contents(self.graph, part)
        # Inside a part its own name says nothing.
        own = part.path if part.path != around else ""
        times = f" (× {part.copies})" if part.copies > 1 else ""
        room = _LETTERS - len(times)
        title = (_tail(own, room) if own else _head(holds, room)) + times
        copies = f" in {part.copies} equal copies" if times else ""
        side = ", side by side" if part.parallel else ""
        detail = f"{part.path} {part.size} operations{copies}{side}: {holds}, {facts}"
        below = f"{part.size} ops   {flops}FLOPs   {short}"
        opens = self.numbers[part.signature] if part.children else ""
        return _Box(title, below, detail, value, "group" if opens else "op", opens)


def _contents(graph: ComputeGraph, part: Part) -> str:
    """The first operations of a part (of its first copy)."""
    stop = part.first_stop
    names = [describe(node) for node in graph.nodes[part.start : min(stop, part.start + 4)]]
    return ", ".join(names) + (", …" if stop > part.start + 4 else "")


def describe(node: Node) -> str:
    """An operation in a few words: ``conv 3×3 /2, 64``."""
    attrs = dict(node.attrs)
    name = str(attrs["target"]) if node.op == "custom" else node.op.replace("_", " ")
    kernel, stride = attrs.get("kernel"), attrs.get("stride")
    if isinstance(kernel, tuple) and kernel:
        name += f" {'×'.join(map(str, kernel))}"
    if isinstance(stride, tuple) and prod(stride) > 1:
        name += f" /{max(stride)}"
    if node.op in ("conv", "conv_transpose", "linear"):
        name += f", {node.shape[node.axis]}"
    groups = attrs.get("groups")
    if isinstance(groups, int) and groups > 1:
        whole = node.op == "conv" and groups == node.in_shapes[0][node.in_axis]
        name = f"depthwise {name}" if whole else f"{name} in {groups} groups"
    return name


def _size(node: Node) -> str:
    return "×".join(map(str, node.shape[1:])) or "scalar"


def _by_place(sources: dict[int, int]) -> list[list[int]]:
    places: list[list[int]] = [[] for _ in range(max(sources.values(), default=-1) + 1)]
    for node, place in sources.items():
        places[place].append(node)
    return places


def _tail(name: str, letters: int = _LETTERS) -> str:
    """The end of a name, which tells scopes apart."""
    return name if len(name) <= letters else "…" + name[1 - letters :]


def _head(name: str, letters: int = _LETTERS) -> str:
    return name if len(name) <= letters else name[: letters - 1] + "…"


def _svg(boxes: Sequence[_Box], edges: Sequence[tuple[int, int]], label: str) -> str:
    plan = layered(len(boxes), edges, _WIDTH, _HEIGHT)
    largest = max((abs(box.value) for box in boxes), default=0.0)
    # Edges of one source share pieces; each is drawn once.
    lines = "".join(dict.fromkeys(_piece(a, b) for line in plan.edges for a, b in pairwise(line)))
    drawn = "".join(_box(box, x, y, largest) for box, (x, y) in zip(boxes, plan.boxes, strict=True))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<svg class="graph" role="group" aria-label="{label}" width="{plan.width:.0f}" '
        f'height="{plan.height:.0f}" viewBox="0 0 {plan.width:.0f} {plan.height:.0f}">'
        f'<path class="edges" aria-hidden="true" d="{lines}"/>{drawn}</svg></div>'
    )


def _box(box: _Box, x: float, y: float, largest: float) -> str:
    size = f'x="{x:.0f}" y="{y:.0f}" width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}" rx="5"'
    tint = ""
    if largest and abs(box.value) > largest / 200:
        kind = "up" if box.value > 0 else "down"
        strength = 0.08 + 0.4 * abs(box.value) / largest
        tint = f'<rect class="{kind}" fill-opacity="{strength:.2f}" {size}/>'
    middle = x + _WIDTH / 2
    below = (
        f'<text class="sub" x="{middle:.0f}" y="{y + 33:.0f}">{text(box.below)}</text>'
        if box.below
        else ""
    )
    content = (
        f'<g class="{box.kind}"><title>{text(box.detail)}</title><rect class="box" {size}/>{tint}'
        f'<text x="{middle:.0f}" y="{y + 18:.0f}">{text(box.title)}</text>{below}</g>'
    )
    return f'<a href="#{box.part}">{content}</a>' if box.part else content


def _piece(a: tuple[float, float], b: tuple[float, float]) -> str:
    """A line from ``a`` down to ``b`` that leaves and arrives upright."""
    (x, y), (nx, ny) = a, b
    if abs(nx - x) < 1:
        return f"M{x:.0f} {y:.0f}V{ny:.0f}"
    half = (y + ny) / 2
    return f"M{x:.0f} {y:.0f}C{x:.0f} {half:.0f} {nx:.0f} {half:.0f} {nx:.0f} {ny:.0f}"
