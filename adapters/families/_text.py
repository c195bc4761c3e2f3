"""Whatever a person hands over, as a short text for an error message."""

import reprlib

_shortened = reprlib.Repr()
_shortened.maxstring = 120


def shown(value: object) -> str:
    """A short text of any value."""
    try:
        return _shortened.repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits
        return f"a huge {type(value).__name__}"
