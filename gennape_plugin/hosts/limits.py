"""Limits of cost that hosts take as constraints."""

from collections.abc import Mapping

from gennape_plugin.core.errors import InvalidInputError


def checked_limits(limits: Mapping[str, float | None]) -> dict[str, float]:
    """The limits that are given, by name.

    Raises:
        InvalidInputError: for one that no network can keep.
    """
    given = {name: limit for name, limit in limits.items() if limit is not None}
    for name, limit in given.items():
        if not limit > 0:
            raise InvalidInputError(
                f"max_{name} is {limit}: give more than 0, or None for no limit"
            )
    return given
