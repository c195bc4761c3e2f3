"""Handlers of recurrent layers and cells."""

from collections.abc import Sequence
from typing import Any

from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call
from .recorder import Recorder
from .registry import Handler, handles

_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def _layer(op: str, nonlinearity: str = "tanh") -> Handler:
    def handler(r: Recorder, call: Call, *args: Any) -> Any:
        # Plain: input, states, weights, has biases, layers, dropout, training, both
        # directions, batch first. Packed: data, batch sizes, and the same from the states on,
        # without the last.
        packed = isinstance(args[3], Sequence)
        data, (states, weights, biases, layers, _, _, both) = args[0], args[1 + packed : 8 + packed]
        batch_first = False if packed else args[8]
        return _record(
            r,
            call,
            op,
            (data, *states) if isinstance(states, Sequence) else (data, states),
            weights,
            bias=biases,
            layers=layers,
            bidirectional=both,
            batch_first=batch_first,
            nonlinearity=nonlinearity,
            time=None if packed else int(batch_first),
        )

    return handler


def _cell(op: str, nonlinearity: str = "tanh") -> Handler:
    def handler(
        r: Recorder,
        call: Call,
        input: Tensor,
        hx: Any,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:
        states = hx if isinstance(hx, Sequence) else (hx,)
        return _record(
            r,
            call,
            op,
            (input, *states),
            (w_ih, w_hh) if b_ih is None else (w_ih, w_hh, b_ih, b_hh),
            bias=b_ih is not None,
            layers=1,
            bidirectional=False,
            batch_first=False,
            nonlinearity=nonlinearity,
        )

    return handler


def _record(
    r: Recorder,
    call: Call,
    op: str,
    operands: Sequence[Tensor],
    weights: Sequence[Any],
    time: int | None = None,
    **attrs: AttrValue,
) -> Any:
    """Record a layer: its sequence of outputs is the node, its last states are ``select``.

    ``time`` is the axis of steps, if there is one.
    """
    if not all(r.is_learned(w) for w in weights if isinstance(w, Tensor)):
        return r.opaque(call, call.run())
    nodes = tuple(node for t in operands if (node := r.node(t)) is not None)
    outs = call.run() if time is None or not r.on_meta else _one_step(call, operands[0], time)
    if not nodes:
        return outs
    layers: Any = attrs["layers"]
    each = len(weights) // (layers * (2 if attrs["bidirectional"] else 1))
    attrs["hidden"] = weights[0].shape[0] // _GATES[op]
    # Two weights and two biases a layer; a fifth, or third, is the projection.
    attrs["projection"] = weights[1].shape[1] if each in (3, 5) else 0
    results = list(outs) if isinstance(outs, tuple) else [outs]
    index = r.emit(op, nodes, attrs, tuple(results[0].shape), weights[0])
    r.parts(results, index)
    return outs


def _one_step(call: Call, x: Tensor, time: int) -> Any:
    """The results of a layer on the meta device, where torch goes through every step."""
    steps = x.shape[time]
    if steps < 2:
        return call.run()
    out, *states = call.function(x.narrow(time, 0, 1), *call.args[1:], **call.kwargs)
    whole = out.transpose(0, time)  # torch computes steps first, whatever the order asked for
    return whole.new_empty((steps, *whole.shape[1:])).transpose(0, time), *states


for _op in ("lstm", "gru"):
    handles(f"torch.{_op}")(_layer(_op))
    handles(f"torch.{_op}_cell")(_cell(_op))
for _nonlinearity in ("tanh", "relu"):
    handles(f"torch.rnn_{_nonlinearity}")(_layer("rnn", _nonlinearity))
    handles(f"torch.rnn_{_nonlinearity}_cell")(_cell("rnn", _nonlinearity))
