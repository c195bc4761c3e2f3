"""Damage for the tests of readers: changed bytes, changed JSON, and what a reader may cost."""

import copy
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gennape_plugin.process_memory import peak_mib, reset_peak

#: What no file of ours holds, or holds in another place.
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    3,
    1 << 40,
    1 << 62,
    10**300,
    10**4000,
    2.5,
    -0.0,
    1e308,
    math.nan,
    math.inf,
    "",
    "conv",
    "x" * 10_000,
    [],
    [0],
    [[[[[[1]]]]]],
    [-1, -1],
    {},
    {"op": "relu"},
    ["a", None, {}],
)
#: Pieces of JSON that make something else of the file around them.
TOKENS: tuple[bytes, ...] = (b"0", b"9", b"-", b'"', b"null", b"1e9", b"[]", b"\xff", b"e", b"{}")


def deep(levels: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def places(value: Any, depth: int, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every value inside a record, down to a depth."""
    if isinstance(value, dict | list) and len(path) < depth:
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            yield from places(value[key], depth, (*path, key))


def mutated_json(record: Any, rng: random.Random, *, depth: int = 8, nest: bool = True) -> Any:
    """A copy with one to four values removed, doubled, replaced, or moved by a little.

    Args:
        record: JSON values.
        rng: Where the choices come from.
        depth: How far down values are changed.
        nest: Put thousands of lists in each other, too (``json`` itself cannot write those).
    """
    record = copy.deepcopy(record)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        known = list(places(record, depth))
        if not known:
            break
        *path, key = rng.choice(known)
        holder: Any = record
        for step in path:
            holder = holder[step]
        match rng.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, rng.choice(holder))
            case 2 if isinstance(holder[key], int) and not isinstance(holder[key], bool):
                holder[key] += rng.choice((-10, -1, 1, 10))
            case 3 if nest:
                holder[key] = deep(rng.choice((3, 900, 5000)))
            case _:
                holder[key] = copy.deepcopy(rng.choice(JUNK))
    return record


def mutated_bytes(
    data: bytes, rng: random.Random, *, end: int | None = None, tokens: Sequence[bytes] = ()
) -> bytes:
    """A copy with bits flipped, bytes replaced, cut out or put in, and now and then cut short.

    Args:
        data: The bytes.
        rng: Where the choices come from.
        end: Changes are made before this position.
        tokens: Also put these in the place of up to three bytes.
    """
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(min(len(made), end or len(made)) or 1)
        match rng.randrange(5 if tokens else 4):
            case 0:
                made[at : at + 1] = bytes(b ^ 1 << rng.randrange(8) for b in made[at : at + 1])
            case 1:
                made[at : at + 1] = rng.randbytes(1)
            case 2:
                del made[at : at + rng.randrange(1, 16)]
            case 3:
                made[at:at] = rng.randbytes(rng.randrange(1, 8))
            case _:
                made[at : at + rng.randrange(4)] = rng.choice(tokens)
    if not rng.randrange(8):
        del made[rng.randrange(len(made) + 1) :]
    return bytes(made)


@contextmanager
def bounded(*, seconds: float = 5.0, megabytes: float = 256.0) -> Iterator[None]:
    """Asserts that a block takes little time of the processor, and the process little memory more.

    The greatest memory is read where the system tells it (Linux).
    """
    before = reset_peak()
    start = time.process_time()
    yield
    took = time.process_time() - start
    assert took < seconds, f"{took:.1f} s"
    if before is not None:
        grown = (peak_mib() or before) - before
        assert grown < megabytes, f"{grown:.0f} MiB"
