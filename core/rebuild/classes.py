"""Blocks as classes: equal blocks share one, and what differs becomes its arguments."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .expressions import Layer
from .forward import argument_names, forward_lines
from .names import class_name, unused
from .text import Doc, Group, Slot, collapsed, filled, flat, laid_out, literal, slots_of
from .tree import Block, Member

#: A class with more arguments than these is written once for each use instead.
_MAX_ARGUMENTS: Final = 8
_RESERVED: Final = frozenset({"Tensor", "F", "None", "True", "False"})
#: Arguments of torch that read better under another name.
_ARGUMENTS: Final = {"num_features": "channels", "num_channels": "channels", "size": "shape"}


@dataclass(slots=True)
class Class:
    """A class to be written.

    Attributes:
        name: Its name.
        uses: Paths of the blocks that it stands for.
        arguments: Arguments of its constructor, with their types.
        init: Attributes and what they are set to.
        forward: Lines of its forward.
        signature: Names of forward's arguments.
        outputs: Number of its results.
    """

    name: str
    uses: list[str]
    arguments: dict[str, str]
    init: list[tuple[str, Doc]]
    forward: list[str]
    signature: tuple[str, ...]
    outputs: int


@dataclass(slots=True)
class _Use:
    """A block on its way into a class."""

    block: Block
    path: str
    init: list[tuple[str, Doc]]
    forward: list[str]
    slots: list[Slot] = field(default_factory=list)


def classes_of(root: Block, root_name: str) -> tuple[list[Class], list[tuple[str, Doc]]]:
    """The classes of all blocks, inner ones first, and the root's own attributes."""
    levels: dict[int, list[tuple[Block, str, str]]] = {}
    for block, path, parent in _walk(root, "", ""):
        if not block.chain:
            levels.setdefault(_height(block), []).append((block, path, parent))
    calls: dict[int, Doc] = {}
    found: list[Class] = []
    taken = {root_name, *_RESERVED}
    for height in sorted(levels):
        groups: dict[tuple[object, ...], list[_Use]] = {}
        parents: dict[str, str] = {}
        for block, path, parent in levels[height]:
            init = _init(block, calls)
            use = _Use(block, path, init, forward_lines(block, argument_names(block.inputs)))
            use.slots = [slot for _, doc in init for slot in slots_of(doc)]
            parents[path] = parent
            groups.setdefault(_key(use), []).append(use)
        for uses in _split(groups):
            name = class_name(uses[0].block.label, parents[uses[0].path])
            name = unused(name, taken, "")
            taken.add(name)
            found.append(_class(name, uses, calls))
    return found, _init(root, calls)


def _walk(block: Block, path: str, parent: str) -> Iterator[tuple[Block, str, str]]:
    for member in block.members:
        if isinstance(member, Block):
            inner = f"{path}.{member.name}" if path else member.name
            yield from _walk(member, inner, member.label)
            yield member, inner, parent


def _height(block: Block) -> int:
    """Classes below the block."""
    inner = [_height(m) + (not m.chain) for m in block.members if isinstance(m, Block)]
    return max(inner, default=0)


def _init(block: Block, calls: dict[int, Doc]) -> list[tuple[str, Doc]]:
    """Attributes of a block, and what they are set to."""
    attributes = []
    for member in block.members:
        if isinstance(member, Block):
            attributes.append((member.name, _made(member, calls)))
        elif member.step.layer is not None and member.made:
            attributes.append((member.name, layer_text(member.step.layer)))
    return attributes


def _made(member: Member | Block, calls: dict[int, Doc]) -> Doc:
    """What makes a member."""
    if isinstance(member, Member):
        layer = member.step.layer or member.step.plain
        assert layer is not None
        return layer_text(layer)
    if member.chain:
        return Group("nn.Sequential(", tuple(_made(m, calls) for m in member.members))
    return calls[id(member)]


def layer_text(layer: Layer) -> Doc:
    """A layer's constructor."""
    if layer.kind == "Parameter":
        (_, size), *_ = layer.args
        return f"nn.Parameter(torch.randn({', '.join(map(str, size))}) * 0.02)"
    items: list[Doc] = []
    for position, (name, value) in enumerate(layer.args):
        key = position >= layer.positional
        numbers = value if isinstance(value, tuple) else (value,)
        if numbers and all(type(number) is int for number in numbers):
            items.append(Slot(name, value, key))
        else:
            items.append(f"{name}={literal(value)}" if key else literal(value))
    return Group(f"nn.{layer.kind}(", tuple(items))


def _key(use: _Use) -> tuple[object, ...]:
    """What blocks of one class have in common: everything but the numbers of their layers."""
    shape = tuple((name, flat(filled(doc, lambda slot: "_"))) for name, doc in use.init)
    return shape, tuple(use.forward), len(use.block.inputs)


def _split(groups: dict[tuple[object, ...], list[_Use]]) -> Iterator[list[_Use]]:
    """Groups of uses that make one class each."""
    for uses in groups.values():
        if len(_columns(uses)) <= _MAX_ARGUMENTS:
            yield uses
            continue
        equal: dict[tuple[object, ...], list[_Use]] = {}
        for use in uses:
            equal.setdefault(tuple(slot.value for slot in use.slots), []).append(use)
        yield from equal.values()


def _columns(uses: list[_Use]) -> dict[tuple[object, ...], list[int]]:
    """Positions of slots whose values differ between uses, by the values."""
    columns: dict[tuple[object, ...], list[int]] = {}
    for position in range(len(uses[0].slots)):
        values = tuple(use.slots[position].value for use in uses)
        if len(set(values)) > 1:
            columns.setdefault(values, []).append(position)
    return columns


def _class(name: str, uses: list[_Use], calls: dict[int, Doc]) -> Class:
    first = uses[0]
    arguments: dict[str, str] = {}
    argument_at: dict[int, str] = {}
    columns = _columns(uses)
    for values, positions in columns.items():
        base = _argument([first.slots[position].name for position in positions])
        argument = unused(base, arguments)
        arguments[argument] = _type(values)
        argument_at |= dict.fromkeys(positions, argument)
    counter = iter(range(len(first.slots)))

    def fill(slot: Slot) -> str:
        position = next(counter)
        return argument_at.get(position) or literal(slot.value)

    init = [(attribute, _listed(filled(doc, fill))) for attribute, doc in first.init]
    for index, use in enumerate(uses):
        items = tuple(
            Slot(argument, values[index])  # type: ignore[arg-type]
            for argument, values in zip(arguments, columns, strict=True)
        )
        calls[id(use.block)] = Group(f"{name}(", items)
    return Class(
        name,
        [use.path for use in uses],
        arguments,
        init,
        first.forward,
        tuple(argument_names(first.block.inputs).values()),
        len(first.block.outputs),
    )


def _argument(names: list[str]) -> str:
    """A name for an argument that stands for several of torch's."""
    for what in ("channels", "features"):
        if {f"in_{what}", f"out_{what}"} <= set(names):
            return what
    return _ARGUMENTS.get(names[0], names[0])


def _listed(doc: Doc) -> Doc:
    """The text with runs of equal items in its sequences collapsed."""
    if not isinstance(doc, Group):
        return doc
    items = tuple(map(_listed, doc.items))
    return Group(doc.head, collapsed(items) if doc.head == "nn.Sequential(" else items, doc.tail)


def _type(values: tuple[object, ...]) -> str:
    kinds = {"int" if isinstance(v, int) else "tuple[int, ...]" for v in values}
    return " | ".join(sorted(kinds))


def root_lines(init: list[tuple[str, Doc]]) -> list[str]:
    """Assignments of attributes."""
    plain = [(name, _listed(filled(doc, lambda slot: literal(slot.value)))) for name, doc in init]
    return [line for name, doc in plain for line in laid_out(doc, 8, f"self.{name} = ")]
