"""Members of all plugins, made from their descriptions on a card."""

from collections.abc import Mapping
from typing import Any

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.members import MEMBER_KINDS, Member, member_of

from .hooks import ask, hookimpl


@hookimpl
def gennape_member(description: Mapping[str, Any]) -> Member | None:
    """The members of :mod:`gennape_plugin.core.members`."""
    return member_of(description) if description.get("kind") in MEMBER_KINDS else None


def make_member(description: Mapping[str, Any]) -> Member:
    """A member with the described architecture and untrained weights.

    Raises:
        InvalidInputError: if no plugin makes members of its kind.
    """
    if not isinstance(description, Mapping):
        raise InvalidInputError(f"not the description of a member: {description!r:.200}")
    member = ask("gennape_member", description=description)
    if member is None:
        raise InvalidInputError(
            f"no plugin makes members of kind {description.get('kind')!r:.80}: install the package "
            "that these weights were made with"
        )
    if not isinstance(member, Member):
        raise InvalidInputError(
            f"a plugin answered gennape_member with a {type(member).__name__}: return a Member"
        )
    return member
