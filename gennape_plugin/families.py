"""Families of all plugins by name, and architectures given as ``family:encoding``."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import ArchitectureError, InvalidInputError, PluginError

from .hooks import Example, ask, hookimpl
from .sources._shapes import agreed

if TYPE_CHECKING:
    from gennape_plugin.adapters.families.base import Family


@hookimpl
def gennape_families() -> "Iterable[Family[Any]]":
    """The benchmarks of :mod:`gennape_plugin.adapters.families`."""
    from gennape_plugin.adapters.families import families as built_in

    return built_in().values()


@hookimpl
def gennape_capture(architecture: object, example: Example) -> Capture | None:
    """``"nasbench201:|nor_conv_3x3~0|+..."``: an encoding of a family, as text or JSON."""
    if not isinstance(architecture, str):
        return None
    name, colon, encoding = architecture.partition(":")
    space = families().get(name) if colon else None
    if space is None:
        return None
    return Capture(agreed(space.graph(space.parse(_encoding(encoding))), example), "family")


@hookimpl
def gennape_resolve(reference: str) -> tuple[str, object] | None:
    """The same on the command line."""
    name, colon, encoding = reference.partition(":")
    space = families().get(name) if colon else None
    if space is None:
        return None
    arch = space.parse(_encoding(encoding))
    return str(arch), space.graph(arch)


def _encoding(text: str) -> object:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArchitectureError(f"the encoding {text[:60]!r} is not JSON: {error}") from None


def families() -> "Mapping[str, Family[Any]]":
    """Every family of every plugin, by name.

    Raises:
        PluginError: if two plugins bring families of one name.
    """
    found: dict[str, Family[Any]] = {}
    for listed in reversed(ask("gennape_families")):
        for space in listed:
            if space.name in found:
                raise PluginError(
                    f"two plugins bring a family {space.name!r}: `gennape plugins` lists them; "
                    "remove one, or choose with GENNAPE_PLUGINS"
                )
            found[space.name] = space
    return found


def family(name: str) -> "Family[Any]":
    """The family called ``name``.

    Raises:
        InvalidInputError: naming the families there are.
    """
    found = families()
    if name not in found:
        raise InvalidInputError(f"unknown family {name!r}: choose from {', '.join(sorted(found))}")
    return found[name]
