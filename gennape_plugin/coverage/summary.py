"""The figures of a run, as text."""

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Final

from .measuring import Record

#: Multiply-adds may differ by so much: the counter leaves some products out.
TOLERANCE: Final = 0.01


def differing(records: Sequence[Record]) -> list[Record]:
    """Networks whose multiply-adds differ from what ``FlopCounterMode`` counts."""
    return [
        record
        for record in records
        if record.macs is not None
        and record.counted_macs is not None
        and abs(record.macs - record.counted_macs) > TOLERANCE * max(record.counted_macs, 1)
    ]


def summary(records: Sequence[Record]) -> str:
    """Captured and total, routes, time, memory, comparisons, and every failure."""
    captured = [record for record in records if record.error is None]
    lines = [f"captured {len(captured)} of {len(records)}{_share(len(captured), len(records))}"]
    routes = Counter(str(record.route) for record in captured)
    if routes:
        lines.append("routes: " + ", ".join(f"{name} {n}" for name, n in routes.most_common()))
    timed = [r for r in captured if r.route != "real"]  # there the network itself runs
    _spread(lines, "time", "s", [r.seconds for r in timed])
    _spread(lines, "memory (Python, peak)", "MiB", [r.peak_mb for r in timed])
    _spread(lines, "memory (process, growth)", "MiB", [r.rss_mb for r in timed])
    warned = sum(bool(record.warnings) for record in captured)
    custom = sum(bool(record.custom) for record in captured)
    lines.append(f"under an assumption: {warned}; with operations outside the vocabulary: {custom}")
    lines += _against_fx(records) + _against_counter(records)
    for record in records:
        if record.error is not None:
            lines.append(f"FAILED {record.model}: {record.error}")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.1f} %)" if whole else ""


def _spread(lines: list[str], what: str, unit: str, values: Sequence[float | None]) -> None:
    known = sorted(value for value in values if value is not None)
    if known:
        late = known[min(len(known) - 1, round(0.95 * (len(known) - 1)))]
        middle = statistics.median(known)
        figures = {"median": middle, "p95": late, "most": known[-1]}
        lines.append(f"{what}: " + ", ".join(f"{n} {v:.3g} {unit}" for n, v in figures.items()))


def _against_fx(records: Sequence[Record]) -> list[str]:
    tried = [r for r in records if r.fx_seconds is not None or r.fx_error is not None]
    if not tried:
        return []
    traced = sum(r.fx_seconds is not None for r in tried)
    pairs = [
        (r.seconds, r.fx_seconds)
        for r in tried
        if r.seconds is not None and r.fx_seconds is not None and r.error is None
    ]
    lines = [f"torch.fx with shape propagation: {traced} of {len(tried)}"]
    if pairs:
        ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        lines.append(
            f"on the {len(pairs)} that both take: capture {ours:.3f} s, fx {theirs:.3f} s "
            f"(medians); median of the ratios {ratio:.2f}"
        )
    return lines


def _against_counter(records: Sequence[Record]) -> list[str]:
    counted = [r for r in records if r.counted_macs is not None and r.macs is not None]
    failed = [r for r in records if r.count_error is not None]
    if not counted and not failed:
        return []
    odd = differing(records)
    lines = [
        f"multiply-adds within {100 * TOLERANCE:.0f} % of FlopCounterMode: "
        f"{len(counted) - len(odd)} of {len(counted)} ({len(failed)} it could not count)"
    ]
    for r in odd:
        lines.append(f"DIFFERS {r.model}: {r.macs:,} multiply-adds, counter {r.counted_macs:,}")
    return lines
