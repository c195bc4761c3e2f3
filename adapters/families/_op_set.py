"""Chains of named operations, as Inception and Two-Path draw and check them.

Both spaces tell operations that stride and change channels (``conv``) from supporting
ones (``supp``): a chain has at least one of the former and at most one of the latter.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

from gennape_plugin.core.errors import ArchitectureError

from ._text import shown

Ops = tuple[str, ...]


def whole(value: object, allowed: range, what: str) -> int:
    """A whole number inside a range (NumPy's integers are taken, truth values are not).

    Raises:
        ArchitectureError: saying what ``what`` may be.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) not in allowed:
        raise ArchitectureError(
            f"{what} must be an integer from {allowed[0]} to {allowed[-1]}, got {shown(value)}"
        )
    return int(value)


def listed(value: object, sizes: range, what: str) -> Sequence[object]:
    """A list or tuple whose length is inside a range.

    Raises:
        ArchitectureError: saying how many ``what`` there may be.
    """
    if not isinstance(value, list | tuple) or len(value) not in sizes:
        count = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
        raise ArchitectureError(f"expected a list of {count} {what}, got {shown(value)}")
    return value


@dataclass(frozen=True, slots=True)
class OpSet:
    """The operations of one search space.

    Attributes:
        title: The space's name, for messages.
        conv: Operations that can stride and change channels.
        supp: Supporting operations.
    """

    title: str
    conv: Ops
    supp: Ops

    def draw(self, rng: random.Random, count: int) -> Ops:
        """``count`` operations: one ``conv``, then each kind by its share, in random order."""
        ops = [rng.choice(self.conv)]
        share = len(self.supp) / (len(self.conv) + len(self.supp))
        supported = False
        for _ in range(count - 1):
            if rng.random() < share and not supported:
                ops.append(rng.choice(self.supp))
                supported = True
            else:
                ops.append(rng.choice(self.conv))
        rng.shuffle(ops)
        return tuple(ops)

    def parse(self, chain: object, most: int, names_key: str) -> Ops:
        """Check a chain: a list of names, or the authors' mapping of names and kinds.

        Args:
            chain: ``["conv3x3", ...]`` or ``{names_key: [...], "op_types": ["conv", ...]}``.
            most: Greatest number of operations.
            names_key: The mapping's key of the names; the kinds can be left out.

        Raises:
            ArchitectureError: naming what is wrong and what is allowed.
        """
        kinds: object = None
        if isinstance(chain, Mapping):
            kinds, chain = chain.get("op_types"), chain.get(names_key)
        names = listed(chain, range(1, most + 1), f"{self.title} operations")
        ops = tuple(name for name in names if isinstance(name, str) and name in self.known)
        if len(ops) < len(names):
            wrong = [name for name in names if not isinstance(name, str) or name not in self.known]
            raise ArchitectureError(
                f"unknown {self.title} operations {shown(wrong)}: "
                f"allowed are {', '.join(self.known)}"
            )
        found = ["supp" if op in self.supp else "conv" for op in ops]
        if "conv" not in found or found.count("supp") > 1:
            raise ArchitectureError(
                f"{self.title} operations {'+'.join(ops)}: at least one of "
                f"{', '.join(self.conv)} and at most one of {', '.join(self.supp)} are allowed"
            )
        if kinds is not None and (not isinstance(kinds, list | tuple) or list(kinds) != found):
            raise ArchitectureError(
                f"the op_types of {'+'.join(ops)} are {found}, got {shown(kinds)}"
            )
        return ops

    @property
    def known(self) -> Ops:
        """All names."""
        return self.conv + self.supp

    def first_conv(self, ops: Ops) -> int:
        """Position of the operation that strides."""
        return next(i for i, op in enumerate(ops) if op in self.conv)
