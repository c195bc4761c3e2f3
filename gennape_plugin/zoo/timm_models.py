"""All networks of timm."""

from functools import partial
from typing import Any

from gennape_plugin.core.errors import InvalidInputError

from .catalogue import Catalogue, Sample, image, without_data
from .torchvision_models import imported


def catalogue() -> Catalogue:
    """Every name of ``timm.list_models()``.

    Raises:
        InvalidInputError: if timm cannot be imported.
    """
    imported()  # timm imports torchvision
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        raise InvalidInputError(f"timm cannot be imported ({error}): pip install timm") from error
    return {name: partial(_sample, timm, name) for name in timm.list_models()}


def _sample(timm: Any, name: str) -> Sample:
    module = without_data(partial(timm.create_model, name, pretrained=False)).eval()
    settings: Any = module.pretrained_cfg
    return Sample(module, (image(*settings["input_size"]),))
