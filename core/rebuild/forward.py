"""The body of a ``forward``: statements with few, reused variable names."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from .expressions import INFIX, Call, DType, Operand
from .text import WIDTH, Doc, Group, flat, laid_out, literal
from .tree import Block, Member

#: Calls inside calls, at most: ``relu(bn(conv(x)))``.
_MAX_NESTING: Final = 3
_INDENT: Final = 8


@dataclass(slots=True)
class _Pending:
    """An expression that may still move into the next statement."""

    value: int
    doc: Doc
    nesting: int
    target: str


def forward_lines(block: Block, arguments: dict[int, str]) -> list[str]:
    """The statements of a block.

    Args:
        block: The block.
        arguments: Names of the values that it is given.
    """
    return _Writer(block, arguments).lines


def _pool() -> Iterator[str]:
    yield from ("x", "y", "z", "u", "v", "w")
    number = 0
    while True:
        number += 1
        yield f"t{number}"


def argument_names(inputs: tuple[int, ...]) -> dict[int, str]:
    """Names of a block's inputs."""
    return dict(zip(inputs, _pool(), strict=False))


def _reads(member: Member | Block) -> tuple[int, ...]:
    return member.inputs if isinstance(member, Block) else member.step.reads


class _Writer:
    """Writes statements, and keeps track of which variable holds which value."""

    def __init__(self, block: Block, arguments: dict[int, str]) -> None:
        self.lines: list[str] = []
        self._names = dict(arguments)
        self._last: dict[int, int] = {}
        self._count: Counter[int] = Counter(block.outputs)
        for position, member in enumerate(block.members):
            for read in _reads(member):
                self._last[read] = position
            self._count.update(_reads(member))
        for read in block.outputs:
            self._last[read] = len(block.members)
        self._pending: _Pending | None = None
        for position, member in enumerate(block.members):
            self._write(member, position)
        self._close(block)

    def _write(self, member: Member | Block, position: int) -> None:
        if isinstance(member, Block):
            self._flush()
            names = [self._names[read] for read in member.inputs]
            targets = self._assign(member.outputs, member.inputs, position)
            doc: Doc = Group(f"self.{member.name}(", tuple(names))
            if len(targets) > 1:
                self.lines.extend(laid_out(doc, _INDENT, f"{', '.join(targets)} = "))
            else:
                self._pending = _Pending(member.outputs[0], doc, _MAX_NESTING, targets[0])
            return
        step, pending = member.step, self._pending
        if step.layer is not None and step.layer.kind == "Parameter":
            self._names[step.value] = f"self.{member.name}"
            return
        nested = self._nested(member)
        if nested is None:
            self._flush()
        values: dict[int, Doc] = {r: self._names[r] for r in step.reads if r in self._names}
        nesting = 1
        if nested is not None and pending is not None:
            values[pending.value] = nested
            nesting = pending.nesting + 1
        doc = _text(step.call, tuple(values[r] for r in step.reads), member)
        (target,) = self._assign((step.value,), step.reads, position)
        nesting -= isinstance(doc, str) and " " in doc  # a sum reads well inside
        self._pending = _Pending(step.value, doc, nesting, target)

    def _nested(self, member: Member) -> Doc | None:
        """The pending expression, if it reads well inside the next one."""
        pending, step = self._pending, member.step
        if pending is None or self._count[pending.value] != 1 or pending.value not in step.reads:
            return None
        infix = isinstance(step.call, Call) and step.call.function in INFIX
        is_infix = isinstance(pending.doc, str) and " " in pending.doc
        if pending.nesting >= _MAX_NESTING or infix or _uses(step.call) != len(step.reads):
            return None
        if is_infix and isinstance(step.call, Call) and step.call.function[0] in ".[":
            return None
        others = {r: self._names[r] for r in step.reads if r != pending.value}
        values = tuple(others.get(r, pending.doc) for r in step.reads)
        text = flat(_text(step.call, values, member))
        return pending.doc if len(text) + _INDENT + len("return ") <= WIDTH else None

    def _assign(self, values: tuple[int, ...], reads: tuple[int, ...], position: int) -> list[str]:
        """Names for new values: those of operands that nothing reads any more come first."""
        dead = [r for r in self._names if self._last.get(r, -1) <= position]
        freed = [n for r in reads if r in dead and not (n := self._names[r]).startswith("self.")]
        for read in dead:
            del self._names[read]
        held = set(self._names.values())
        names = []
        for value in values:
            pool = (*(n for n in freed if n not in held), *_first_free(held))
            name = pool[0]
            held.add(name)
            self._names[value] = name
            names.append(name)
        return names

    def _flush(self) -> None:
        if self._pending is not None:
            self.lines.extend(laid_out(self._pending.doc, _INDENT, f"{self._pending.target} = "))
            self._pending = None

    def _close(self, block: Block) -> None:
        pending = self._pending
        if pending is not None and block.outputs == (pending.value,):
            self.lines.extend(laid_out(pending.doc, _INDENT, "return "))
            return
        self._flush()
        names = [self._names[value] for value in block.outputs]
        self.lines.append(f"{' ' * _INDENT}return {', '.join(names)}")


def _first_free(held: set[str]) -> tuple[str, ...]:
    return (next(name for name in _pool() if name not in held),)


def _uses(item: Any) -> int:
    """How often an expression names operands."""
    if isinstance(item, Call):
        return sum(map(_uses, item.args)) + sum(_uses(value) for _, value in item.kwargs)
    if isinstance(item, tuple | list):
        return sum(map(_uses, item))
    return int(isinstance(item, Operand))


def _text(item: Any, operands: tuple[Doc, ...], member: Member) -> Doc:
    """An expression as text."""
    match item:
        case Operand(position):
            return operands[position]
        case DType(name):
            return f"torch.{name}"
        case tuple() if any(isinstance(x, Operand | Call) for x in item):
            return Group("(", tuple(_text(x, operands, member) for x in item))
        case list() if any(isinstance(x, Operand | Call) for x in item):
            return Group("[", tuple(_text(x, operands, member) for x in item), "]")
        case Call(function, args, kwargs):
            inner = [_text(x, operands, member) for x in args]
            named: list[Doc] = []
            for key, value in kwargs:
                text = flat(_text(value, operands, member))
                named.append(f"{key}={text}")
            return _call(function, args, inner, named, member)
    return literal(item)


def _call(
    function: str, args: tuple[Any, ...], inner: list[Doc], named: list[Doc], member: Member
) -> Doc:
    if function in INFIX:
        left, right = (
            f"({flat(doc)})" if isinstance(arg, Call) and arg.function in INFIX else flat(doc)
            for arg, doc in zip(args, inner, strict=True)
        )
        return f"{left} {function} {right}"
    if function == "[]":
        index = args[1]
        items = index if isinstance(index, tuple) else (index,)
        return f"{flat(inner[0])}[{', '.join(map(literal, items))}]"
    if function == "self":
        if not args:
            return f"self.{member.name}"
        return Group(f"self.{member.name}(", (*inner, *named))
    if function.startswith("."):
        return Group(f"{flat(inner[0])}{function}(", (*inner[1:], *named))
    return Group(f"{function}(", (*inner, *named))
