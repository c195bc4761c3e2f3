"""Files that neither a kill nor a full disk leaves half-written.

A file is written beside its place and moved there when it is on disk. Files that grow hold
one JSON object a line; a last line that was cut off in writing is ignored when they are
read, and removed before the next one is written.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isnan
from pathlib import Path
from typing import Any, BinaryIO, Final

from .errors import InvalidInputError

#: What an unfinished file is called: its name and this.
PARTIAL: Final = ".partial"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; what was written takes ``path``'s place when the block ends.

    Its folder is made. If the block fails, nothing changes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    try:
        yield partial
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: if it cannot be written; what was there before is kept.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as partial:
        partial.write_bytes(data)


def append_json_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON object; it is on disk when this returns.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    with path.open("a+b") as file:
        if file.tell() and not _ended(file):
            file.seek(0)
            whole, rest = _parted(file.read())
            if _cut_off(rest):
                file.truncate(whole)
            else:
                line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file that grows; none where there is no file.

    Raises:
        InvalidInputError: naming a line that is no JSON object.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole, rest = _parted(content)
    lines = content[:whole].splitlines()
    if rest and not _cut_off(rest):
        lines.append(rest)
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{path}, line {number} is damaged: {error}") from None
        if not isinstance(record, dict):
            raise InvalidInputError(f"{path}, line {number} holds no JSON object")
        found.append(record)
    return found


def without_nan(value: Any) -> Any:
    """Plain values with ``None`` in the place of NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value


def _ended(file: BinaryIO) -> bool:
    """Whether a file that is not empty ends with a whole line."""
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _parted(content: bytes) -> tuple[int, bytes]:
    """Where the whole lines end, and what follows them."""
    end = content.rfind(b"\n") + 1
    return end, content[end:]


def _cut_off(rest: bytes) -> bool:
    """Whether a last line without an end is the start of a record, not somebody's text."""
    if not rest.startswith(b"{"):
        return False
    try:
        json.loads(rest)
    except (ValueError, RecursionError):
        return True
    return False
