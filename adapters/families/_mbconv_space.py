"""Encodings of the once-for-all families whose five stages hold 2 to 4 MBConv blocks each."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from gennape_plugin.core.errors import ArchitectureError

from ._ofa import (
    DEFAULT_RESOLUTION,
    MAX_TEXT,
    RESOLUTIONS,
    entries,
    fields,
    pick,
)
from ._text import shown
from .base import Family

KERNELS: Final = (3, 5, 7)
EXPANDS: Final = (3, 4, 6)
DEPTHS: Final = (2, 3, 4)
STAGES: Final = 5
#: Entries of ``ks`` and ``e`` that belong to one stage, whatever its depth.
SLOTS: Final = max(DEPTHS)

_TEXT = re.compile(r"w([0-9]\.[0-9]) r([0-9]{3}): (k[0-9]e[0-9](?: (?:\| )?k[0-9]e[0-9])*)")
_BLOCK = re.compile(r"k([0-9])e([0-9])")

#: ``(kernel, expand ratio)`` of the active blocks, stage by stage.
Blocks = tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True)
class MBConvArch:
    """A sub-network. Blocks that are not active are not kept, so equal networks are equal.

    Attributes:
        blocks: ``(kernel, expand ratio)`` of the active blocks, stage by stage.
        width: Multiplier of the channels.
        resolution: Side of the input image.
    """

    blocks: Blocks
    width: float
    resolution: int

    def __str__(self) -> str:
        stages = (" ".join(f"k{k}e{e}" for k, e in stage) for stage in self.blocks)
        return f"w{self.width} r{self.resolution}: {' | '.join(stages)}"


ArchT = TypeVar("ArchT", bound=MBConvArch)


class MBConvFamily(Family[ArchT]):
    """Parsing and sampling.

    Attributes:
        arch_type: The family's own architecture class.
        widths: Width multipliers of the published supernets; the first is the default.
        elastic_tail: Whether one more block with a choice follows the five stages.
    """

    arch_type: type[ArchT]
    widths: ClassVar[tuple[float, ...]]
    elastic_tail: ClassVar[bool] = False

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The columns ``ks``, ``e``, ``d``, ``r`` and ``width_mult``."""
        return {key: row[key] for key in ("ks", "e", "d", "r", "width_mult") if key in row}

    def parse(self, encoding: object) -> ArchT:
        """Check an architecture given as once-for-all's mapping, or in its one-line form.

        The mapping holds the kernels ``ks`` and expand ratios ``e`` of all blocks, the depths
        ``d`` of the stages and, if not the default, the resolution ``r`` and ``width_mult``.
        Entries of blocks beyond a stage's depth are not looked at.

        Raises:
            ArchitectureError: naming the field that is wrong and what it may be.
        """
        if isinstance(encoding, self.arch_type):
            return encoding
        if isinstance(encoding, str):
            return self._of_text(encoding)
        given = fields(self.title, encoding, ("ks", "e", "d"), ("r", "width_mult"))
        slots = STAGES * SLOTS
        tails = (0, 1) if self.elastic_tail else (0,)
        ks, es = (
            entries(self.title, key, given[key], [slots + n for n in tails]) for key in ("ks", "e")
        )
        ds = entries(self.title, "d", given["d"], [STAGES + n for n in tails])
        if len(ks) != len(es):
            raise ArchitectureError(
                f"{self.title}: 'ks' and 'e' must be equally long, got {len(ks)} and {len(es)}"
            )
        blocks: list[Sequence[tuple[object, object]]] = []
        for stage, depth in enumerate(ds[:STAGES]):
            first = stage * SLOTS
            last = first + pick(self.title, f"depth {stage}", depth, DEPTHS)
            blocks.append(list(zip(ks[first:last], es[first:last], strict=True)))
        if self.elastic_tail:
            if len(ds) > STAGES:
                pick(self.title, f"depth {STAGES}", ds[STAGES], (1,))
            # Where an encoding says nothing about the last block, once-for-all leaves it
            # at its largest.
            tail = (ks[slots], es[slots]) if len(ks) > slots else (KERNELS[-1], EXPANDS[-1])
            blocks.append([tail])
        return self._checked(
            blocks, given.get("width_mult", self.widths[0]), given.get("r", DEFAULT_RESOLUTION)
        )

    def sample(self, rng: random.Random) -> ArchT:
        """Draw depths, kernels and expand ratios uniformly, at the default width and 224."""
        depths = [rng.choice(DEPTHS) for _ in range(STAGES)] + [1] * self.elastic_tail
        blocks = tuple(
            tuple((rng.choice(KERNELS), rng.choice(EXPANDS)) for _ in range(depth))
            for depth in depths
        )
        return self.arch_type(blocks, self.widths[0], DEFAULT_RESOLUTION)

    def _of_text(self, text: str) -> ArchT:
        match = _TEXT.fullmatch(text.strip()) if len(text) < MAX_TEXT else None
        stages = match[3].split(" | ") if match else []
        depths = [len(stage.split()) for stage in stages]
        tail = depths.pop() if self.elastic_tail and depths else 1
        if match is None or len(depths) != STAGES or tail != 1 or not set(depths) <= {*DEPTHS}:
            raise ArchitectureError(
                f"not a one-line {self.title} architecture: expected 'w{self.widths[0]} r224: "
                f"k3e4 k7e6 | ...' with {STAGES} stages of {DEPTHS[0]} to {DEPTHS[-1]} blocks"
                f"{' and a last one of 1' if self.elastic_tail else ''}, got {shown(text)}"
            )
        blocks = [[(int(k), int(e)) for k, e in _BLOCK.findall(stage)] for stage in stages]
        return self._checked(blocks, float(match[1]), int(match[2]))

    def _checked(
        self, stages: Sequence[Sequence[tuple[object, object]]], width: object, resolution: object
    ) -> ArchT:
        blocks = tuple(
            tuple(
                (
                    pick(self.title, f"kernel of stage {s}, block {i}", k, KERNELS),
                    pick(self.title, f"expand ratio of stage {s}, block {i}", e, EXPANDS),
                )
                for i, (k, e) in enumerate(stage)
            )
            for s, stage in enumerate(stages)
        )
        return self.arch_type(
            blocks,
            pick(self.title, "'width_mult'", width, self.widths),
            pick(self.title, "resolution 'r'", resolution, RESOLUTIONS),
        )
