"""The built-in sources of architectures, each a plugin like any other (see :mod:`..hooks`)."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Final

from . import graphs, modules, naslib, nni, onnx, programs, python_code, zoo

#: In the order in which they are asked.
BUILT_IN: Final[Mapping[str, ModuleType]] = MappingProxyType(
    {
        "graphs": graphs,
        "nni": nni,
        "naslib": naslib,
        "modules": modules,
        "programs": programs,
        "onnx": onnx,
        "zoo": zoo,
        "python": python_code,
    }
)
