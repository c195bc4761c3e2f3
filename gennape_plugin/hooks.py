"""Hooks: how a plugin teaches the estimator new kinds of architectures.

A plugin is a module or object with functions marked :data:`hookimpl`, named after the
methods of :class:`Specs`. Installed packages announce theirs as an entry point of the group
``gennape``; a program registers its own with ``plugins().register(...)``::

    from gennape_plugin.hooks import hookimpl

    @hookimpl
    def gennape_capture(architecture, example):
        if isinstance(architecture, MyNetwork):
            return Capture(my_graph_of(architecture), route="mine")
        return None  # somebody else's

Plugins are asked before the built-in sources, and the first answer counts.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any, Final

import pluggy

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureWarning

GROUP: Final = "gennape"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

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


class Specs:
    """The hooks."""

    @hookspec(firstresult=True)
    def gennape_capture(self, architecture: object, example: Example) -> Capture | None:
        """The computation graph of an architecture; ``None`` leaves it to others.

        Args:
            architecture: Whatever the caller gave: a module, a path, a framework's object.
            example: What the caller says it reads; false where nothing is said.

        Raises:
            GennapeError: for an architecture that is this plugin's own and cannot be read.
        """

    @hookspec(firstresult=True)
    def gennape_resolve(self, reference: str) -> tuple[str, object] | None:
        """A name and an architecture from command-line text; ``None`` leaves it to others.

        Args:
            reference: Such as ``net.py:Net`` or ``torchvision:resnet18``.
        """


@lru_cache(maxsize=1)
def plugins() -> pluggy.PluginManager:
    """The plugin manager: built-in sources, and entry points of the group ``gennape``.

    An installed plugin that cannot be imported is left out with a warning.
    """
    from gennape_plugin.sources import BUILT_IN

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Specs)
    # The last one registered is asked first.
    for name, source in reversed(list(BUILT_IN.items())):
        manager.register(source, name=f"gennape:{name}")
    for entry in metadata.entry_points(group=GROUP):
        try:
            manager.register(entry.load(), name=entry.name)
        except Exception as error:
            warnings.warn(
                f"plugin {entry.name!r} ({entry.value}) cannot be loaded and is left out: "
                f"{type(error).__name__}: {error}",
                CaptureWarning,
                stacklevel=2,
            )
    return manager
