"""A run over a collection: a part of it, from where an earlier run has stopped."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.files import append_json_line, read_json_lines
from gennape_plugin.zoo import Catalogue

from .measuring import Record, measured


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th name, from the ``index``-th on.

    Attributes:
        index: From 1 to ``count``.
        count: Number of shards.
    """

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """``"1/4"``.

        Raises:
            InvalidInputError: for anything else.
        """
        index, _, count = text.partition("/")
        if index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise InvalidInputError(f"--shard {text!r}: give one of so many, from 1/4 to 4/4")

    def of(self, names: Iterable[str]) -> list[str]:
        """The names that belong to this shard."""
        return list(names)[self.index - 1 :: self.count]


def chosen(catalogue: Catalogue, pattern: str | None, shard: Shard) -> list[str]:
    """The names to run, in order.

    Args:
        catalogue: All of them.
        pattern: Shell pattern, such as ``"resnet*"``.
        shard: Which part of those that match.

    Raises:
        InvalidInputError: if nothing matches.
    """
    names = [n for n in sorted(catalogue) if pattern is None or fnmatchcase(n, pattern)]
    if not names:
        raise InvalidInputError(
            f"--match {pattern!r} matches none of {len(catalogue)} names, such as "
            f"{', '.join(sorted(catalogue)[:5])}"
        )
    return shard.of(names)


def read_records(path: Path) -> dict[str, Record]:
    """The records of earlier runs, by name; a line that was cut off in writing is left out.

    Raises:
        InvalidInputError: if the file holds something else.
    """
    try:
        records = [Record(**line) for line in read_json_lines(path)]
    except (InvalidInputError, TypeError) as error:
        raise InvalidInputError(
            f"{path} does not hold the records of a coverage run ({error}): give another --out"
        ) from None
    return {record.model: record for record in records}


def run_all(
    catalogue: Catalogue,
    *,
    pattern: str | None = None,
    shard: Shard | None = None,
    out: Path | None = None,
    compare_fx: bool = False,
    count: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> list[Record]:
    """Measure the chosen networks of a collection.

    Args:
        catalogue: The collection.
        pattern: Shell pattern of the names.
        shard: Which part of them; all by default.
        out: File of JSON lines that grows by one line a network; those in it are not run again.
        compare_fx: Time ``torch.fx`` too.
        count: Count multiply-adds with ``FlopCounterMode`` too.
        note: Called with a line of text after each network.

    Returns:
        The records of all chosen networks, earlier runs' among them.

    Raises:
        InvalidInputError: if nothing matches, or ``out`` holds something else.
    """
    names = chosen(catalogue, pattern, shard or Shard())
    known = {} if out is None else read_records(out)
    for position, name in enumerate(names, 1):
        if name in known:
            continue
        record = measured(name, catalogue[name], compare_fx=compare_fx, count=count)
        known[name] = record
        if out is not None:
            append_json_line(out, record.to_dict())
        what = record.error or f"{record.route}, {record.nodes} nodes, {record.seconds:.2f} s"
        note(f"[{position}/{len(names)}] {name}: {what}")
    return [known[name] for name in names]
