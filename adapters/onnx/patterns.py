"""Operations that exporters write as several: found at the last node of each pattern.

A pattern is matched backwards from its last node. What it replaces stays in the graph only
where something else reads it, because nodes that nothing reads are dropped in the end.
"""

from collections.abc import Callable, Iterator
from math import pi, sqrt

from gennape_plugin.core.ops import AttrValue

from .nodes import OnnxNode
from .registry import Call
from .writer import GraphWriter

Matcher = Callable[[Call], bool]
MATCHERS: dict[str, list[Matcher]] = {}


def matches(names: str) -> Callable[[Matcher], Matcher]:
    """Register a pattern by the operators that it may end with."""

    def register(matcher: Matcher) -> Matcher:
        for name in names.split():
            MATCHERS.setdefault(name, []).append(matcher)
        return matcher

    return register


def made(writer: GraphWriter, name: str, op: str) -> OnnxNode | None:
    """The node that has written a value, if it is of one kind and depends on an input."""
    node = writer.made_by.get(name)
    if node is None or node.op != op or node.domain or not all(node.inputs):
        return None
    value = writer.values.get(name)
    return node if value is not None and writer.depends(value) else None


def number(writer: GraphWriter, name: str) -> float | None:
    """The value of a constant of one element that is not learned."""
    value = writer.values.get(name)
    return value.number if value is not None and not value.learned else None


def pairs(node: OnnxNode) -> Iterator[tuple[str, str]]:
    """Both orders of the operands of a node that has two."""
    if len(node.inputs) == 2 and all(node.inputs):
        a, b = node.inputs
        yield a, b
        yield b, a


def with_number(writer: GraphWriter, name: str, op: str, wanted: float) -> str | None:
    """The other operand of ``x op number``, for one number."""
    node = made(writer, name, op)
    for x, constant in pairs(node) if node is not None else ():
        if op == "Div" and node is not None and constant != node.inputs[1]:
            continue
        if close(number(writer, constant), wanted):
            return x
    return None


def close(value: float | None, wanted: float) -> bool:
    """Whether a number is the wanted one, to the precision of 16-bit numbers."""
    return value is not None and abs(value - wanted) <= 2e-3 * max(abs(wanted), 1e-3)


def _put(call: Call, op: str, name: str, **attrs: AttrValue) -> bool:
    x = call.writer.values[name]
    call.put(call.emit(op, [x], attrs))
    return True


# -- gates --------------------------------------------------------------------------------------


@matches("Mul")
def gated(call: Call) -> bool:
    """``x * sigmoid(x)``, ``x * tanh(softplus(x))``, ``x * hard_sigmoid(x)`` and GLU."""
    writer = call.writer
    for x, gate in pairs(call.node):
        sigmoid = made(writer, gate, "Sigmoid")
        if sigmoid is not None:
            if sigmoid.inputs[0] == x:
                return _put(call, "silu", x)
            if _halves(call, x, sigmoid.inputs[0]):
                return True
        tanh = made(writer, gate, "Tanh")
        softplus = made(writer, tanh.inputs[0], "Softplus") if tanh is not None else None
        if softplus is not None and softplus.inputs[0] == x:
            return _put(call, "mish", x)
        hard = made(writer, gate, "HardSigmoid")
        if hard is not None and hard.inputs[0] == x and close(hard.float("alpha", 0.2), 1 / 6):
            return _put(call, "hard_swish", x)
        value = writer.values.get(gate)
        if value is not None and value.node is not None and _hard_sigmoid_of(call, gate) == x:
            return _put(call, "hard_swish", x)
    return False


def _halves(call: Call, first: str, second: str) -> bool:
    """A product of the two halves of one tensor, the second one under a sigmoid."""
    split = made(call.writer, first, "Split") or call.writer.made_by.get(first)
    if split is None or split.op != "Split" or split.outputs != (first, second):
        return False
    x = call.writer.values[split.inputs[0]]
    half = call.writer.values[first].shape
    if half != call.writer.values[second].shape or not call.depends(x):
        return False
    axis = split.int("axis", 0)
    dim = axis % len(x.shape)
    attrs: dict[str, int] = {"dim": -1 if dim == len(x.shape) - 1 else dim}
    call.put(call.emit("glu", [x], {**attrs}, shape=half))
    return True


def _hard_sigmoid_of(call: Call, name: str) -> str | None:
    """``x`` where ``name`` is ``clip(x + 3, 0, 6) / 6``."""
    writer = call.writer
    clipped = with_number(writer, name, "Div", 6.0) or with_number(writer, name, "Mul", 1 / 6)
    return None if clipped is None else _six(writer, clipped)


def _six(writer: GraphWriter, name: str) -> str | None:
    """``x`` where ``name`` is ``clip(x + 3, 0, 6)``."""
    value = writer.values.get(name)
    clip = writer.made_by.get(name)
    if value is None or value.node is None or clip is None or clip.op != "Clip":
        return None
    if writer.builder.nodes[value.node].op != "relu6":
        return None
    return with_number(writer, clip.inputs[0], "Add", 3.0)


@matches("Div Mul")
def hard(call: Call) -> bool:
    """``clip(x + 3, 0, 6) / 6``, alone or times ``x``."""
    writer = call.writer
    wanted = 6.0 if call.node.op == "Div" else 1 / 6
    for clipped, six in pairs(call.node):
        if call.node.op == "Div" and six != call.node.inputs[1]:
            continue
        if not close(number(writer, six), wanted):
            continue
        x = _six(writer, clipped)
        if x is not None:
            return _put(call, "hard_sigmoid", x)
        product = made(writer, clipped, "Mul")
        for left, right in pairs(product) if product is not None else ():
            if _six(writer, right) == left:
                return _put(call, "hard_swish", left)
    return False


@matches("Div")
def softsign(call: Call) -> bool:
    """``x / (1 + |x|)``."""
    x, total = call.node.inputs[0], call.node.inputs[-1]
    inner = with_number(call.writer, total, "Add", 1.0)
    absolute = made(call.writer, inner, "Abs") if inner is not None else None
    return absolute is not None and absolute.inputs[0] == x and _put(call, "softsign", x)


@matches("Log")
def log_sigmoid(call: Call) -> bool:
    """``log(sigmoid(x))``."""
    sigmoid = made(call.writer, call.node.inputs[0], "Sigmoid")
    return sigmoid is not None and _put(call, "log_sigmoid", sigmoid.inputs[0])


# -- GELU ---------------------------------------------------------------------------------------


@matches("Mul")
def gelu(call: Call) -> bool:
    """``x / 2 * (1 + erf(x / sqrt(2)))``, or the same by tanh, in any order of the factors."""
    writer = call.writer
    for name in _factors(writer, call.node):
        inner = with_number(writer, name, "Add", 1.0)
        if inner is None:
            continue
        erf, tanh = made(writer, inner, "Erf"), made(writer, inner, "Tanh")
        if erf is not None:
            x = with_number(writer, erf.inputs[0], "Div", sqrt(2)) or with_number(
                writer, erf.inputs[0], "Mul", sqrt(0.5)
            )
            kind = "none"
        else:
            x = _tanh_argument(writer, tanh.inputs[0]) if tanh is not None else None
            kind = "tanh"
        if x is not None and _is_product(writer, call.node, x, name):
            return _put(call, "gelu", x, approximate=kind)
    return False


def _factors(writer: GraphWriter, node: OnnxNode) -> Iterator[str]:
    """Operands of a product, and of the products among them."""
    for name in node.inputs:
        yield name
        inner = made(writer, name, "Mul")
        if inner is not None:
            yield from inner.inputs


def _is_product(writer: GraphWriter, node: OnnxNode, x: str, gate: str) -> bool:
    """Whether a node is ``x * gate / 2``."""
    factor = 1.0
    found: list[str] = []
    pending = list(node.inputs)
    for _ in range(8):  # two products, or three, are all that the formula has
        if not pending:
            return sorted(found) == sorted((x, gate)) and close(factor, 0.5)
        name = pending.pop()
        scalar = number(writer, name)
        inner = made(writer, name, "Mul") if name not in (x, gate) else None
        if name in (x, gate):
            found.append(name)
        elif scalar is not None:
            factor *= scalar
        elif inner is not None:
            pending += inner.inputs
        else:
            return False
    return False


def _tanh_argument(writer: GraphWriter, name: str) -> str | None:
    """``x`` where ``name`` is ``sqrt(2 / pi) * (x + 0.044715 x^3)``."""
    total = with_number(writer, name, "Mul", sqrt(2 / pi))
    node = made(writer, total, "Add") if total is not None else None
    for x, cubic in pairs(node) if node is not None else ():
        cube = with_number(writer, cubic, "Mul", 0.044715)
        if cube is None:
            continue
        if with_number(writer, cube, "Pow", 3.0) == x:
            return x
        product = made(writer, cube, "Mul")
        for left, squared in pairs(product) if product is not None else ():
            square = made(writer, squared, "Mul")
            if left == x and square is not None and square.inputs == (x, x):
                return x
    return None
