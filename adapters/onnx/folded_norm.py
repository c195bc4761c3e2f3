"""Batch normalisations that an exporter has folded into convolutions.

A folded normalisation leaves no node: only the names of the new weights tell. Two exporters
are known to give names that no module parameter has:

* ``torch.onnx.export(dynamo=False)`` calls both weights ``onnx::Conv_<number>``;
* onnxscript's rewriter (``dynamo=True``) calls the bias ``<name of the weight>_bias``, in
  transposed convolutions and linear layers too; where the layer had a bias before, the
  bias keeps its name, and nothing can be told.

Such a layer is read as one without bias, and a batch normalisation, which is what networks
with batch normalisation are made of. A bias that the layer had before is not in the file any
more. Everything else with a bias stays a layer with a bias.
"""

import re
from typing import Final

from .registry import Call

_MADE_UP: Final = re.compile(r"onnx::Conv_\d+")


def holds_batch_norm(call: Call) -> bool:
    """Whether a layer with a bias was one that a batch normalisation followed."""
    inputs = call.node.inputs
    if call.node.op not in ("Conv", "ConvTranspose", "Gemm") or len(inputs) < 3:
        return False
    weight, bias = inputs[1], inputs[2]
    made_up = _MADE_UP.fullmatch(weight) and _MADE_UP.fullmatch(bias)
    if not made_up and bias != f"{weight}_bias":
        return False
    if any(call.depends(call.get(position)) for position in (1, 2)):
        return False
    call.writer.warn(
        "some layers hold a batch normalisation that the exporter has folded into them: the graph "
        "shows both, as before the export"
    )
    return True
