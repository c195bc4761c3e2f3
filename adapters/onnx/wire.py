"""The structure of an ONNX file, read without its weights.

An ONNX file is one protobuf message; nearly all of its bytes are the raw data of tensors.
Their fields are skipped while the file is read, so that memory and time follow the size of
the network's structure. External data files are never opened.
"""

import os
import stat
from collections.abc import Mapping
from io import RawIOBase
from pathlib import Path
from typing import Any, Final

from gennape_plugin.core.errors import InvalidInputError

MAX_FILE: Final = 2 << 30  # protobuf's own limit on a message
MAX_STRUCTURE: Final = 64 << 20  # what may be left without the weights
MAX_ENTRIES: Final = 2_000_000  # fields of one message: an empty one costs memory too
#: Fields longer than this are looked into, and data longer than this is left out.
_LARGE: Final = 1 << 16
_CHUNK: Final = 1 << 16

#: Fields by number: ``None`` is left out where it is large, a mapping is looked into.
_Fields = Mapping[int, Any]
_TENSOR: Final[_Fields] = dict.fromkeys((4, 5, 7, 9, 10, 11))  # every kind of numeric data
_NODE: Final[_Fields] = {5: {5: _TENSOR}}
_GRAPH: Final[_Fields] = {1: _NODE, 5: _TENSOR, 15: {1: _TENSOR, 2: _TENSOR}}
_MODEL: Final[_Fields] = {7: _GRAPH, 25: {7: _NODE}, 20: None}


def read_structure(path: Path) -> bytes:
    """The bytes of a model file without large tensor data.

    Raises:
        InvalidInputError: if there is no such regular file, or it is no protobuf message, or
            what is left exceeds the limits.
    """
    try:
        # Opening a pipe for reading would wait for a writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{str(path)!r:.200} cannot be opened: {error}") from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise InvalidInputError(f"{path} is no regular file: give the path of an .onnx file")
    with os.fdopen(handle, "rb", buffering=0) as file:
        if not 0 < status.st_size <= MAX_FILE:
            raise InvalidInputError(
                f"{path} has {status.st_size} bytes: an ONNX file has 1 to {MAX_FILE}; larger "
                "models keep their weights in external files"
            )
        try:
            return _Stripper(file).message(status.st_size, _MODEL)
        except OSError as error:
            raise InvalidInputError(f"{path} cannot be read: {error}") from None
        except _MalformedError as error:
            raise InvalidInputError(f"{path} is no ONNX model: {error}") from None


class _MalformedError(Exception):
    """The bytes are no message, or one beyond the limits."""


class _Stripper:
    """Copies a message field by field; every byte of the file is passed once."""

    def __init__(self, file: RawIOBase) -> None:
        self.file = file
        self.position = 0  # in the file, of what comes next
        self.chunk = b""
        self.start = 0  # of the chunk, in the file
        self.kept = 0

    def message(self, end: int, fields: _Fields) -> bytes:
        """The message from here to ``end`` without what ``fields`` leaves out."""
        out = bytearray()
        entries = 0
        while self.position < end:
            entries += 1
            if entries > MAX_ENTRIES:
                raise _MalformedError(f"one of its messages has more than {MAX_ENTRIES} fields")
            begin = self.position
            if self.short(end):
                out += self.copied(begin, self.position)
                continue
            tag = self.varint(end)
            number, kind = tag >> 3, tag & 7
            if kind == 2:
                stop = self.varint(end)
                stop += self.position
                if stop > end:
                    raise _MalformedError("it ends in the middle of a field: it was cut short")
                if stop - self.position > _LARGE and number in fields:
                    inner = fields[number]
                    if inner is None:
                        self.position = stop
                    else:
                        content = self.message(stop, inner)
                        out += _varint(tag) + _varint(len(content)) + content
                    continue
            elif kind == 0:
                self.varint(end)
                stop = self.position
            elif kind in (1, 5):
                stop = self.position + (8 if kind == 1 else 4)
                if stop > end:
                    raise _MalformedError("it ends in the middle of a number: it was cut short")
            else:
                raise _MalformedError(f"it holds a field of unknown kind {kind}")
            out += self.copied(begin, stop)
        return bytes(out)

    def short(self, end: int) -> bool:
        """Pass over a field of less than 128 bytes, if one comes next: most are."""
        place = self.position - self.start
        head = self.chunk[place : place + 2] if place >= 0 else b""
        if len(head) < 2 or head[0] & 0x87 != 2 or head[1] > 0x7F:
            return False
        stop = self.position + 2 + head[1]
        if stop > end:
            return False
        self.position = stop
        return True

    def copied(self, begin: int, stop: int) -> bytes:
        """Bytes of the file that are kept; what follows them comes next."""
        self.kept += stop - begin
        if self.kept > MAX_STRUCTURE:
            raise _MalformedError(
                f"its structure, without weights, has more than {MAX_STRUCTURE} bytes"
            )
        self.position = stop
        first, last = begin - self.start, stop - self.start
        if first >= 0 and last <= len(self.chunk):
            return self.chunk[first:last]
        self.file.seek(begin)
        data = self.file.read(stop - begin)
        if len(data) != stop - begin:
            raise _MalformedError("it became shorter while it was read")
        return data

    def varint(self, end: int) -> int:
        """The next number, seven bits a byte."""
        place = self.position - self.start
        if place < 0 or place + 10 > len(self.chunk):
            self.file.seek(self.position)
            self.start, place = self.position, 0
            self.chunk = self.file.read(_CHUNK)
        value = 0
        for shift, byte in enumerate(self.chunk[place : min(place + 10, end - self.start)]):
            value |= (byte & 0x7F) << 7 * shift
            if byte < 0x80:
                self.position += shift + 1
                return value
        raise _MalformedError("it ends in the middle of a number, or holds one beyond 70 bits")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
