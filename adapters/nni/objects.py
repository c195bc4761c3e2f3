"""What a search space of NNI's hub is made of: its class and its constructor arguments."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

#: Classes of the hub with a native route, and the module that each is defined in.
HUB: Final[Mapping[str, str]] = MappingProxyType(
    {
        "NasBench101": "nasbench101",
        "NasBench201": "nasbench201",
        "NDS": "nasnet",
        "DARTS": "nasnet",
        "NASNet": "nasnet",
        "ENAS": "nasnet",
        "AmoebaNet": "nasnet",
        "PNAS": "nasnet",
        "ProxylessNAS": "proxylessnas",
        "MobileNetV3Space": "mobilenetv3",
        "ShuffleNetSpace": "shufflenet",
        "AutoFormer": "autoformer",
    }
)
_PACKAGE: Final = "nni.nas.hub.pytorch"


@dataclass(frozen=True)
class HubSpace:
    """A search space of the hub.

    Attributes:
        name: Its class.
        arguments: Every argument of its constructor, defaults filled in.
    """

    name: str
    arguments: Mapping[str, Any]


def hub_space(
    cls: type, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = MappingProxyType({})
) -> HubSpace | None:
    """The space that ``cls(*args, **kwargs)`` would make; ``None`` if it is not the hub's own.

    A subclass is not: its forward may differ. Neither is a space one of whose arguments is
    a choice itself.

    Args:
        cls: A class of ``nni.nas.hub.pytorch``.
        args: Positional arguments.
        kwargs: Keyword arguments.
    """
    name = cls.__qualname__
    if name not in HUB or cls.__module__ != f"{_PACKAGE}.{HUB[name]}":
        return None
    # NNI wraps the constructors of spaces in (*args, **kwargs).
    constructor = vars(cls).get("_init_wrapped")
    if constructor is None:
        return None
    bound = inspect.signature(constructor).bind(None, *args, **kwargs)
    bound.apply_defaults()
    _, *named = bound.arguments.items()
    arguments = dict(named)
    return HubSpace(name, arguments) if all(map(_is_plain, arguments.values())) else None


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)
