"""Architectures that are given as the path of a file."""

from pathlib import Path
from typing import TypeGuard


def names_file(architecture: object, ending: str) -> TypeGuard[str | Path]:
    """Whether an architecture is a path with an ending such as ``".onnx"``."""
    return isinstance(architecture, str | Path) and str(architecture).endswith(ending)


def file_reference(reference: str, ending: str) -> tuple[str, object] | None:
    """Command-line text that is such a path, with the file's stem as the name.

    ``hf-config:config.json`` is not one: what comes before the colon says who reads it.
    """
    if not names_file(reference, ending) or (":" in reference and not Path(reference).exists()):
        return None
    return Path(reference).stem, reference
