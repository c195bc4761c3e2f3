"""The choices of a sample, checked as they are read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gennape_plugin.adapters.families._text import shown
from gennape_plugin.core.errors import ArchitectureError


@dataclass(frozen=True, slots=True)
class Choices:
    """A sample: what NNI's strategies draw, a value by label.

    Attributes:
        space: Name of the search space, for messages.
        sample: The values.
    """

    space: str
    sample: Mapping[str, Any]

    def one(self, label: str, allowed: Collection[Any]) -> Any:
        """The value of a choice.

        Raises:
            ArchitectureError: if the sample lacks it, or it is not one of ``allowed``.
        """
        value = self._value(label)
        # Equality, not hashing: a value from a file can be a list.
        for option in allowed:
            if option == value:
                return option
        raise ArchitectureError(
            f"{self.space}: the choice {label!r} is {shown(value)}: allowed are "
            f"{', '.join(map(str, allowed))}"
        )

    def single(self, label: str, allowed: range) -> int:
        """The value of a choice of several of which exactly one is made."""
        chosen = self.among(label, allowed)
        if len(chosen) != 1:
            raise ArchitectureError(
                f"{self.space}: the choice {label!r} is {shown(list(chosen))}: allowed is one "
                f"integer from {allowed.start} to {allowed.stop - 1}"
            )
        return chosen[0]

    def among(self, label: str, allowed: range) -> tuple[int, ...]:
        """The values of a choice of several."""
        value = self._value(label)
        chosen = tuple(value) if isinstance(value, list | tuple) else (value,)
        if any(type(entry) is not int or entry not in allowed for entry in chosen):
            raise ArchitectureError(
                f"{self.space}: the choice {label!r} is {shown(value)}: allowed are lists of "
                f"integers from {allowed.start} to {allowed.stop - 1}"
            )
        return chosen

    def _value(self, label: str) -> Any:
        try:
            return self.sample[label]
        except KeyError:
            raise ArchitectureError(
                f"a sample of {self.space} without the choice {label!r}: give every choice of the "
                f"space (space.simplify() lists them); this sample has "
                f"{shown(sorted(map(str, self.sample)))}"
            ) from None
