"""What an architecture of the Inception search space is: stages, paths, operations."""

from dataclasses import dataclass
from typing import Final

from ._op_set import Ops, OpSet

OPERATIONS: Final = OpSet(
    title="Inception",
    conv=(
        "conv3x3",
        "inception_s3x3",
        "inception_p3x3",
        "depthwise3x3",
        "conv5x5",
        "depthwise5x5",
        "inception_s5x5",
        "inception_p5x5",
    ),
    supp=("conv1x1", "avgpool3x3", "maxpool3x3", "double1x1"),
)
#: Supporting operations that can change the number of channels, as all others can.
RESIZING_SUPP: Final = frozenset({"conv1x1", "double1x1"})
STEM_CHANNELS: Final = 32
#: Channels and stride of each stage.
STAGES: Final = ((32, 1), (64, 2), (128, 2), (256, 2))
BLOCKS_PER_STAGE: Final = range(2, 7)
PATHS_PER_BLOCK: Final = range(1, 5)
#: Operations for each path of a block, on average, that the sampler may spend. The authors
#: publish smaller budgets, but their best network exceeds them and fits this one.
OPS_PER_PATH: Final = 4
OPS_PER_BLOCK: Final = OPS_PER_PATH * PATHS_PER_BLOCK[-1]
MIN_WIDTH: Final = 16
WIDTHS: Final = range(MIN_WIDTH, 2 * STAGES[-1][0] + 1)


@dataclass(frozen=True, slots=True)
class InceptionPath:
    """One path of a block.

    Attributes:
        ops: Its operations.
        width: Channels of its result.
        internal: Channels between its first and its last operation that can change them.
    """

    ops: Ops
    width: int
    internal: int

    def __str__(self) -> str:
        inside = "" if self.internal == self.width else f"{self.internal}>"
        return f"{'+'.join(self.ops)}@{inside}{self.width}"

    def plan(self, c_in: int, stride: int) -> list[tuple[str, int, int, int]]:
        """Name, channels before and after, and stride of each operation."""
        first, last = resizing(self.ops)
        striding = OPERATIONS.first_conv(self.ops)
        found = []
        for place, op in enumerate(self.ops):
            c_out = self.internal if place == first else self.width if place == last else c_in
            found.append((op, c_in, c_out, stride if place == striding else 1))
            c_in = c_out
        return found


@dataclass(frozen=True, slots=True)
class InceptionStage:
    """One stage: how many blocks it has, and the paths of each."""

    blocks: int
    paths: tuple[InceptionPath, ...]

    def __str__(self) -> str:
        return f"{self.blocks}*({'|'.join(map(str, self.paths))})"


@dataclass(frozen=True, slots=True)
class InceptionArch:
    """A network: its four stages."""

    stages: tuple[InceptionStage, ...]

    def __str__(self) -> str:
        return ";".join(map(str, self.stages))

    def places(self) -> list[tuple[int, int, tuple[InceptionPath, ...], int, int, int]]:
        """Stage, place in it, paths, channels before and after, and stride of each block."""
        found = []
        channels = STEM_CHANNELS
        for number, (stage, (c_out, reduction)) in enumerate(zip(self.stages, STAGES, strict=True)):
            for place in range(stage.blocks):
                stride = reduction if place == 0 else 1
                found.append((number, place, stage.paths, channels, c_out, stride))
                channels = c_out
        return found


def resizing(ops: Ops) -> tuple[int, int]:
    """Positions of the first and the last operation that can change the channels."""
    places = [i for i, op in enumerate(ops) if op in OPERATIONS.conv or op in RESIZING_SUPP]
    return places[0], places[-1]
