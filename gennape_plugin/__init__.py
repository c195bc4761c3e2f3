"""GENNAPE (AAAI-23): rank neural networks without training them.

``Gennape.from_pretrained().score(model, input_shape=(3, 32, 32))`` is the short way in;
the ``gennape`` command does the same from a shell.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.builder import GraphBuilder as GraphBuilder
    from .core.errors import GennapeError as GennapeError
    from .core.graph import ComputeGraph as ComputeGraph
    from .estimator import Gennape as Gennape
    from .prediction import Prediction as Prediction

_HOMES = {
    "ComputeGraph": ".core.graph",
    "Gennape": ".estimator",
    "GennapeError": ".core.errors",
    "GraphBuilder": ".core.builder",
    "Prediction": ".prediction",
}
__all__ = ["ComputeGraph", "Gennape", "GennapeError", "GraphBuilder", "Prediction"]


def __getattr__(name: str) -> Any:
    # Lazily, so that `gennape --help` does not import torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
