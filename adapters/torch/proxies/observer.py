"""Sees the torch calls of a forward pass: activations, weighted layers, batch norms.

It is a ``TorchFunctionMode``, so ``F.relu(x)``, ``x.relu_()`` and ``nn.ReLU()(x)`` are the
same to it. Calls inside one of torch's own composite functions
(``F.multi_head_attention_forward``) are not seen.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .checks import Refusal

#: Activations that are linear on either side of zero.
_AT_ZERO: Final = frozenset("relu relu_ relu6 leaky_relu leaky_relu_ prelu rrelu rrelu_".split())
_CLAMPS: Final = frozenset("clamp clamp_ clip clip_ clamp_min clamp_min_".split())
_CONVOLUTIONS: Final = frozenset(
    f"conv{transposed}{axes}d" for axes in (1, 2, 3) for transposed in ("", "_transpose")
)


class Observer(TorchFunctionMode):
    """Runs the calls of one forward pass, batch norms in a mode of its own.

    Args:
        batch: Size of the batch: every observed tensor must have it as its first axis.
        norms: Whether batch norms normalise (with the batch's own statistics, and without
            updating any) or are bypassed.
        on_codes: Receives, for every ReLU-like call, which units are on:
            ``(batch, units)`` booleans.
        on_layer: Receives the result of every convolution and linear layer and the place
            of its channel axis; returns what the network goes on with.
    """

    def __init__(
        self,
        batch: int,
        *,
        norms: bool = True,
        on_codes: Callable[[Bool[Tensor, "batch units"]], None] | None = None,
        on_layer: Callable[[Tensor, int], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._batch = batch
        self._norms = norms
        self._on_codes = on_codes
        self._on_layer = on_layer

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "batch_norm":
            arguments = _low_level_norm if func is torch.batch_norm else _norm
            return self._batch_norm(*arguments(*args, **kwargs))
        if self._on_codes is not None:
            threshold = _threshold(name, args, kwargs)
            if threshold is not None:  # before the call, which may be in place
                x = args[0] if args else kwargs["input"]
                self._on_codes((self._checked(x, name) > threshold).flatten(1))
        result = func(*args, **kwargs)
        if self._on_layer is not None:
            if name in _CONVOLUTIONS:
                result = self._on_layer(self._checked(result, name), 1)
            elif name == "linear":
                result = self._on_layer(self._checked(result, name), result.ndim - 1)
        return result

    def _batch_norm(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        if not self._norms:
            return x
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)

    def _checked(self, tensor: Tensor, name: str) -> Tensor:
        if tensor.ndim < 2 or tensor.shape[0] != self._batch:
            raise Refusal(
                f"{name} works on shape {tuple(tensor.shape)}: the first axis must be the batch "
                f"of {self._batch} samples"
            )
        return tensor


def _threshold(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """Above which input a unit is on; ``None`` for what is no ReLU-like activation."""
    if name in _AT_ZERO:
        return 0.0
    if name in ("hardtanh", "hardtanh_"):
        return float(args[1] if len(args) > 1 else kwargs.get("min_val", -1.0))
    if name in ("threshold", "threshold_", "_threshold"):  # F.threshold is F._threshold
        return float(args[1] if len(args) > 1 else kwargs["threshold"])
    if name in _CLAMPS:
        low = args[1] if len(args) > 1 else kwargs.get("min")
        if isinstance(low, int | float) and low == 0:
            return 0.0
    return None


_NormArguments = tuple[Tensor, Tensor | None, Tensor | None, float]


def _norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> _NormArguments:
    """The arguments of ``F.batch_norm`` that matter."""
    return input, weight, bias, eps


def _low_level_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> _NormArguments:
    """The same of ``torch.batch_norm``."""
    return input, weight, bias, eps
