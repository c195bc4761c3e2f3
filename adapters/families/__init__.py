"""Benchmark families: each builds graphs and modules from its native encoding."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from gennape_plugin.core.errors import InvalidInputError

from .base import Family
from .nasbench101 import NASBench101
from .nasbench201 import NASBench201


@cache
def families() -> Mapping[str, Family[Any]]:
    """Every built-in family by name."""
    built_in: tuple[Family[Any], ...] = (NASBench101(), NASBench201())
    return MappingProxyType({family.name: family for family in built_in})


def family(name: str) -> Family[Any]:
    """The family called ``name``.

    Raises:
        InvalidInputError: naming the families there are.
    """
    found = families().get(name)
    if found is None:
        raise InvalidInputError(
            f"unknown family {name!r}: choose from {', '.join(sorted(families()))}"
        )
    return found


__all__ = ["Family", "NASBench101", "NASBench201", "families", "family"]
