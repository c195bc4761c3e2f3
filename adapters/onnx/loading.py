"""From a path, or a message, to an ONNX ``ModelProto`` without large data."""

from pathlib import Path
from typing import Any

from gennape_plugin.core.errors import InvalidInputError

from .wire import read_structure


def load_model(source: Any) -> Any:
    """The model as a protobuf message.

    Args:
        source: Path of a file, or an ``onnx.ModelProto``.

    Raises:
        InvalidInputError: if it is neither, or no ONNX model.
    """
    try:
        import onnx
    except ImportError as error:
        raise InvalidInputError(
            "reading ONNX models needs the package onnx: pip install gennape-plugin[onnx]"
        ) from error
    if isinstance(source, onnx.ModelProto):
        model, title = source, "the model"
    elif isinstance(source, str | Path):
        title = str(source)
        content = read_structure(Path(source))
        model = onnx.ModelProto()
        try:
            model.ParseFromString(content)
        except Exception as error:  # protobuf's own kinds, which carry no types
            raise InvalidInputError(f"{title} is no ONNX model: {error}") from None
    else:
        raise InvalidInputError(
            f"an ONNX model is the path of a file or an onnx.ModelProto, got "
            f"{type(source).__name__}: {source!r:.80}"
        )
    if not model.HasField("graph") or not model.graph.output:
        raise InvalidInputError(
            f"{title} is no ONNX model: it has no graph with outputs; give a file that "
            "torch.onnx.export or another exporter has written"
        )
    return model
