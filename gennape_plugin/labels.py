"""Reading labelled architectures of a family.

A file is JSON lines, optionally gzipped. NAS-Bench-101 rows hold ``hash``, ``matrix``,
``ops`` and ``test_acc`` (mean CIFAR-10 test accuracy of three runs, a fraction) or
``valid_acc_max`` (validation accuracy, the best of three runs, a fraction), or both;
NAS-Bench-201 rows hold ``arch_str`` and accuracies in percent.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gennape_plugin.core.errors import ArchitectureError, LabelsError

from .hooks import ask, hookimpl

if TYPE_CHECKING:
    from gennape_plugin.adapters.families.base import Family

MAX_LINE: Final = 1 << 20  # characters; an architecture takes some hundred


@dataclass(frozen=True)
class Labelled:
    """One labelled architecture.

    Attributes:
        arch: The checked architecture of its family.
        labels: Every number on its line, by column name.
        key: Its identity within the file: ``hash``, or the line number.
        line: Its line in the file, from 1.
    """

    arch: Any
    labels: dict[str, float]
    key: str
    line: int = 0


@hookimpl
def gennape_label_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """JSON lines, gzipped where the name says so; whatever no other plugin takes."""
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError also for endless digits
            raise LabelsError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise LabelsError(f"{path}, line {number}: each line holds one JSON object")
        yield number, row


def read_labels(
    path: str | Path,
    family: "Family[Any]",
    *,
    keep: Callable[[Mapping[str, Any]], bool] = lambda row: True,
) -> Iterator[Labelled]:
    """Stream the labelled architectures of a file.

    Args:
        path: The file.
        family: Family whose native encoding its rows hold.
        keep: Called with each row before anything of it is read; False passes over it.

    Raises:
        LabelsError: naming file and line, for anything that is not as it should be.
    """
    path = Path(path)
    for number, row in ask("gennape_label_rows", path=path):
        if not keep(row):
            continue
        try:
            arch = family.parse(family.encoding_of(row))
        except ArchitectureError as error:
            raise LabelsError(f"{path}, line {number}: {error}") from None
        try:
            labels = {
                name: float(value)
                for name, value in row.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }
        except OverflowError as error:
            raise LabelsError(f"{path}, line {number}: {error}") from None
        for name, value in labels.items():
            if not np.isfinite(value):
                raise LabelsError(f"{path}, line {number}: {name} is {value}")
        yield Labelled(arch, labels, str(row.get("hash", number)), number)


def accuracies(
    rows: Iterable[Labelled], column: str, path: str | Path, *, fractions: bool = False
) -> tuple[list[Any], list[float]]:
    """Architectures and their accuracies in percent, each architecture once.

    Args:
        rows: Rows of :func:`read_labels`.
        column: Column of the accuracies.
        path: The file, for messages.
        fractions: Whether the column holds fractions; otherwise percent.

    Raises:
        LabelsError: for a missing column or value, an architecture that occurs twice, or
            numbers that do not fit ``fractions``.
    """
    archs: dict[Any, int] = {}
    values: list[float] = []
    for row in rows:
        if column not in row.labels:
            raise LabelsError(
                f"{path}, line {row.line}: no number in column {column!r}; this line has "
                f"{', '.join(sorted(row.labels)) or 'none'}"
            )
        if row.arch in archs:
            raise LabelsError(
                f"{path}, line {row.line}: the architecture of line {archs[row.arch]} again; "
                "keep one line for each"
            )
        archs[row.arch] = row.line
        values.append(row.labels[column])
        top = 1 if fractions else 100
        if not 0 <= values[-1] <= top:
            raise LabelsError(
                f"{path}, line {row.line}: {column} is {values[-1]:g}, which is no "
                f"{'fraction' if fractions else 'percentage'} (0 to {top})"
            )
    return list(archs), check_percent(values, f"{path}: column {column}", fractions=fractions)


def check_percent(values: Sequence[float], what: str, *, fractions: bool) -> list[float]:
    """Accuracies in percent; fractions are refused unless they were announced.

    Raises:
        LabelsError: if no value is above 1 although percent were promised.
    """
    if fractions:
        return [100 * value for value in values]
    if values and max(values) <= 1:
        raise LabelsError(
            f"{what} holds no value above 1 (largest {max(values):g}): if these are fractions, say "
            "so with fractions=True (--fractions); otherwise give percent"
        )
    return list(values)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) >= MAX_LINE:
                    raise LabelsError(f"{path}, line {number}: longer than {MAX_LINE} characters")
                if line.strip():
                    yield number, line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        place = f", line {number + 1}," if number else ""
        raise LabelsError(
            f"{path}{place} cannot be read ({error}): give a whole .jsonl or .jsonl.gz file"
        ) from None
