"""The built-in plugins, registered like any other (see :mod:`.hooks`)."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Final

from . import families, label_sets, labels, members, sources
from .hosts import evaluators

#: By name, in the order in which they are asked.
BUILT_IN: Final[Mapping[str, ModuleType]] = MappingProxyType(
    {
        "families": families,
        **sources.BUILT_IN,
        "labels": labels,
        "label_sets": label_sets,
        "members": members,
        "evaluators": evaluators,
    }
)
