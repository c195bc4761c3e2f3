"""Normalisations that exporters write as several operations.

Layer and root-mean-square normalisation as means, squares and roots; group normalisation as
an instance normalisation of another shape; and a learned scale or shift after any of them.
"""

from .ops_activations import short
from .patterns import made, matches, number, pairs
from .registry import Call
from .tensors import is_float
from .values import Value
from .writer import Attrs, GraphWriter

#: Normalisations that may get a scale, and a shift, from the nodes that follow.
_SCALED = ("layer_norm", "group_norm", "rms_norm")


def _mean_over_last(writer: GraphWriter, name: str) -> tuple[str, tuple[int, ...]] | None:
    """Operand and size of a mean over the last axes that keeps them."""
    node = made(writer, name, "ReduceMean")
    value = writer.values.get(name)
    if node is None or value is None or value.node is None:
        return None
    mean = writer.builder.nodes[value.node]
    if mean.op != "mean" or not mean.attr("keepdim"):
        return None
    (before,), axes = mean.in_shapes, mean.attr("axes")
    if not axes or axes != tuple(range(axes[0], len(before))):
        return None
    return node.inputs[0], before[axes[0] :]


def _squared(writer: GraphWriter, name: str) -> str | None:
    """``x`` where ``name`` is its square."""
    power = made(writer, name, "Pow")
    if power is not None and number(writer, power.inputs[1]) == 2:
        return power.inputs[0]
    product = made(writer, name, "Mul")
    if product is not None and len(product.inputs) == 2 and product.inputs[0] == product.inputs[1]:
        return product.inputs[0]
    return None


def _root_of_mean(writer: GraphWriter, name: str) -> tuple[str, tuple[int, ...], float] | None:
    """``(x, size, eps)`` where ``name`` is ``sqrt(mean(x^2) + eps)``."""
    root = made(writer, name, "Sqrt")
    total = made(writer, root.inputs[0], "Add") if root is not None else None
    for mean, eps in pairs(total) if total is not None else ():
        constant = number(writer, eps)
        found = _mean_over_last(writer, mean) if constant is not None else None
        base = _squared(writer, found[0]) if found is not None else None
        if base is not None and found is not None and constant is not None:
            return base, found[1], short(constant)
    return None


def _inverse_root(writer: GraphWriter, name: str) -> str | None:
    """The root whose inverse ``name`` is."""
    inverse = made(writer, name, "Reciprocal")
    if inverse is not None:
        return inverse.inputs[0]
    division = made(writer, name, "Div")
    if division is not None and number(writer, division.inputs[0]) == 1:
        return division.inputs[1]
    return None


def _centred(writer: GraphWriter, name: str) -> tuple[str, tuple[int, ...]] | None:
    """``(x, size)`` where ``name`` is ``x - mean(x)`` over the last axes."""
    node = made(writer, name, "Sub")
    if node is None:
        return None
    found = _mean_over_last(writer, node.inputs[1])
    return found if found is not None and found[0] == node.inputs[0] else None


@matches("Div Mul")
def divided_by_root(call: Call) -> bool:
    """Layer normalisation, or root-mean-square normalisation, without scale and shift."""
    writer, node = call.writer, call.node
    if len(node.inputs) != 2:
        return False
    for left, right in [node.inputs] if node.op == "Div" else pairs(node):
        name = right if node.op == "Div" else _inverse_root(writer, right)
        found = _root_of_mean(writer, name) if name is not None else None
        if found is None:
            continue
        base, size, eps = found
        centred = _centred(writer, left)
        attrs: Attrs = {"shape": size, "affine": False, "eps": eps}
        if centred is not None and _centred(writer, base) == centred and centred[1] == size:
            x = writer.values[centred[0]]
            call.put(call.emit("layer_norm", [x], attrs))
            return True
        if base == left:
            call.put(call.emit("rms_norm", [writer.values[left]], attrs))
            return True
    return False


@matches("Div")
def unit_norm(call: Call) -> bool:
    """Division by the norm along one axis, kept from zero by a clip."""
    writer = call.writer
    x, name = call.node.inputs[0], call.node.inputs[-1]
    expanded = writer.made_by.get(name)
    if expanded is not None and expanded.op == "Expand":
        name = expanded.inputs[0]
    clip = writer.made_by.get(name)
    norm = made(writer, clip.inputs[0], "ReduceL2") if clip is not None and clip.inputs else None
    if clip is None or clip.op != "Clip" or norm is None or norm.inputs[0] != x:
        return False
    value = writer.values[norm.outputs[0]]
    reduced = writer.builder.nodes[value.node] if value.node is not None else None
    if reduced is None or not reduced.attr("keepdim") or len(reduced.attr("axes")) != 1:
        return False
    attrs: Attrs = {"p": 2.0, "dim": reduced.attr("axes")[0]}
    call.put(call.emit("normalize", [writer.values[x]], attrs))
    return True


@matches("Reshape")
def groups(call: Call) -> bool:
    """An instance normalisation of groups of channels."""
    writer = call.writer
    norm = made(writer, call.node.inputs[0], "InstanceNormalization")
    value = writer.values.get(norm.outputs[0]) if norm is not None else None
    before = made(writer, norm.inputs[0], "Reshape") if norm is not None else None
    wanted = call.integers(1) if len(call.node.inputs) > 1 else None
    if before is None or value is None or value.node is None or wanted is None:
        return False
    node = writer.builder.nodes[value.node]
    x = writer.values[before.inputs[0]]
    shape = x.shape
    fits = (
        node.op == "instance_norm"
        and not node.attr("affine")
        and len(node.shape) == 3
        and len(shape) > 2
        and wanted == shape
        and node.shape[0] == shape[0]
        and 0 < node.shape[1] < shape[1]
        and shape[1] % node.shape[1] == 0
    )
    if fits:
        attrs: Attrs = {"groups": node.shape[1], "affine": False, "eps": node.attr("eps")}
        call.put(call.emit("group_norm", [x], attrs))
    return fits


@matches("Mul Add")
def scaled(call: Call) -> bool:
    """A learned scale after a normalisation without one, or a shift after a scale."""
    writer = call.writer
    for name, vector in pairs(call.node):
        x, weight = writer.values[name], writer.values[vector]
        if x.node is None or not writer.depends(x) or not _fits(call, name, weight):
            continue
        norm = writer.builder.nodes[x.node]
        attrs = dict(norm.attrs)
        size = attrs["shape"] if norm.op != "group_norm" else _per_channel(x)
        if weight.shape != size:
            continue
        if call.node.op == "Mul" and not attrs["affine"]:
            attrs["affine"] = True
            if "bias" in attrs:
                attrs["bias"] = False
        elif call.node.op == "Add" and attrs["affine"] and attrs.get("bias") is False:
            attrs["bias"] = True
        else:
            continue
        source = writer.builder.operands[x.node][0]
        operand = Value(writer.shape(source), x.dtype, source)
        call.put(call.emit(norm.op, [operand], attrs, weight=_owner(call, name, weight)))
        return True
    return False


def _fits(call: Call, name: str, weight: Value) -> bool:
    """Whether a value is a normalisation that nothing else reads, and the other one learned."""
    writer = call.writer
    node = writer.values[name].node
    return (
        node is not None
        and writer.builder.nodes[node].op in _SCALED
        and weight.constant
        and weight.learned
        and is_float(weight.dtype)
        and writer.only_reader(name) is call.node
    )


def _per_channel(x: Value) -> tuple[int, ...]:
    return (x.shape[1], *(1 for _ in x.shape[2:]))


def _owner(call: Call, name: str, weight: Value) -> Value:
    """What identifies the weights: a scale by itself, a shift with the scale before it."""
    maker = call.writer.made_by.get(name)
    if call.node.op == "Mul" or maker is None:
        return weight
    scales = [value.key for v in maker.inputs if (value := call.writer.values[v]).learned]
    return Value(weight.shape, weight.dtype, key="+".join([*scales, weight.key]), constant=True)
