"""Hooks of gennape-plain; what they need is imported when they are asked."""

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gennape_plugin.hooks import Command, hookimpl

if TYPE_CHECKING:
    from gennape_plugin.adapters.families import Family
    from gennape_plugin.core.members import Member


@hookimpl
def gennape_families() -> "Iterable[Family[Any]]":
    """Plain networks."""
    from .family import Plain

    return [Plain()]


@hookimpl
def gennape_member(description: Mapping[str, Any]) -> "Member | None":
    """The member `depth`."""
    from .member import Depth

    return Depth() if description.get("kind") == Depth.kind else None


@hookimpl
def gennape_commands() -> Iterable[Command]:
    """`gennape plain-sample`."""
    return [Command("plain-sample", "draw plain networks and rank them", _configure, _run)]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=5, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="fixes the draw")


def _run(args: argparse.Namespace) -> int:
    import random

    from gennape_plugin import Gennape
    from gennape_plugin.prediction import table

    from .family import Plain

    space, rng = Plain(), random.Random(args.seed)
    networks = [space.graph(space.sample(rng)) for _ in range(args.count)]
    print(table(Gennape.from_pretrained().rank(networks)))
    return 0
