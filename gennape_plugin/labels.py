"""Reading labelled architectures of a family.

A file is JSON lines, optionally gzipped. NAS-Bench-101 rows hold ``hash``, ``matrix``,
``ops`` and ``test_acc`` (mean CIFAR-10 test accuracy of three runs, a fraction) or
``valid_acc_max`` (validation accuracy, the best of three runs, a fraction), or both;
NAS-Bench-201 rows hold ``arch_str`` and accuracies in percent.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from gennape_plugin.adapters.families.base import Family
from gennape_plugin.core.errors import ArchitectureError, LabelsError

MAX_LINE: Final = 1 << 20  # characters; an architecture takes some hundred


@dataclass(frozen=True)
class Labelled:
    """One labelled architecture.

    Attributes:
        arch: The checked architecture of its family.
        labels: Every number on its line, by column name.
        key: Its identity within the file: ``hash``, or the line number.
    """

    arch: Any
    labels: dict[str, float]
    key: str


def read_labels(path: str | Path, family: Family[Any]) -> Iterator[Labelled]:
    """Stream the labelled architectures of a file.

    Raises:
        LabelsError: naming file and line, for anything that is not as it should be.
    """
    path = Path(path)
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError also for endless digits
            raise LabelsError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise LabelsError(f"{path}, line {number}: each line holds one JSON object")
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
        yield Labelled(arch, labels, str(row.get("hash", number)))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as file:
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
