"""Weights on disk: a safetensors file and a JSON card beside it. Never a pickle.

The card says what the model is, what it learned from and what it reaches; it also holds
the SHA-256 of the weights and of the op vocabulary, and loading checks both.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from .errors import GennapeError, InvalidInputError, WeightsError
from .files import replacing, write_whole
from .members import Member, member_of
from .model import GennapeModel
from .model_description import model_of
from .ops import PAPER_LABELS
from .statistics import STATISTICS

FORMAT: Final = "gennape-weights"
VERSION: Final = 1
WEIGHTS_FILE: Final = "model.safetensors"
CARD_FILE: Final = "card.json"
MAX_WEIGHTS: Final = 1 << 30  # bytes
MAX_CARD: Final = 16 << 20
#: Tensors of at least so many numbers are stored in 16 bits on request.
_HALVED: Final = 16384
#: Widest layer and greatest number of layers, clusters or members that a card may ask for:
#: a card is read before its weights, and must not make the reader allocate at will.
_MAX_SIZE: Final = 16384
_MAX_LAYERS: Final = 64
_DTYPES: Final = (torch.float32, torch.float16)


def vocabulary_hash() -> str:
    """SHA-256 of the op vocabulary that embeddings are indexed by."""
    return hashlib.sha256("\n".join(PAPER_LABELS).encode()).hexdigest()


def save_model(
    model: GennapeModel, folder: str | Path, card: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write a model and its card.

    Args:
        model: The model.
        folder: Folder to write into; made where it does not exist.
        card: Facts about training and results, plain JSON values.
        half: Store large tensors (the heads' matrices) in 16 bits.

    Raises:
        WeightsError: for weights that are not finite, which :func:`load_model` refuses.
    """
    folder = Path(folder)
    tensors = {}
    learned = {name for name, _ in model.named_parameters()}
    for name, tensor in model.state_dict().items():
        value = tensor.detach().cpu().contiguous()
        # Buffers hold centroids, thresholds and row numbers: they are kept exact.
        halved = half and name in learned and value.numel() >= _HALVED
        tensors[name] = value.half() if halved else value
        if not bool(torch.isfinite(tensors[name]).all()):
            raise WeightsError(
                f"tensor {name} holds NaN, infinity or, with half=True, numbers beyond 65504: "
                "such weights cannot be loaded again"
            )
    data = save(tensors)
    full = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(data).hexdigest(),
        "vocabulary": vocabulary_hash(),
        "model": model.describe(),
        **card,
    }
    # Both are on disk before either is in its place: they only fit each other.
    with replacing(folder / CARD_FILE) as facts, replacing(folder / WEIGHTS_FILE) as numbers:
        numbers.write_bytes(data)
        facts.write_text(_json(full), encoding="utf-8")


def fingerprint(model: GennapeModel) -> str:
    """SHA-256 of everything that a model's scores follow from: its architecture and numbers."""
    found = hashlib.sha256(json.dumps(model.describe(), sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def read_card(folder: str | Path) -> dict[str, Any]:
    """The card of a weights folder, checked for format and version only.

    Raises:
        WeightsError: if there is none, or it is not one.
    """
    path = Path(folder) / CARD_FILE
    try:
        card = json.loads(_bounded(path, MAX_CARD))
    except WeightsError:
        raise
    # ValueError: not JSON, not UTF-8, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not JSON ({error}): the weights folder is damaged") from None
    if not isinstance(card, dict) or (card.get("format"), card.get("version")) != (FORMAT, VERSION):
        raise WeightsError(
            f"{path} is not a card of format {FORMAT!r} version {VERSION}: use weights made by "
            "this version of the package"
        )
    return card


def update_card(folder: str | Path, entries: Mapping[str, Any]) -> None:
    """Put entries on the card of a weights folder, in the place of earlier ones.

    Raises:
        WeightsError: if there is no card.
    """
    card = {**read_card(folder), **entries}
    write_whole(Path(folder) / CARD_FILE, _json(card))


def load_model(
    folder: str | Path, make_member: Callable[[Mapping[str, Any]], Member] = member_of
) -> tuple[GennapeModel, dict[str, Any]]:
    """Read a model and its card, trusting neither.

    Args:
        folder: The folder.
        make_member: Makes each member from its description.

    Returns:
        The model in evaluation mode on the CPU, float32, and its card.

    Raises:
        WeightsError: if a file is missing, damaged, not finite, or of another vocabulary.
    """
    folder = Path(folder)
    card = read_card(folder)
    data = _bounded(folder / WEIGHTS_FILE, MAX_WEIGHTS)
    if hashlib.sha256(data).hexdigest() != card.get("sha256"):
        raise WeightsError(
            f"{folder / WEIGHTS_FILE} does not have the SHA-256 on its card: the file is damaged "
            "or belongs to another card; install or train the weights again"
        )
    if card.get("vocabulary") != vocabulary_hash():
        raise WeightsError(
            f"{folder} was trained on another op vocabulary than this version's: use weights made "
            "by this version of the package"
        )
    try:
        tensors = load(data)
    except (SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE} is not a safetensors file: {error}") from None
    description = card.get("model")
    try:
        if not isinstance(description, dict):
            raise WeightsError("the card has no 'model'")
        _check_sizes(description)
        # Without memory at first: a card can ask for far more than its weights hold.
        with torch.device("meta"):
            expected = model_of(description, make_member).state_dict()
        if expected.keys() != tensors.keys():
            different = sorted(expected.keys() ^ tensors.keys())[:5]
            raise WeightsError(f"tensors are missing or unknown: {', '.join(different)}")
        for name, tensor in tensors.items():
            if tensor.shape != expected[name].shape:
                raise WeightsError(
                    f"tensor {name} has shape {tuple(tensor.shape)}, the card's model needs "
                    f"{tuple(expected[name].shape)}"
                )
            if tensor.dtype not in _DTYPES:
                raise WeightsError(f"tensor {name} is {tensor.dtype}: 16 or 32 bit floats are read")
            if not bool(torch.isfinite(tensor).all()):
                raise WeightsError(f"tensor {name} holds NaN or infinity")
            # Outputs are divided by these.
            if name.endswith("reference") and not tensor[1] > 0:
                raise WeightsError(f"tensor {name} holds a deviation that is not above 0")
            positive = name.endswith(("space.std", "space.radius")) or name == "ranker.deviation"
            if name.startswith("few_shot.") and name.endswith(".kernel"):
                positive, tensor = True, tensor[:2]
            if name == "ranker.size_reference":
                positive, tensor = True, tensor[1:]
            if positive and not bool((tensor > 0).all()):
                raise WeightsError(f"tensor {name} holds a deviation that is not above 0")
        # Initial values are overwritten at once; the global random state is left alone.
        with torch.random.fork_rng(devices=[]):
            model = model_of(description, make_member)
    except GennapeError as error:
        raise WeightsError(f"{folder} cannot be loaded: {error}") from None
    model.load_state_dict(tensors)
    try:
        model.ranker.trees.check(len(STATISTICS))
    except InvalidInputError as error:
        raise WeightsError(f"{folder} cannot be loaded: {error}") from None
    return model.float().eval(), card


def _check_sizes(value: object, depth: int = 0) -> None:
    """Refuse descriptions with absurd numbers before anything is allocated."""
    if depth > 8:
        raise WeightsError("the model's description is nested too deeply")
    if isinstance(value, dict):
        if len(value) > 256:
            raise WeightsError("the model's description has too many entries")
        for key, item in value.items():
            if key == "layers" and isinstance(item, int | float) and item > _MAX_LAYERS:
                raise WeightsError(f"the model's description holds {item} layers")
            _check_sizes(item, depth + 1)
    elif isinstance(value, list):
        for item in value[:257]:
            _check_sizes(item, depth + 1)
    elif isinstance(value, int | float) and not -_MAX_SIZE <= value <= _MAX_SIZE:
        raise WeightsError(f"the model's description holds the number {value}")


def _bounded(path: Path, limit: int) -> bytes:
    try:
        if not path.is_file():
            raise WeightsError(
                f"{path} does not exist: give a folder with {WEIGHTS_FILE} and {CARD_FILE}"
            )
        size = path.stat().st_size
        if size > limit:
            raise WeightsError(f"{path} has {size} bytes: at most {limit} are read")
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from None


def _json(card: Mapping[str, Any]) -> str:
    return json.dumps(card, indent=1) + "\n"
