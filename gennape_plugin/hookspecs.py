"""The hooks that plugins answer: signatures and what they mean, nothing else.

Each has an example in ``docs/plugins.md``. A hook returns ``None`` (or nothing) for what is
not its own. :mod:`.hooks` finds plugins and asks them.
"""

# Signatures have no bodies: pluggy never calls them.
# mypy: disable-error-code=empty-body
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from gennape_plugin.adapters.families.base import Family
    from gennape_plugin.core.captured import Capture
    from gennape_plugin.core.graph import ComputeGraph
    from gennape_plugin.core.members import Member

    from .hooks import Command, Example
    from .label_sets import LabelSet
    from .prediction import Prediction

GROUP = "gennape"
hookspec = pluggy.HookspecMarker(GROUP)


@hookspec(firstresult=True)
def gennape_capture(architecture: object, example: "Example") -> "Capture | None":
    """The computation graph of an architecture; ``None`` leaves it to others.

    Args:
        architecture: Whatever the caller gave: a module, a path, a framework's object.
        example: What the caller says it reads; false where nothing is said.

    Raises:
        GennapeError: for an architecture that is this plugin's own and cannot be read.
    """


@hookspec(firstresult=True)
def gennape_resolve(reference: str) -> "tuple[str, object] | None":
    """A name and an architecture from command-line text; ``None`` leaves it to others.

    Args:
        reference: Such as ``net.py:Net`` or ``torchvision:resnet18``.
    """


@hookspec
def gennape_families() -> "Iterable[Family[Any]]":
    """Families: search spaces with the parsers of their encodings.

    Their names must differ from those of other families.
    """


@hookspec
def gennape_label_sets() -> "Mapping[str, LabelSet]":
    """How the labels of families are read, by family: column, unit, file, named parts."""


@hookspec(firstresult=True)
def gennape_label_rows(path: Path) -> "Iterable[tuple[int, Mapping[str, Any]]] | None":
    """The rows of a labels file in this plugin's format; ``None`` leaves it to others.

    The built-in format, JSON lines, is tried last and takes any file.

    Args:
        path: The file.

    Returns:
        Line (or row) numbers for messages, from 1, and rows: an encoding and numbers by column.

    Raises:
        LabelsError: naming file and line, for a file of this format that cannot be read.
    """


@hookspec(firstresult=True)
def gennape_member(description: Mapping[str, Any]) -> "Member | None":
    """An untrained member from its description on a weights card; ``None`` leaves it to others.

    Args:
        description: What the member's ``describe()`` returned, read from a file that may
            come from a stranger: check it, and bound its sizes.

    Raises:
        InvalidInputError: for a description of this plugin's kind that lacks something.
    """


@hookspec(firstresult=True)
def gennape_evaluator(framework: str, options: Mapping[str, Any]) -> "object | None":
    """An evaluator (or predictor) for a search framework; ``None`` leaves it to others.

    Args:
        framework: Its name, such as ``"nni"``.
        options: Keyword arguments of the evaluator.

    Raises:
        InvalidInputError: for options that it does not know, or a framework not installed.
    """


@hookspec
def gennape_scored(graphs: "Sequence[ComputeGraph]", predictions: "Sequence[Prediction]") -> None:
    """Observe scores, a batch at a time, after they are made and before they are returned.

    An observer that fails is reported as a warning; the scores are returned all the same.

    Args:
        graphs: The computation graphs.
        predictions: Their predictions, in the same order.
    """


@hookspec
def gennape_commands() -> "Iterable[Command]":
    """Commands for the ``gennape`` command line; built-in commands cannot be replaced."""
