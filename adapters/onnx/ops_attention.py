"""Handler of attention as one operator (version 23 of the standard and later)."""

from typing import Any

from .registry import Call, UnknownResultError, handles


@handles("Attention")
def attention(call: Call) -> None:
    """Scaled dot-product attention; a constant mask is no operand."""
    query, key, value = call.need(0), call.need(1), call.need(2)
    mask = call.get(3)
    ranks = {len(query.shape), len(key.shape), len(value.shape)}
    if ranks not in ({3}, {4}) or call.get(4) is not None or call.get(5) is not None:
        raise UnknownResultError  # earlier keys and values, kept from call to call
    heads = call.node.int("q_num_heads", 0), call.node.int("kv_num_heads", 0)
    grouped = query.shape[1] != key.shape[1] if ranks == {4} else heads[0] != heads[1]
    if grouped and ranks == {3}:
        raise UnknownResultError
    scale = call.node.float("scale") if "scale" in call.node.attrs else None
    attrs: dict[str, Any] = {
        "causal": bool(call.node.int("is_causal", 0)),
        "scale": scale,
        "grouped": grouped,
    }
    operands = [query, key, value]
    if mask is not None and not mask.constant:
        operands.append(mask)
    call.put(call.emit("attention", operands, attrs))
