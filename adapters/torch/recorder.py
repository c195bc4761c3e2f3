"""The recorder: sees every torch call of one forward pass and writes the graph.

It is a ``TorchFunctionMode``, so it sees the calls that the network's author wrote
(``conv2d``, ``batch_norm``, ``scaled_dot_product_attention``) and not the many kernels
below them, and it takes whatever path the forward takes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import torch
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.shapes import RULES
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .calls import Call, plain, tensors_in
from .registry import TABLE, entry_of
from .values import Value, get_value, set_value
from .writer import Attrs, GraphWriter

_META: Final = torch.device("meta")
#: Ops whose result is laid out in order, however their operands are.
_IN_ORDER: Final = frozenset({"attention", "layer_norm", "linear", "matmul", "mean", "reduce"})
#: Names that torch takes from NumPy, and its own for them.
_NUMPY_NAMES: Final = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x2": "other"}


class Recorder(GraphWriter, TorchFunctionMode):
    """Writes the computation graph of the calls made while it is active.

    Attributes:
        on_meta: Whether the tensors carry no data, so that a kernel need not run where
            the core knows the shape of its result. (Meta kernels are Python: a batch norm
            takes about a millisecond, its shape rule a few microseconds.)
        failure: The last exception that left a module, and the path of the innermost
            module that it left.
    """

    def __init__(self, *, name: str, on_meta: bool, max_nodes: int) -> None:
        """Start recording.

        Args:
            name: Name of the network.
            on_meta: Whether all tensors are on the meta device.
            max_nodes: More nodes than this are refused.
        """
        super().__init__(name=name, max_nodes=max_nodes)
        self.on_meta = on_meta
        self.failure: tuple[Exception, str] | None = None
        #: Packed weights by id, each with a tensor of its shape and whether it has a bias.
        self.packed: dict[int, tuple[Any, Tensor, bool]] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        entry = TABLE.get(func) or entry_of(func)
        handler = entry.handler
        if handler is None:
            return func(*args, **kwargs) if kwargs else func(*args)
        if not kwargs:
            call, given = Call(func, args, {}, entry.writes), {}
        else:
            call = Call(func, args, kwargs, entry.writes or "out" in kwargs)
            given = {_NUMPY_NAMES.get(k, k): v for k, v in kwargs.items() if k != "out"}
        try:
            return handler(self, call, *args, **given)
        except TypeError as error:
            trace = error.__traceback__
            if trace is None or trace.tb_next is not None:
                raise
            # Raised here, not inside: a form of the call that the handler does not know.
            return self.opaque(call, call.run())

    # -- calls that the table knows ----------------------------------------------------

    def apply(
        self,
        call: Call,
        op: str,
        tensors: Sequence[Any],
        attrs: Attrs,
        *,
        weight: Tensor | None = None,
        fits: bool = True,
        writes: bool = False,
    ) -> Any:
        """Record one op with one result, and run its kernel only where needed.

        Args:
            call: The call.
            op: Name of the op.
            tensors: Its operands; constants among them become nodes.
            attrs: Its attributes.
            weight: The tensor that identifies its weights.
            fits: Whether weights and operands agree. Where not, torch's own kernel runs
                and raises its own error.
            writes: Whether the first operand is changed in place.

        Returns:
            The result of the call: a tensor.
        """
        found = [self.node(t) for t in tensors]
        if all(node is None for node in found) and not self.is_learned(weight):
            return call.run()
        nodes = tuple(
            [self.constant(t) if n is None else n for t, n in zip(tensors, found, strict=True)]
        )
        return self.record(call, op, nodes, attrs, tensors, weight=weight, fits=fits, writes=writes)

    def record(
        self,
        call: Call,
        op: str,
        nodes: tuple[int, ...],
        attrs: Attrs,
        tensors: Sequence[Tensor],
        *,
        weight: Tensor | None = None,
        fits: bool = True,
        writes: bool = False,
    ) -> Any:
        """As :meth:`apply`, for operands whose nodes are known.

        ``tensors`` are all tensors that decide on the data type of the result.
        """
        writes = writes or call.writes
        if (
            fits
            and self.on_meta
            and op in RULES
            and "out" not in call.kwargs
            and plain(tensors, strides=op not in _IN_ORDER)
        ):
            out = self._without_kernel(op, nodes, attrs, tensors[0], weight, writes)
            if out is not None:
                return out
        out = call.run()
        if not isinstance(out, Tensor):
            return self.opaque(call, out)
        try:
            index = self.emit(op, nodes, attrs, tuple(out.shape), weight)
        except GraphError as error:
            self.warn(f"{call.title} was kept as a custom operation: {error}")
            return self.opaque(call, out)
        return self.bind(call, out, index, writes=writes)

    def _without_kernel(
        self,
        op: str,
        nodes: tuple[int, ...],
        attrs: Attrs,
        first: Tensor,
        weight: Tensor | None,
        writes: bool,
    ) -> Tensor | None:
        """Record an op by the core's shape rule alone; ``None`` where the kernel has to run."""
        before = len(self.builder.nodes)
        try:
            index = self.emit(op, nodes, attrs, None, weight)
        except GraphError:
            return None  # the kernel raises torch's own error, or knows better
        shape = self.builder.nodes[index].shape
        if not writes:
            out = torch.empty(shape, dtype=first.dtype, device=_META)
            set_value(out, Value(self, index))
            return out
        value = get_value(first, self)
        if value is None or shape != tuple(first.shape):
            self.weights.forget_from(before)  # nothing reads the node, so it is pruned
            return None
        value.write(index)
        return first

    def apply_several(self, call: Call, op: str, tensor: Tensor, attrs: Attrs) -> Any:
        """Record one op that returns several tensors, the principal one first."""
        node = self.node(tensor)
        outs = call.run()
        if node is None:
            return outs
        results = [outs] if isinstance(outs, Tensor) else list(outs)
        try:
            index = self.emit(op, (node,), attrs, tuple(results[0].shape))
        except GraphError:
            return self.opaque(call, outs)
        self.parts(results, index)
        return outs

    def parts(self, outs: Sequence[Any], node: int) -> None:
        """Bind the several results of one node: the first is its own, then ``select``."""
        for position, out in enumerate(outs):
            if isinstance(out, Tensor):
                index = node
                if position:
                    index = self.emit("select", (node,), {"index": position}, tuple(out.shape))
                set_value(out, Value(self, index))

    # -- functions without a handler of their own ----------------------------------------

    def opaque(self, call: Call, result: Any) -> Any:
        """Record a call that the table does not know as ``custom``, under its own name."""
        outs = tensors_in(result)
        if not outs:
            return result
        nodes, weights = [], []
        for tensor in tensors_in((call.args, dict(call.kwargs))):
            if isinstance(tensor, nn.Parameter) and get_value(tensor, self) is None:
                weights.append(tensor)
            else:
                node = self.node(tensor)
                if node is not None:
                    nodes.append(node)
        if not nodes and not weights:
            return result
        params = sum(w.numel() for w in self.weights.unowned(weights))
        attrs: Attrs = {"target": call.title, "params": params}
        index = self.emit("custom", tuple(nodes), attrs, tuple(outs[0].shape))
        self.weights.note_custom(index, weights)
        if call.writes or (call.args and outs[0] is call.args[0]):
            self.bind(call, outs[0], index, writes=True)
            self.parts([None, *outs[1:]], index)
        else:
            self.parts(outs, index)
        return result

    def expand(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a composite function with the recorder on, so that it records what is inside."""
        with self:
            return function(*args, **kwargs)
