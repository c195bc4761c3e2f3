"""A network as a tree of blocks: what the arrangement makes and both writers read."""

from dataclasses import dataclass, field

from gennape_plugin.core.graph import ComputeGraph

from .expressions import Layer
from .steps import Step


@dataclass(eq=False, slots=True)
class Member:
    """A statement of a block.

    Attributes:
        step: The statement.
        name: Attribute of the layer that it applies; empty where it has none.
        made: Whether the layer is made for it, and not for an earlier statement.
    """

    step: Step
    name: str = ""
    made: bool = True


@dataclass(eq=False, slots=True)
class Block:
    """Statements that belong together.

    Attributes:
        name: Attribute of the block around it.
        label: The scope that it comes from.
        members: Statements and blocks in order.
        inputs: Numbers of the values that it reads, in order of their first read.
        outputs: Numbers of the values that are read after it.
        chain: Whether it is an ``nn.Sequential``.
    """

    name: str
    label: str = ""
    members: "list[Member | Block]" = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    chain: bool = False


@dataclass(frozen=True, slots=True)
class Tie:
    """Weights that layers of two places share: ``target`` takes those of ``source``.

    Attributes:
        source: Path of the layer that owns them.
        target: Path of the other layer.
        attribute: The parameter, or empty where the whole layer is shared.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """A graph, ready to be written.

    Attributes:
        graph: The graph.
        root: All of its statements.
        ties: Weights shared across blocks.
    """

    graph: ComputeGraph
    root: Block
    ties: tuple[Tie, ...]


def layers_in(
    block: Block, path: tuple[str, ...] = ()
) -> "list[tuple[tuple[str, ...], Step, Layer]]":
    """All layers that are made in a block and those inside it, with their paths."""
    found = []
    for member in block.members:
        if isinstance(member, Block):
            found.extend(layers_in(member, (*path, member.name)))
        elif member.step.layer is not None and member.made:
            found.append(((*path, member.name), member.step, member.step.layer))
    return found
