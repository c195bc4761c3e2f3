"""Handlers of recurrent layers."""

from typing import Any, Final

from gennape_plugin.core.errors import GraphError

from .registry import Call, UnknownResultError, handles

_GATES: Final = {"LSTM": 4, "GRU": 3, "RNN": 1}


@handles("LSTM GRU RNN")
def recurrent(call: Call) -> None:
    """One recurrent layer; a module of several layers is several nodes.

    The node has the shape of ONNX's first result, ``(steps, directions, batch, hidden)``.
    """
    op = call.node.op
    x, w, r = call.need(0), call.need(1), call.need(2)
    hidden = call.node.int("hidden_size", r.shape[-1] if r.shape else 0)
    direction = call.node.text("direction", "forward")
    both = direction == "bidirectional"
    ways, gates = 1 + both, _GATES[op]
    if len(x.shape) != 3 or call.depends(w) or call.depends(r):
        raise UnknownResultError
    wanted = (ways, gates * hidden, x.shape[2]), (ways, gates * hidden, hidden)
    if hidden < 1 or (w.shape, r.shape) != wanted:
        raise GraphError(
            f"weights of shapes {w.shape} and {r.shape} do not fit an input of shape {x.shape}, "
            f"hidden size {hidden} and direction {direction!r:.80}"
        )
    batch_first = bool(call.node.int("layout", 0))
    steps, batch = (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
    functions = call.node.attrs.get("activations")
    relu = op == "RNN" and isinstance(functions, tuple) and "Relu" in functions
    attrs: dict[str, Any] = {
        "hidden": hidden,
        "bias": call.get(3) is not None,
        "batch_first": batch_first,
        "bidirectional": both,
        "nonlinearity": "relu" if relu else "tanh",
    }
    states = [v for i in (5, 6) if call.depends(v := call.get(i)) and v is not None]
    shape = (batch, steps, ways, hidden) if batch_first else (steps, ways, batch, hidden)
    y = call.emit(op.lower(), [x, *states], attrs, shape=shape, weight=w)
    call.put(y)
    last = (batch, ways, hidden) if batch_first else (ways, batch, hidden)
    call.part(y, 1, last)
    call.part(y, 2, last)
