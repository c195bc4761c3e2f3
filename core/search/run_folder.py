"""A search's folder: settings, state and every score, so that it goes on after a kill.

Each batch of scores is one line that is on disk before the next batch starts; the state is
replaced as a whole after each generation. A line that was cut off by a kill or a full disk
is dropped when the folder is opened again.
"""

import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final

from gennape_plugin.core.errors import GennapeError, InvalidInputError
from gennape_plugin.core.files import PARTIAL, append_json_line, read_json_lines, write_whole

from .candidate import Candidate, Scores

VERSION: Final = 1
_RUN, _STATE, _SCORES = "run.json", "state.json", "scores.jsonl"


class RunFolder:
    """Reads and writes the files of one search."""

    def __init__(self, path: str | Path) -> None:
        """A folder that :meth:`opened` has made or checked."""
        self.path = Path(path)
        self._scores = self.path / _SCORES

    @classmethod
    def opened(cls, path: str | Path, settings: Mapping[str, Any]) -> "RunFolder":
        """Open the folder of a search, or make it.

        Args:
            path: The folder.
            settings: What the search depends on, plain JSON values; a folder of a search with
                other settings is refused.

        Raises:
            InvalidInputError: if it holds something else, or another search.
            OSError: if it cannot be made.
        """
        folder = cls(path)
        settings = json.loads(json.dumps(settings))
        if folder.path.exists() and not folder.path.is_dir():
            raise InvalidInputError(f"{path} is a file: give a folder for the search")
        if (folder.path / _RUN).exists():
            folder._check(settings)
        elif folder.path.exists() and any(f.suffix != PARTIAL for f in folder.path.iterdir()):
            raise InvalidInputError(f"{path} is not empty and holds no search: give a new folder")
        else:
            folder.write(_RUN, {"format": "gennape-search", "version": VERSION, **settings})
        return folder

    def _check(self, settings: Mapping[str, Any]) -> None:
        found = self._read(_RUN)
        if found.pop("format", None) != "gennape-search" or found.pop("version", None) != VERSION:
            raise InvalidInputError(
                f"{self.path} holds a search of another version of this package: give a new "
                "folder, or use that version"
            )
        for name in {**found, **settings}:
            if found.get(name) != settings.get(name):
                raise InvalidInputError(
                    f"{self.path} holds a search with {name} {found.get(name)!r:.120}, not "
                    f"{settings.get(name)!r:.120}: give the same settings to go on with it, or "
                    "a new folder"
                )

    def _read(self, name: str) -> dict[str, Any]:
        try:
            data = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidInputError(f"{self.path / name} cannot be read: {error}") from None
        if not isinstance(data, dict):
            raise InvalidInputError(f"{self.path / name} does not hold a JSON object")
        return data

    # -- writing ---------------------------------------------------------------------------

    def write(self, name: str, data: object) -> None:
        """Write a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(data, separators=(",", ":")) + "\n")

    def keep_only(self, part: str, names: Set[str]) -> None:
        """Delete the files of a folder in it that are not among ``names``."""
        folder = self.path / part
        for file in folder.iterdir() if folder.is_dir() else ():
            if file.is_file() and file.name not in names:
                file.unlink()

    def write_text(self, name: str, content: str) -> None:
        """Write a file, whole or not at all.

        Raises:
            OSError: saying what to do; what was there before is kept.
        """
        path = self.path / name
        try:
            write_whole(path, content)
        except OSError as error:
            raise _unwritten(path, error) from error

    def add_scores(self, generation: int, scores: Mapping[str, Scores]) -> None:
        """Append one batch of scores by graph hash.

        Raises:
            OSError: as :meth:`write_text`.
        """
        record = {h: s.to_dict() for h, s in scores.items()}
        try:
            append_json_line(self._scores, {"generation": generation, "scores": record})
        except OSError as error:
            raise _unwritten(self._scores, error) from error

    def save(self, state: Mapping[str, Any], population: Sequence[Candidate]) -> None:
        """Replace the state."""
        self.write(_STATE, {**state, "population": [c.to_dict() for c in population]})

    # -- reading ---------------------------------------------------------------------------

    def load(self) -> tuple[dict[str, Any], list[Candidate]] | None:
        """State and population, if a generation was finished.

        Raises:
            InvalidInputError: if the file is damaged.
        """
        if not (self.path / _STATE).exists():
            return None
        state = self._read(_STATE)
        try:
            population = [Candidate.from_dict(item) for item in state.pop("population")]
        except (GennapeError, LookupError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"{self.path / _STATE} is damaged ({error}): start again in a new folder"
            ) from None
        return state, population

    def scores(self) -> list[tuple[int, dict[str, Scores]]]:
        """All batches, without a last line that was cut off.

        Raises:
            InvalidInputError: if another line is damaged.
        """
        found = []
        try:
            for record in read_json_lines(self._scores):
                scores = {str(h): Scores.from_dict(s) for h, s in record["scores"].items()}
                found.append((int(record["generation"]), scores))
        except (GennapeError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"{self._scores}, batch {len(found) + 1}, is damaged ({error}): start again in a "
                "new folder"
            ) from None
        return found


def _unwritten(path: Path, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    return OSError(
        error.errno,
        f"{path} could not be written ({reason}). What was written before is whole: make room "
        "and start the same command again to go on",
    )
