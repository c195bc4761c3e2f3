"""Greatest memory of this process, as Linux counts it.

``resource.getrusage`` will not do: a process starts with the peak of the one that started it.
"""

from pathlib import Path

_PROCESS = Path("/proc/self")


def reset_peak() -> float | None:
    """Make the system forget the greatest memory so far.

    Returns:
        The memory resident now, in MiB; ``None`` where the system does not tell.
    """
    try:
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")
    except OSError:  # the peak then only grows
        return peak_mib()
    return _mib("VmRSS")


def peak_mib() -> float | None:
    """Greatest resident memory since :func:`reset_peak`, in MiB; ``None`` as there."""
    return _mib("VmHWM")


def _mib(field: str) -> float | None:
    try:
        status = (_PROCESS / "status").read_text(encoding="ascii")
    except OSError:
        return None
    line = next((text for text in status.splitlines() if text.startswith(f"{field}:")), None)
    return None if line is None else int(line.split()[1]) / 1024
