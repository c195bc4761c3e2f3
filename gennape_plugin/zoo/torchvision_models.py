"""All networks of torchvision, of every task."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from gennape_plugin.core.errors import InvalidInputError

from .catalogue import Catalogue, Sample, image, without_data

#: Keeps the schemas alive that are defined where torchvision's own operators do not load.
_libraries: list[torch.library.Library] = []

#: Frames and pixels that a video network is trained on; others: 16 frames of 224 pixels.
_CLIPS: Final = {"mc3_18": (16, 112), "r2plus1d_18": (16, 112), "r3d_18": (16, 112)}
#: Pixels of a detector's image where its anchors fix them; the others resize to 320, where the
#: route on real tensors, which all detectors need, takes seconds and not minutes.
_DETECTION: Final = {"ssd300_vgg16": 300}
_PIXELS: Final = 320


def catalogue() -> Catalogue:
    """Every name of ``torchvision.models.list_models()``.

    Raises:
        InvalidInputError: if torchvision cannot be imported.
    """
    models = imported()
    tasks = {
        "detection": models.list_models(module=models.detection),
        "segmentation": models.list_models(module=models.segmentation),
        "video": models.list_models(module=models.video),
        "flow": models.list_models(module=models.optical_flow),
    }
    task_of = {name: task for task, names in tasks.items() for name in names}
    return {
        name: partial(_sample, models, name, task_of.get(name, "classification"))
        for name in models.list_models()
    }


def imported() -> Any:
    """``torchvision.models``, also where its compiled operators belong to another torch.

    Raises:
        InvalidInputError: if it cannot be imported.
    """
    try:
        try:
            from torchvision import extension, models, ops
        except RuntimeError:  # it registers shapes of operators that did not load
            _define_operators()
            from torchvision import extension, models, ops
    except (ImportError, RuntimeError) as error:
        raise InvalidInputError(
            f"torchvision cannot be imported ({error}): pip install torchvision, in the version "
            "that belongs to this torch"
        ) from error
    # Asked of the kernel and not of the schema, which others define to import torchvision.
    if not torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::nms", "CPU"):
        library = torch.library.Library("torchvision", "IMPL")
        library.impl("nms", suppressed, "CPU")
        _libraries.append(library)
    if not extension._has_ops():
        ops.boxes._assert_has_ops = lambda: None  # ours stands in
    return models


def _define_operators() -> None:
    """Makes a torchvision importable whose compiled operators do not load.

    Never before an import has failed: operators that load define their own schemas, and a second
    definition is an error.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)


def suppressed(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression, as torchvision's own operator does it.

    Args:
        boxes: ``(x1, y1, x2, y2)`` of each box, in pixels.
        scores: Score of each box.
        threshold: Of two boxes whose intersection over union is above it, the one with the
            lower score goes.

    Returns:
        Indices of the boxes that are kept, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = torch.ones(len(boxes), dtype=torch.bool)
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        corner = torch.maximum(boxes[i, :2], boxes[i + 1 :, :2])
        other = torch.minimum(boxes[i, 2:], boxes[i + 1 :, 2:])
        shared = (other - corner).clamp(min=0).prod(dim=1)
        alive[i + 1 :] &= shared <= threshold * (areas[i] + areas[i + 1 :] - shared)
    return order[alive]


def _sample(models: Any, name: str, task: str) -> Sample:
    options: dict[str, Any] = {"weights": None}
    if task in ("detection", "segmentation"):
        options["weights_backbone"] = None
    if task == "detection" and not name.startswith("ssd"):
        options |= {"min_size": _PIXELS, "max_size": _PIXELS}
    if name.removeprefix("quantized_") in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # draws from a truncated normal distribution for minutes
    build = partial(models.get_model, name, **options)
    module = without_data(build).eval()
    return Sample(module, _inputs(models, name, task, module))


def _inputs(models: Any, name: str, task: str, module: nn.Module) -> tuple[Any, ...]:
    if task == "detection":
        pixels = _DETECTION.get(name, _PIXELS)
        return ([image(3, pixels, pixels)[0]],)
    if task == "segmentation":
        return (image(3, 520, 520),)
    if task == "flow":
        return (image(3, 520, 960), image(3, 520, 960))
    if task == "video":
        frames, side = _CLIPS.get(name, (16, 224))
        return (image(3, frames, side, side),)
    size: Any = getattr(module, "image_size", None)
    if size is not None:  # of a vision transformer, which takes no other
        return (image(3, size, size),)
    transforms: Callable[..., Any] = models.get_model_weights(name).DEFAULT.transforms
    crop: int = getattr(transforms, "keywords", {}).get("crop_size", 224)
    return (image(3, crop, crop),)
