"""Collections of networks by name, each with example inputs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gennape_plugin.core.errors import InvalidInputError

#: Name of a collection, and the module that lists it.
SOURCES: Final[Mapping[str, str]] = {
    "torch": "layers",
    "torchvision": "torchvision_models",
    "timm": "timm_models",
    "transformers": "transformers_models",
}


@dataclass(frozen=True)
class Sample:
    """A network and what it reads.

    Attributes:
        module: The network, its parameters without data where it allows that.
        inputs: Positional arguments of its forward, batch axis included.
        kwargs: Keyword arguments.
    """

    module: nn.Module
    inputs: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


#: Name of a network -> what builds it.
Catalogue = Mapping[str, Callable[[], Sample]]


def catalogue_of(source: str) -> Catalogue:
    """The networks of a collection.

    Raises:
        InvalidInputError: if there is no such collection, or its package is not installed.
    """
    if source not in SOURCES:
        raise InvalidInputError(f"no collection {source!r}: choose from {', '.join(SOURCES)}")
    networks: Catalogue = import_module(f".{SOURCES[source]}", __package__).catalogue()
    return networks


def image(*shape: int) -> torch.Tensor:
    """An input of real numbers without data, batch axis added."""
    return torch.empty(1, *shape, device="meta")


def without_data(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network with parameters that hold no data.

    Some constructors compute with tensors (depths, schedules): there only the parameters are
    without data. Where that fails too, the network is built as usual.
    """
    for context in (_on_meta, _parameters_on_meta):
        try:
            with context():
                return build()
        except (NotImplementedError, RuntimeError, TypeError, ValueError):
            continue
    return build()


@contextmanager
def _on_meta() -> Iterator[None]:
    with torch.device("meta"):
        yield


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    with _EmptyOnMeta():
        yield


class _EmptyOnMeta(TorchFunctionMode):
    """Layers make their parameters by ``torch.empty`` and fill them afterwards."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)
