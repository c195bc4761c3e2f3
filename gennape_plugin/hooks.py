"""Finding plugins and asking them (:mod:`.hookspecs` says what).

A plugin is a module or object with functions marked :data:`hookimpl`, named after the hooks.
Installed packages announce theirs as an entry point of the group ``gennape``; a program
registers its own with ``plugins().register(...)``::

    from gennape_plugin.hooks import hookimpl

    @hookimpl
    def gennape_capture(architecture, example):
        if isinstance(architecture, MyNetwork):
            return Capture(my_graph_of(architecture), route="mine")
        return None  # somebody else's

Plugins are asked before the built-in ones, and the first answer counts.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any, Final

import pluggy

from gennape_plugin.core.errors import CaptureWarning, GennapeError, InvalidInputError, PluginError

from . import hookspecs

hookimpl = pluggy.HookimplMarker(hookspecs.GROUP)

#: Names of installed plugins to load, separated by commas; empty for none, unset for all.
ONLY: Final = "GENNAPE_PLUGINS"
#: Any text: each hook call is printed on standard error.
TRACE: Final = "GENNAPE_TRACE"

InputShape = Sequence[int] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class Example:
    """What a network reads.

    Attributes:
        input_shape: Shape of one input without the batch axis, such as ``(3, 32, 32)``, or
            several shapes for several inputs.
        inputs: Example inputs instead: a tensor, or a tuple of arguments.
        kwargs: Keyword arguments, as examples.
    """

    input_shape: InputShape | None = None
    inputs: Any = None
    kwargs: Mapping[str, Any] | None = None

    def __bool__(self) -> bool:
        """Whether anything is given."""
        return not (self.input_shape is None and self.inputs is None and self.kwargs is None)


@dataclass(frozen=True)
class WithExample:
    """An architecture together with what it reads where the caller does not say.

    Attributes:
        architecture: The architecture.
        example: Its usual inputs.
    """

    architecture: object
    example: Example


@dataclass(frozen=True)
class Command:
    """A command of the ``gennape`` command line.

    Attributes:
        name: What is typed.
        help: One line.
        configure: Adds its arguments to a parser.
        run: Runs it and returns the exit code; a ``GennapeError`` is printed in one line.
    """

    name: str
    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


@lru_cache(maxsize=1)
def plugins() -> pluggy.PluginManager:
    """The plugin manager: built-in plugins, and entry points of the group ``gennape``.

    An installed plugin that cannot be imported is left out with a warning.
    """
    from .built_in import BUILT_IN

    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    # The last one registered is asked first.
    for name, plugin in reversed(list(BUILT_IN.items())):
        manager.register(plugin, name=f"gennape:{name}")
    register_installed(manager)
    if os.environ.get(TRACE):
        manager.trace.root.setwriter(sys.stderr.write)
        manager.enable_tracing()
    return manager


def register_installed(manager: pluggy.PluginManager) -> None:
    """Register installed plugins; ``GENNAPE_PLUGINS`` names those to load.

    Raises:
        InvalidInputError: if it names one that is not installed.
    """
    entries = {entry.name: entry for entry in metadata.entry_points(group=hookspecs.GROUP)}
    wanted = os.environ.get(ONLY)
    if wanted is not None:
        names = [name.strip() for name in wanted.split(",") if name.strip()]
        missing = [name for name in names if name not in entries]
        if missing:
            raise InvalidInputError(
                f"{ONLY}={wanted}: no plugin {missing[0]!r} is installed; there are "
                f"{', '.join(sorted(entries)) or 'none'}"
            )
        entries = {name: entries[name] for name in names}
    for name, entry in entries.items():
        try:
            plugin = entry.load()
            manager.register(plugin, name=name)
            # Misspelt hooks and arguments are refused here, while the plugin can be left out.
            manager.check_pending()
        except Exception as error:
            if manager.has_plugin(name):
                manager.unregister(name=name)
            warnings.warn(
                f"plugin {name!r} ({entry.value}) cannot be loaded and is left out: "
                f"{type(error).__name__}: {error}",
                CaptureWarning,
                stacklevel=3,
            )


def ask(hook: str, **arguments: object) -> Any:
    """Call a hook of every plugin.

    Args:
        hook: Its name.
        **arguments: Its arguments.

    Returns:
        The first answer of a ``firstresult`` hook or ``None``, otherwise a list of answers.

    Raises:
        GennapeError: as plugins raise it.
        PluginError: if a plugin raises anything else.
    """
    try:
        return getattr(plugins().hook, hook)(**arguments)
    except (GennapeError, OSError):
        raise
    except Exception as error:
        raise PluginError(
            f"a plugin failed in {hook}: {type(error).__name__}: {error}; {TRACE}=1 shows which, "
            f"{ONLY}= (empty) leaves installed plugins out"
        ) from error


def observed() -> bool:
    """Whether anybody observes scores."""
    return bool(plugins().hook.gennape_scored.get_hookimpls())


def observe(graphs: Sequence[Any], predictions: Sequence[Any]) -> None:
    """Tell observers of scores; one that fails is a warning, and no score is lost."""
    for observer in plugins().hook.gennape_scored.get_hookimpls():
        given = {"graphs": graphs, "predictions": predictions}
        try:
            observer.function(*(given[name] for name in observer.argnames))
        except Exception as error:
            warnings.warn(
                f"plugin {observer.plugin_name!r} failed to observe scores: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=3,
            )
