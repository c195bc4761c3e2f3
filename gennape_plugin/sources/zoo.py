"""Published networks by name, untrained: torchvision, timm, and configurations of transformers."""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from gennape_plugin.core.errors import CaptureError, GennapeError, InvalidInputError
from gennape_plugin.hooks import Example, WithExample, hookimpl

_COLLECTIONS: Final = ("torchvision", "timm", "transformers")
_CONFIG: Final = "hf-config"
_MAX_CONFIG: Final = 1 << 20  # bytes of a configuration file
#: Greatest number of layers that a configuration may ask for: each is built before any is counted.
_MAX_LAYERS: Final = 2048


@hookimpl
def gennape_resolve(reference: str) -> tuple[str, object] | None:
    """A name in a collection, or a configuration file of transformers; built without weights.

    Raises:
        InvalidInputError: if its package is not installed, or has no such network.
        CaptureError: if the network cannot be built.
    """
    source, colon, name = reference.partition(":")
    if not colon or not name or source not in (*_COLLECTIONS, _CONFIG):
        return None
    try:
        if source == _CONFIG:
            from gennape_plugin.zoo.transformers_models import sample_of_config

            sample = sample_of_config(_read_config(Path(name)))
            name = Path(name).stem
        else:
            from gennape_plugin.zoo import catalogue

            networks = catalogue.catalogue_of(source)
            if name not in networks:
                near = get_close_matches(name, networks, n=5, cutoff=0.5)
                raise InvalidInputError(
                    f"{source} has no network {name!r}"
                    + (f": did you mean one of {', '.join(near)}?" if near else "")
                )
            sample = networks[name]()
    except (GennapeError, OSError):
        raise
    except Exception as error:
        raise CaptureError(
            f"building {reference} raised {type(error).__name__}: {str(error)[:200]}"
        ) from error
    return name, WithExample(sample.module, Example(None, sample.inputs, sample.kwargs))


def _read_config(path: Path) -> dict[str, Any]:
    """A configuration as plain JSON; nothing that it names is loaded or run."""
    if not path.is_file():
        raise InvalidInputError(f"{path} does not exist: give a config.json of transformers")
    if path.stat().st_size > _MAX_CONFIG:
        raise InvalidInputError(f"{path} is larger than {_MAX_CONFIG >> 20} MiB: no configuration")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InvalidInputError(
            f"{path} has no 'model_type': give the config.json that transformers writes"
        )
    _check_layers(config, path)
    return config


def _check_layers(value: Any, path: Path, name: str = "") -> None:
    """Refuse numbers of layers, blocks or stages that would be built for hours."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_layers(item, path, str(key))
    elif any(word in name for word in ("layer", "block", "depth", "stage")):
        counts = [n for n in (value if isinstance(value, list) else [value]) if type(n) is int]
        if sum(counts) > _MAX_LAYERS:
            raise InvalidInputError(
                f"{path}: {name!r:.60} asks for more than the {_MAX_LAYERS:,} layers that are built"
            )
