"""Functions that add nothing to a graph: metadata, constants, devices, initialisers.

And those whose answer is data: on meta tensors they have none, on real tensors the
forward takes the path of that one input.
"""

from typing import Any

from .calls import Call
from .ops_casts import on_this_machine
from .recorder import Recorder
from .registry import handles, passes

# Frequent calls that return no tensor, or one that is no new value.
passes(
    "size dim ndimension stride numel nelement element_size storage_offset is_contiguous "
    "is_floating_point is_complex is_signed is_same_size Tensor.__len__ Tensor.__repr__ "
    "Tensor.__str__ Tensor.__format__ Tensor.__hash__ Tensor.__dir__ Tensor.is_shared "
    "requires_grad_ retain_grad register_hook share_memory_ pin_memory storage untyped_storage "
    "data_ptr get_device is_inference is_conj is_neg dense_dim sparse_dim has_names "
    "torch.result_type torch.can_cast torch.is_storage torch._assert torch._assert_async "
    "torch.is_grad_enabled C._set_grad_enabled torch.broadcast_shapes "
    "torch._has_compatible_shallow_copy_type Tensor.backward Tensor.__reduce_ex__"
)
# New tensors whose content depends on no operand.
passes(
    "zeros_like ones_like empty_like full_like rand_like randn_like randint_like "
    "new_zeros new_ones new_empty new_full new_tensor new_empty_strided"
)
# Parameters made while the forward runs (lazy modules).
passes(
    "init.uniform_ init.normal_ init.trunc_normal_ init.constant_ init.ones_ init.zeros_ "
    "init.eye_ init.dirac_ init.xavier_uniform_ init.xavier_normal_ init.kaiming_uniform_ "
    "init.kaiming_normal_ init.orthogonal_ init.sparse_"
)


@handles(
    "torch.zeros torch.ones torch.empty torch.full torch.arange torch.linspace torch.logspace "
    "torch.eye torch.tensor torch.as_tensor torch.asarray torch.rand torch.randn torch.randint "
    "torch.randperm torch.scalar_tensor torch.tril_indices torch.triu_indices torch.range "
    "torch.empty_strided torch.hann_window torch.hamming_window"
)
def factory(r: Recorder, call: Call, *args: Any, **kwargs: Any) -> Any:
    """A constant. Where the network's tensors carry no data, neither does it."""
    if kwargs.get("device") is not None:
        on_this_machine(kwargs["device"])
    if r.on_meta and "out" not in call.kwargs:
        kwargs["device"] = "meta"
        return call.function(*args, **{k: v for k, v in kwargs.items() if k != "pin_memory"})
    return call.run()


@handles(
    "Tensor.item Tensor.tolist Tensor.numpy Tensor.__bool__ Tensor.__int__ Tensor.__float__ "
    "Tensor.__index__ Tensor.__complex__ Tensor.__contains__ Tensor.__array__ equal allclose "
    "is_nonzero"
)
def data(r: Recorder, call: Call, *operands: Any, **__: Any) -> Any:
    """Data taken out of the tensors."""
    r.warn_of_data(call, operands)
    return call.run()
