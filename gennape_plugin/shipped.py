"""The weights inside the package, and folders of one's own."""

from pathlib import Path
from typing import Final

from gennape_plugin.core.errors import WeightsError

DEFAULT_WEIGHTS: Final = "gennape-nb101"
_FOLDER: Final = Path(__file__).parent / "weights"


def weights_folder(name_or_path: str | Path) -> Path:
    """The folder of shipped weights, or the one given.

    Raises:
        WeightsError: if there is none.
    """
    if str(name_or_path) in shipped_weights():
        return _FOLDER / str(name_or_path)
    folder = Path(name_or_path)
    if not folder.is_dir():
        raise WeightsError(
            f"no weights {str(name_or_path)!r}: shipped are "
            f"{', '.join(shipped_weights()) or 'none'}; or give a folder written by "
            "`gennape pretrain`"
        )
    return folder


def shipped_weights() -> list[str]:
    """Names of the weights inside the package."""
    if not _FOLDER.is_dir():
        return []
    return sorted(p.name for p in _FOLDER.iterdir() if (p / "card.json").is_file())
