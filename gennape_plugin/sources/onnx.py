"""ONNX: files, and models in memory."""

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.hooks import Example, hookimpl

from ._files import file_reference, names_file


@hookimpl
def gennape_capture(architecture: object, example: Example) -> Capture | None:
    """The path of an ``.onnx`` file, or an ``onnx.ModelProto``.

    Input shapes are in the model; ``input_shape`` fills in sizes that it leaves open.
    """
    if not names_file(architecture, ".onnx") and type(architecture).__name__ != "ModelProto":
        return None
    if example.inputs is not None or example.kwargs is not None:
        raise InvalidInputError(
            "an ONNX model is not run: instead of inputs or kwargs, give input_shape (--input), "
            "and only where the model leaves sizes open"
        )
    from gennape_plugin.adapters.onnx import capture_onnx  # thirty modules that few callers need

    return capture_onnx(architecture, example.input_shape)  # type: ignore[arg-type]


@hookimpl
def gennape_resolve(reference: str) -> tuple[str, object] | None:
    """``network.onnx``."""
    return file_reference(reference, ".onnx")
