"""What the once-for-all families share: the checks of an encoding and the channel rounding."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Final, TypeVar

from gennape_plugin.core.errors import ArchitectureError

from ._text import shown

CLASSES: Final = 1000
#: Rate of the dropout before the classifier, where a variant has one.
DROPOUT: Final = 0.1
#: Sides of the input image that a sub-network can be built for.
RESOLUTIONS: Final = range(128, 257, 4)
DEFAULT_RESOLUTION: Final = 224
MAX_TEXT: Final = 1000

NumberT = TypeVar("NumberT", int, float)


def make_divisible(width: float) -> int:
    """The multiple of 8 nearest to ``width``, but never more than a tenth below it."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest


def fields(
    title: str, encoding: object, required: Sequence[str], optional: Sequence[str]
) -> Mapping[str, object]:
    """The encoding as a mapping that has all of ``required`` and nothing unknown."""
    if not isinstance(encoding, Mapping):
        raise ArchitectureError(
            f"not an architecture of {title}: give a mapping with {', '.join(required)} (and "
            f"optionally {', '.join(optional)}), or its one-line form, got {shown(encoding)}"
        )
    missing = [key for key in required if key not in encoding]
    unknown = [key for key in encoding if key not in required and key not in optional]
    if missing or unknown:
        found = f"misses {missing}" if missing else f"has unknown keys {shown(unknown)}"
        raise ArchitectureError(
            f"{title}: an architecture needs {', '.join(required)} and may have "
            f"{', '.join(optional)}: this one {found}"
        )
    return encoding


def entries(title: str, key: str, value: object, lengths: Sequence[int]) -> Sequence[object]:
    """A list or tuple with one of the allowed lengths."""
    if not isinstance(value, list | tuple) or len(value) not in lengths:
        allowed = " or ".join(map(str, lengths))
        got = f"{len(value)} of them" if isinstance(value, list | tuple) else shown(value)
        raise ArchitectureError(f"{title}: {key!r} must be a list of {allowed} values, got {got}")
    return value


def pick(title: str, what: str, value: object, allowed: Sequence[NumberT]) -> NumberT:
    """The member of ``allowed`` that equals ``value``; a bool is no number here."""
    if isinstance(value, Real) and not isinstance(value, bool):
        for member in allowed:
            if member == value:
                return member
    listed = (
        f"multiples of {allowed.step} from {allowed[0]} to {allowed[-1]}"
        if isinstance(allowed, range)
        else ", ".join(map(str, allowed))
    )
    raise ArchitectureError(f"{title}: {what} must be one of {listed}, got {shown(value)}")
