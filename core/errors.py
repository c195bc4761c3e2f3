"""Every error this package raises on purpose.

Each class also inherits from the built-in exception a caller would expect, so
``except ValueError`` keeps working. Messages follow one pattern: what was
given, what is allowed, what to do.
"""


class GennapeError(Exception):
    """Base class: everything raised on purpose by this package."""


class InvalidInputError(GennapeError, ValueError):
    """An argument has a wrong type, value, shape or unit."""


class GraphError(GennapeError, ValueError):
    """A computation graph, or one of its nodes, is not well formed."""


class CaptureError(GennapeError, RuntimeError):
    """A network could not be turned into a computation graph."""


class CaptureWarning(UserWarning):
    """A network was captured under an assumption, such as one branch of several."""


class RebuildError(GennapeError, ValueError):
    """A computation graph does not say enough to build its network again."""


class ArchitectureError(GennapeError, ValueError):
    """A benchmark's architecture encoding is malformed or outside its search space."""


class LabelsError(GennapeError, ValueError):
    """A file of labelled architectures cannot be used."""


class WeightsError(GennapeError, ValueError):
    """A weights file is damaged, or does not fit this version of the package."""


class PluginError(GennapeError, RuntimeError):
    """A plugin failed, or two of them disagree."""
