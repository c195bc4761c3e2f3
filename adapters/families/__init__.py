"""Benchmark families: each builds graphs and modules from its native encoding."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from gennape_plugin.core.errors import InvalidInputError

from .base import Family
from .hiaml import HiAML
from .inception import Inception
from .nasbench101 import NASBench101
from .nasbench201 import NASBench201
from .nasbench301 import NASBench301
from .nasbench_macro import NASBenchMacro
from .ofa_mobilenetv3 import OFAMobileNetV3
from .ofa_proxyless import OFAProxyless
from .ofa_resnet50 import OFAResNet50
from .transnas101_macro import TransNAS101Macro
from .transnas101_micro import TransNAS101Micro
from .two_path import TwoPath


@cache
def families() -> Mapping[str, Family[Any]]:
    """Every built-in family by name."""
    built_in: tuple[Family[Any], ...] = (
        NASBench101(),
        NASBench201(),
        NASBench301(),
        OFAProxyless(),
        OFAMobileNetV3(),
        OFAResNet50(),
        HiAML(),
        Inception(),
        TwoPath(),
        NASBenchMacro(),
        TransNAS101Micro(),
        TransNAS101Macro(),
    )
    return MappingProxyType({family.name: family for family in built_in})


def family(name: str) -> Family[Any]:
    """The family called ``name``.

    Raises:
        InvalidInputError: naming the families there are.
    """
    found = families().get(name)
    if found is None:
        raise InvalidInputError(
            f"unknown family {name!r}: choose from {', '.join(sorted(families()))}"
        )
    return found


__all__ = [
    "Family",
    "HiAML",
    "Inception",
    "NASBench101",
    "NASBench201",
    "NASBench301",
    "NASBenchMacro",
    "OFAMobileNetV3",
    "OFAProxyless",
    "OFAResNet50",
    "TransNAS101Macro",
    "TransNAS101Micro",
    "TwoPath",
    "families",
    "family",
]
