"""The two JSON records of a ``.pt2`` file that describe a network, read without running it.

``torch.export.load`` unpickles the archive's sample inputs, opaque constants and some weights,
and evaluates its size expressions: it runs code of whoever wrote the file. Here nothing is
unpickled, unpacked to disk or evaluated, and weights are not read at all.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from gennape_plugin.core.errors import CaptureError, InvalidInputError

#: Greatest size of a record in bytes. An operation takes some two kilobytes.
MAX_RECORD: Final = 128 << 20
#: A record that packs better than this is no text that torch has written.
_MAX_RATIO: Final = 200
_MODELS: Final = "models/"
_OLD_MODEL: Final = "serialized_exported_program.json"  # of torch 2.6 and earlier


class Records(NamedTuple):
    """What an archive says of one network.

    Attributes:
        name: Its name in the archive.
        program: The record of its calls.
        weights: For each weight's name, the record of how it is stored.
    """

    name: str
    program: Mapping[str, Any]
    weights: Mapping[str, Any]


def read_records(path: str | Path, model: str | None = None) -> Records:
    """Read the records of one network.

    Args:
        path: The file.
        model: Name of the network, where the archive holds several.

    Raises:
        InvalidInputError: if there is no such file, or the archive holds several networks or
            not the one asked for.
        CaptureError: if it is no archive of ``torch.export.save``, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInputError(f"{path} is not a file: give a file that torch.export.save wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path, model)
    except (CaptureError, InvalidInputError):
        raise
    except (
        *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
        *(NotImplementedError, RuntimeError, ValueError),  # encrypted, or packed in other ways
    ) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _read(archive: zipfile.ZipFile, path: Path, model: str | None) -> Records:
    names = archive.namelist()
    odd = next((n for n in names if n.startswith(("/", "\\")) or ".." in n or "\\" in n), None)
    if odd is not None:
        raise _damaged(path, f"it has a record named {odd!r:.80}, outside its folder")
    if len(set(names)) < len(names):
        raise _damaged(path, "two of its records have the same name")
    if _OLD_MODEL in names:
        return Records(path.stem, _json(archive, _OLD_MODEL, path), {})
    root = names[0].partition("/")[0] + "/" if names else ""
    found = {
        name.removeprefix(root + _MODELS).removesuffix(".json"): name
        for name in names
        if name.startswith(root + _MODELS) and name.endswith(".json")
    }
    if not found:
        raise _damaged(path, "it holds no exported program")
    if (len(found) > 1) if model is None else (model not in found):
        raise InvalidInputError(
            f"{path} holds {', '.join(sorted(found))[:200]}: choose one with model=..."
        )
    chosen = next(iter(found)) if model is None else model
    stored = f"{root}data/weights/{chosen}_weights_config.json"
    weights = _json(archive, stored, path).get("config") if stored in names else None
    title = path.stem if chosen == "model" else chosen  # torch's own name says nothing
    program = _json(archive, found[chosen], path)
    return Records(title, program, weights if isinstance(weights, dict) else {})


def _json(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    info = archive.getinfo(name)
    if info.file_size > MAX_RECORD or info.file_size > _MAX_RATIO * max(info.compress_size, 1):
        raise CaptureError(
            f"{path}: its record {name!r:.80} unpacks to {info.file_size:,} bytes, more than a "
            "network's description takes; load it yourself with torch.export.load if you trust "
            "the file, and give the ExportedProgram"
        )
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its record {name!r:.80} is no JSON") from error
    if not isinstance(record, dict):
        raise _damaged(path, f"its record {name!r:.80} is no JSON object")
    return record


def _damaged(path: Path, reason: str) -> CaptureError:
    return CaptureError(
        f"{path} is not an archive that torch.export.save wrote, or is damaged: {reason[:200]}"
    )
