"""From a space of the hub and a sample to the graph of the network that NNI would build."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.shapes import Shape

from . import autoformer, mobile, nasbench101, nasbench201, nds, shufflenet
from .choices import Choices
from .objects import HubSpace

#: Makes a graph of the constructor's arguments, a sample and the shape of an image; ``None``
#: for rare arguments, which are left to capture.
Route = Callable[[Mapping[str, Any], Choices, Shape], ComputeGraph | None]

_ROUTES: Final[Mapping[str, Route]] = {
    "NasBench101": nasbench101.graph,
    "NasBench201": nasbench201.graph,
    "NDS": nds.graph,
    **dict.fromkeys(nds.CELLS, nds.graph),
    "ProxylessNAS": mobile.proxyless_graph,
    "MobileNetV3Space": mobile.mobilenetv3_graph,
    "ShuffleNetSpace": shufflenet.graph,
    "AutoFormer": autoformer.graph,
}
_CIFAR: Final = (3, 32, 32)
_IMAGENET: Final = (3, 224, 224)


def default_input_shape(space: HubSpace) -> tuple[int, int, int]:
    """Images that a space is made for, ``(channels, height, width)``."""
    if space.name == "AutoFormer":
        side: int = space.arguments["img_size"]
        return space.arguments["in_channels"], side, side
    if space.arguments.get("dataset") == "cifar" or space.name in ("NasBench101", "NasBench201"):
        return _CIFAR
    return _IMAGENET


def native_graph(
    space: HubSpace, sample: Mapping[str, Any], input_shape: Shape | None = None
) -> ComputeGraph | None:
    """The graph of the network that a sample stands for, without building it.

    It equals the captured graph of NNI's own module, up to the numbering of nodes.

    Args:
        space: The space.
        sample: A value by label, as NNI's strategies draw it.
        input_shape: Shape of an image, ``(channels, height, width)``; the space's usual one
            by default.

    Returns:
        The graph, or ``None`` for rare arguments of a space: capture the module instead.

    Raises:
        ArchitectureError: if the sample lacks a choice of the space, or has a wrong one.
        GraphError: if the network does not fit images of that shape.
    """
    shape = default_input_shape(space) if input_shape is None else tuple(input_shape)
    if len(shape) != len(_CIFAR):
        return None
    return _ROUTES[space.name](space.arguments, Choices(space.name, sample), shape)
