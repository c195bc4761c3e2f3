"""Handlers of ATen operators whose arguments are not those of a namesake in torch.

Exported programs call them. An operator with a namesake of the same signature needs none:
:func:`.registry.entry_of` finds the namesake's handler.
"""

from typing import Any, Final

from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call, leaves
from .ops_activations import activation, dropout, softmax
from .ops_casts import recast
from .ops_layout import pad as padded
from .ops_layout import reshaped
from .ops_norms import instance_norm
from .ops_slicing import gather
from .ops_weighted import conv, conv_transpose
from .recorder import Recorder
from .registry import handles
from .values import Value, set_value


@handles("aten.convolution aten._convolution aten.convolution_overrideable")
def convolution(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *_: Any,
) -> Any:
    """A convolution of any rank, transposed or not."""
    if transposed:
        return conv_transpose(
            r, call, input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return conv(r, call, input, weight, bias, stride, padding, dilation, groups)


@handles("aten.instance_norm")
def aten_instance_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """Instance normalisation."""
    return instance_norm(
        r, call, input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


@handles("aten._softmax aten._log_softmax aten._safe_softmax")
def private_softmax(
    r: Recorder, call: Call, input: Tensor, dim: int, half_to_float: Any = False
) -> Any:
    """Softmax of a decomposed program."""
    return softmax(r, call, input, dim)


@handles("aten.elu aten.elu_")
def elu(
    r: Recorder,
    call: Call,
    input: Tensor,
    alpha: float = 1,
    scale: float = 1,
    input_scale: float = 1,
) -> Any:
    """ELU; with torch's two constants it is SELU."""
    if scale != 1 or input_scale != 1:
        return activation(r, call, "selu", input)
    return activation(r, call, "elu", input, alpha=float(alpha))


@handles("aten._prelu_kernel")
def prelu_kernel(r: Recorder, call: Call, input: Tensor, weight: Tensor) -> Any:
    """Leaky ReLU with learned slopes, already in the shape of the input."""
    if not r.is_learned(weight):
        return r.opaque(call, call.run())
    attrs: dict[str, AttrValue] = {"parameters": weight.numel()}
    return r.apply(call, "prelu", (input,), attrs, weight=weight, fits=False)


@handles(
    "aten.dropout_ aten.feature_dropout aten.feature_dropout_ aten.alpha_dropout "
    "aten.alpha_dropout_ aten.feature_alpha_dropout aten.feature_alpha_dropout_"
)
def other_dropout(r: Recorder, call: Call, input: Tensor, p: float, train: bool) -> Any:
    """Dropout in place, of whole channels, or one that keeps the moments."""
    return dropout(r, call, input, p, train)


# -- pools, resampling, padding -------------------------------------------------------------------

_MODES: Final = {
    "nearest": "upsample_nearest1d upsample_nearest2d upsample_nearest3d",
    "nearest-exact": " ".join(f"_upsample_nearest_exact{rank}d" for rank in (1, 2, 3)),
    "linear": "upsample_linear1d",
    "bilinear": "upsample_bilinear2d _upsample_bilinear2d_aa",
    "bicubic": "upsample_bicubic2d _upsample_bicubic2d_aa",
    "trilinear": "upsample_trilinear3d",
}


def _resampling(names: str, mode: str) -> None:
    @handles(" ".join(f"aten.{name}" for name in names.split()))
    def handler(
        r: Recorder,
        call: Call,
        input: Tensor,
        size: Any = None,
        align: Any = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        out = call.run()
        if tuple(out.shape) == tuple(input.shape):
            return r.alias(out, input)
        node = r.node(input)
        if node is None:
            return out
        attrs: dict[str, AttrValue] = {
            "size": tuple(out.shape[2:]),
            "mode": mode,
            # torch.nn.functional is given None where it means False.
            "align_corners": True if align is True else None,
        }
        return r.bind(call, out, r.emit("interpolate", (node,), attrs, tuple(out.shape)))


for _mode, _names in _MODES.items():
    _resampling(_names, _mode)


@handles("aten.constant_pad_nd")
def constant_pad(r: Recorder, call: Call, input: Tensor, pad: Any, value: Any = 0) -> Any:
    """Padding by a constant."""
    return padded(r, call, input, pad, "constant", value)


def _padding(name: str, mode: str) -> None:
    @handles(" ".join(f"aten.{name}{rank}d" for rank in (1, 2, 3)))
    def handler(r: Recorder, call: Call, input: Tensor, padding: Any) -> Any:
        return padded(r, call, input, padding, mode)


_padding("reflection_pad", "reflect")
_padding("replication_pad", "replicate")


@handles("aten._unsafe_view aten._reshape_alias aten.view_copy aten._reshape_copy")
def unsafe_view(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Another shape for the same elements."""
    return reshaped(r, call, input)


@handles("aten.alias aten.lift_fresh_copy")
def alias(r: Recorder, call: Call, input: Tensor) -> Any:
    """The same values."""
    return r.alias(call.run(), input)


@handles("aten.as_strided")
def as_strided(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """A view by strides; decompositions write plain reshapes so."""
    out = call.run()
    if out.is_contiguous() and input.is_contiguous() and out.numel() == input.numel():
        return reshaped(r, call, input)
    return r.opaque(call, out)


@handles("aten._to_copy")
def to_copy(r: Recorder, call: Call, input: Tensor, **_: Any) -> Any:
    """Another data type or device."""
    return recast(r, call.run(), input)


@handles("aten.copy")
def copied(r: Recorder, call: Call, input: Tensor, source: Tensor, *_: Any) -> Any:
    """The values of ``source`` in the shape and data type of ``input``."""
    node = r.node(source)
    out = call.run()
    if node is None:
        return out
    shape = tuple(out.shape)
    if r.node_shape(node) != shape:
        node = r.emit("expand", (node,), {"shape": shape}, shape)
    set_value(out, Value(r, node))
    return out


@handles("aten.index aten._unsafe_index aten._unsafe_masked_index")
def index(r: Recorder, call: Call, input: Tensor, indices: Any, *_: Any) -> Any:
    """A gather by other tensors."""
    return gather(r, call, "index", call.run(), [input, *leaves(indices)])
