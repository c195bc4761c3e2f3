"""The moves: each makes one random change in a draft and says in words what it was.

A move that finds nothing to change, or whose change does not fit, raises
:class:`~.repair.RejectedError`. None of them changes the height or width of a value that
something outside of it reads.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import lcm
from typing import Any, Final, TypeVar

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.node import Node, make_node

from .anatomy import Anatomy, Region
from .draft import Draft
from .repair import ACTIVATIONS, RejectedError, is_depthwise
from .subgraphs import KERNELS, TEMPLATES, Style, Writer, rounded, templates

#: Activations that one may be exchanged for.
_ACTIVATIONS: Final = ("relu", "relu6", "silu", "gelu", "hard_swish", "sigmoid", "tanh")
_FACTORS: Final = (0.5, 0.75, 0.875, 1.125, 1.25, 1.5, 2.0)
MAX_CHANNELS: Final = 4096
_MAX_SEQUENCE: Final = 6  # primitive operations that one move replaces or removes
_REACH: Final = 100  # nodes back that a new connection comes from, at most

Move = Callable[[Draft, Anatomy, random.Random, Style], str]
T = TypeVar("T")


def _pick(rng: random.Random, choices: Sequence[T], what: str) -> T:
    if not choices:
        raise RejectedError(f"the network has no {what}")
    return choices[rng.randrange(len(choices))]


def _at(anatomy: Anatomy, index: int) -> str:
    scope = anatomy.graph.scopes[index]
    return f"{scope}, node {index}" if scope else f"node {index}"


def _size(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


# -- sequences ------------------------------------------------------------------------------


def replace(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """A connected sequence of operations by a new sub-graph with the same boundary."""
    source, stop, count = _sequence(anatomy, rng)
    before, after = anatomy.graph.nodes[source], anatomy.graph.nodes[stop]
    stride = _stride(before, after)
    name = _pick(rng, templates(style), "sub-graph")
    writer = Writer(draft, stop + 1, anatomy.graph.scopes[stop], style)
    made = TEMPLATES[name][0](writer, source, after.shape[1], stride, rng)
    if after.op in ACTIVATIONS:
        made = writer.op(after.op, made)
    if draft.nodes[made].shape != after.shape:
        raise RejectedError("the sub-graph's result has another shape")
    draft.redirect(stop, made, anatomy.readers[stop])
    return f"{count} operations replaced by {name} ({_at(anatomy, stop)})"


def _sequence(anatomy: Anatomy, rng: random.Random) -> tuple[int, int, int]:
    """The value that a block or chain reads, its last node, and how many nodes it has."""
    if rng.random() < 0.25 and anatomy.blocks:
        block = rng.choice(anatomy.blocks)
        return block.start, block.stop, block.stop - block.start
    start = _pick(rng, anatomy.maps, "operation on feature maps")
    if len(anatomy.graph.operands[start]) != 1:
        raise RejectedError("a sequence starts with one operand")
    found = anatomy.chain(start, rng.randint(1, _MAX_SEQUENCE))
    return anatomy.graph.operands[start][0], found[-1], len(found)


def _stride(before: Node, after: Node) -> int:
    """The stride between two maps, if one square stride explains them."""
    if len(before.shape) != 4 or before.axis != 1:
        raise RejectedError("no feature map")
    strides = {
        -(-s // t) if t else 0 for s, t in zip(before.shape[2:], after.shape[2:], strict=True)
    }
    if len(strides) != 1 or min(strides) < 1:
        raise RejectedError("no single stride")
    return strides.pop()


def insert(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """A sub-graph that keeps the shape, after one value; for one reader, or for all."""
    source = _pick(rng, anatomy.maps, "feature map")
    readers = anatomy.readers[source]
    if len(readers) > 1 and rng.random() < 0.5:
        readers = [rng.choice(readers)]
    if anatomy.frozen.issuperset(readers) and len(anatomy.frozen) > 2:
        raise RejectedError("between frozen nodes")
    name = _pick(rng, templates(style), "sub-graph")
    scope = anatomy.graph.scopes[source]
    writer = Writer(draft, readers[0], scope, style)
    made = TEMPLATES[name][0](writer, source, draft.nodes[source].shape[1], 1, rng)
    if rng.random() < 0.7:
        made = writer.act(made)
    draft.redirect(source, made, readers)
    return f"{name} inserted ({_at(anatomy, source)})"


def remove(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """Operations that keep the shape, or one operand of a join."""
    if anatomy.joins and rng.random() < 0.4:
        return _drop_operand(draft, anatomy, rng)
    graph = anatomy.graph
    start = _pick(rng, anatomy.maps, "operation on feature maps")
    if len(graph.operands[start]) != 1:
        raise RejectedError("several operands")
    (source,) = graph.operands[start]
    chain = anatomy.chain(start, _MAX_SEQUENCE)
    stops = [i for i in chain if graph.nodes[i].shape == graph.nodes[source].shape]
    stop = _pick(rng, stops, "sequence that keeps the shape")
    draft.redirect(stop, source, anatomy.readers[stop])
    return f"{chain.index(stop) + 1} operations removed ({_at(anatomy, start)})"


def _drop_operand(draft: Draft, anatomy: Anatomy, rng: random.Random) -> str:
    join = rng.choice(anatomy.joins)
    node, reads = anatomy.graph.nodes[join], list(anatomy.graph.operands[join])
    if len(reads) < 2:
        raise RejectedError("one operand")
    gone = rng.randrange(len(reads))
    place = reads.pop(gone)
    if len(reads) > 1:
        draft.read(join, tuple(reads))
    elif anatomy.graph.nodes[reads[0]].shape == node.shape or node.op == "concat":
        draft.redirect(join, reads[0], anatomy.readers[join])
    else:
        raise RejectedError("a broadcast operand cannot stand for the sum")
    return f"operand from node {place} of {node.op} removed ({_at(anatomy, join)})"


# -- single layers --------------------------------------------------------------------------


def width(draft: Draft, anatomy: Anatomy, rng: random.Random, factors: Sequence[float]) -> str:
    """Other channels for one layer and all that must agree with it."""
    layer = _pick(rng, anatomy.convs, "convolution")
    if is_depthwise(anatomy.graph.nodes[layer]):
        (layer,) = anatomy.graph.operands[layer]
    producers = anatomy.tied(layer)
    nodes = anatomy.graph.nodes
    before = nodes[producers[0]].shape[nodes[producers[0]].axis]
    multiple = lcm(*[_groups(nodes[i]) for i in producers])
    after = rounded(before * rng.choice(factors))
    after = max(multiple, after // multiple * multiple)
    if after == before or after > MAX_CHANNELS:
        raise RejectedError("the channels would stay, or be too many")
    for index in producers:
        draft.change(index, **{"features" if nodes[index].op == "linear" else "channels": after})
    others = f" and {len(producers) - 1} tied to it" if len(producers) > 1 else ""
    return f"{before} to {after} channels{others} ({_at(anatomy, producers[0])})"


def _groups(node: Node) -> int:
    return int(node.attr("groups")) if node.op == "conv" else 1


def widen(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """More channels."""
    return width(draft, anatomy, rng, [f for f in _FACTORS if f > 1])


def narrow(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """Fewer channels."""
    return width(draft, anatomy, rng, [f for f in _FACTORS if f < 1])


def kernel(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """Another kernel size of a convolution or pool, the map's size kept by padding."""
    index = _pick(rng, anatomy.convs + anatomy.pools, "convolution or pool")
    node = anatomy.graph.nodes[index]
    before: tuple[int, ...] = node.attr("kernel")
    side = rng.choice([k for k in KERNELS if (k, k) != before])
    if node.op != "conv" and side == 1:
        raise RejectedError("a pool of one pixel")
    dilation = node.attr("dilation") if node.op != "avg_pool" else (1, 1)
    reach = [(side - 1) * d for d in dilation]
    if max(reach) >= min(node.in_shapes[0][2:]) or (node.op != "conv" and max(dilation) > 1):
        raise RejectedError("a kernel larger than the map")
    draft.change(index, kernel=(side, side), padding=tuple([r // 2 for r in reach]))
    if draft.nodes[index].shape != node.shape:
        raise RejectedError("the map would change its size")
    return f"{node.op} {_size(before)} to {side}x{side} ({_at(anatomy, index)})"


def swap(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """Another operation of the same kind: activation, pool, dense or depthwise convolution."""
    choices = anatomy.activations + anatomy.pools + anatomy.convs
    index = _pick(rng, choices, "operation to swap")
    node = anatomy.graph.nodes[index]
    if node.op in ACTIVATIONS:
        allowed = [a for a in _ACTIVATIONS if a != node.op and _activation(a, style)]
        made = _made(_pick(rng, allowed, "other activation"), {}, node)
    elif node.op == "conv":
        made = _regrouped(node, rng, style)
    else:
        other = "avg_pool" if node.op == "max_pool" else "max_pool"
        if other not in style.ops:
            raise RejectedError("no other pool is allowed")
        names = ("kernel", "stride", "padding", "ceil_mode")
        attrs = {name: node.attr(name) for name in names}
        if other == "max_pool":
            attrs["dilation"] = (1,) * len(attrs["kernel"])
        made = _made(other, attrs, node)
    if made.shape != node.shape:
        raise RejectedError("the map would change its size")
    draft.swap(index, made)
    return f"{_kind(node)} to {_kind(made)} ({_at(anatomy, index)})"


def _activation(name: str, style: Style) -> bool:
    return name in style.ops or name == style.activation


def _kind(node: Node) -> str:
    if node.op != "conv":
        return node.op
    groups = node.attr("groups")
    kind = "depthwise" if is_depthwise(node) else f"{groups}-group" if groups > 1 else "dense"
    return f"{kind} {_size(node.attr('kernel'))} convolution"


def _regrouped(node: Node, rng: random.Random, style: Style) -> Node:
    channels_in, channels = node.in_shapes[0][1], node.shape[1]
    groups = [1]
    if "depthwise" in style.ops and channels_in == channels and max(node.attr("kernel")) > 1:
        groups.append(channels)
    if "grouped" in style.ops:
        groups += [g for g in (2, 4, 8) if not (channels_in % g or channels % g)]
    groups = [g for g in groups if g != node.attr("groups")]
    return _made("conv", dict(node.attrs) | {"groups": _pick(rng, groups, "grouping")}, node)


def _made(op: str, attrs: dict[str, Any], like: Node) -> Node:
    try:
        return make_node(op, attrs, like.in_shapes, in_axis=like.in_axis)
    except GraphError as error:
        raise RejectedError(str(error)) from None


# -- connections and depth ------------------------------------------------------------------


def rewire(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """Let a join read another value, or add a skip connection."""
    graph = anatomy.graph
    if anatomy.joins and rng.random() < 0.5:
        join = rng.choice(anatomy.joins)
        reads = list(graph.operands[join])
        place = rng.randrange(len(reads))
        source = _earlier(anatomy, rng, join, exclude=reads)
        what = f"operand {place} of {graph.nodes[join].op} from node {source}"
        reads[place] = source
        draft.read(join, tuple(reads))
        return f"{what} instead ({_at(anatomy, join)})"
    if "add" not in style.ops:
        raise RejectedError("no sums are allowed")
    target = _pick(rng, anatomy.maps, "feature map")
    source = _earlier(anatomy, rng, target, exclude=[target])
    # A repair projects the source where its shape differs.
    scope = graph.scopes[target]
    node = _made_add(draft.nodes[target])
    made = draft.put(node, (target, source), target + 1, scope)
    draft.redirect(target, made, anatomy.readers[target])
    draft.read(made, (target, source))
    return f"skip connection from node {source} added ({_at(anatomy, target)})"


def _made_add(node: Node) -> Node:
    return make_node("add", {}, (node.shape, node.shape), in_axis=node.axis)


def _earlier(anatomy: Anatomy, rng: random.Random, index: int, exclude: Sequence[int]) -> int:
    """A value before ``index`` whose map is that of its result, or a multiple of it."""
    nodes, (height, width) = anatomy.graph.nodes, anatomy.graph.nodes[index].shape[2:]
    before = anatomy.maps[: bisect_left(anatomy.maps, index)][-_REACH:]
    found = [
        i
        for i in before
        if not (nodes[i].shape[2] % height or nodes[i].shape[3] % width) and i not in exclude
    ]
    return _pick(rng, found, "earlier value")


def deepen(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """A copy of a block right after it."""
    block = _pick(rng, anatomy.whole_blocks, "block")
    graph = anatomy.graph
    inside = range(block.start + 1, block.stop + 1)
    scopes = _copied_scopes(anatomy, block)
    copies = {block.start: block.stop}
    for index in inside:
        reads = tuple([copies[o] for o in graph.operands[index]])
        node, scope = graph.nodes[index], scopes[graph.scopes[index]]
        copies[index] = draft.put(node, reads, block.stop + 1, scope)
    made = copies[block.stop]
    draft.redirect(block.stop, made, anatomy.readers[block.stop])
    return f"{len(inside)} operations repeated ({_at(anatomy, block.stop)})"


def _copied_scopes(anatomy: Anatomy, block: Region) -> dict[str, str]:
    """Scopes of the copy: the deepest scope around the block gets a new number."""
    known = anatomy.graph.scopes
    inside = dict.fromkeys(known[block.start + 1 : block.stop + 1])
    common: list[str] = []
    for parts in zip(*[scope.split(".") for scope in inside], strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    outer = ".".join(common)
    if not outer:
        return {scope: scope for scope in inside}
    number, taken = 2, set(known)
    while any(s == f"{outer}_{number}" or s.startswith(f"{outer}_{number}.") for s in taken):
        number += 1
    return {scope: f"{outer}_{number}{scope[len(outer) :]}" for scope in inside}


def shorten(draft: Draft, anatomy: Anatomy, rng: random.Random, style: Style) -> str:
    """A block that keeps the shape left out."""
    block = _pick(rng, anatomy.whole_blocks, "block")
    draft.redirect(block.stop, block.start, anatomy.readers[block.stop])
    count = block.stop - block.start
    return f"{count} operations left out ({_at(anatomy, block.stop)})"


#: Every move by name.
MOVES: Final[dict[str, Move]] = {
    "replace": replace,
    "insert": insert,
    "remove": remove,
    "widen": widen,
    "narrow": narrow,
    "kernel": kernel,
    "swap": swap,
    "rewire": rewire,
    "deepen": deepen,
    "shorten": shorten,
}
