"""Model outputs kept on disk by the content that they follow from."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file

from gennape_plugin.core.files import replacing
from gennape_plugin.core.model_outputs import Outputs

_FIELDS = ("distance", "embedding", "statistics")


def digest(*parts: str | Path) -> str:
    """SHA-256 over texts and the contents of files."""
    found = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        found.update(hashlib.sha256(data).digest())
    return found.hexdigest()


def cached_outputs(path: Path, make: Callable[[], Outputs]) -> Outputs:
    """Outputs from ``path``, or made and written there, whole or not at all."""
    if path.exists():
        tensors = load_file(path)
        members = {
            name.removeprefix("member."): values
            for name, values in tensors.items()
            if name.startswith("member.")
        }
        distance, embedding, statistics = (tensors[field] for field in _FIELDS)
        names = sorted(name for name in tensors if name.startswith("untrained."))
        untrained = tuple(tensors[name] for name in names)
        return Outputs(members, distance, embedding, statistics, untrained)
    outputs = make()
    tensors = {f"member.{name}": values for name, values in outputs.members.items()}
    tensors |= {field: getattr(outputs, field) for field in _FIELDS}
    tensors |= {f"untrained.{i}": values for i, values in enumerate(outputs.untrained)}
    with replacing(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    return outputs
