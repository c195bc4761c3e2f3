"""A capture changes nothing, over whole collections (``make test-zoo``)."""

from collections.abc import Callable

import pytest
from fingerprints import untouched
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import InvalidInputError

from gennape_plugin.zoo.catalogue import Sample, catalogue_of

pytestmark = pytest.mark.filterwarnings("ignore")

#: With weights, which are compared byte by byte; the others' hold no data.
WITH_DATA = ("mnasnet0_5", "shufflenet_v2_x0_5", "squeezenet1_1", "regnet_y_400mf")


def networks(source: str, every: int = 1) -> dict[str, Callable[[], Sample]]:
    try:
        known = catalogue_of(source)
    except InvalidInputError:
        return {}
    return {name: known[name] for name in sorted(known)[::every]}


def check(sample: Sample) -> None:
    sample.module.train()
    with untouched(sample.module):
        capture(sample.module, inputs=sample.inputs, kwargs=sample.kwargs)


LAYERS, TORCHVISION, TIMM = networks("torch"), networks("torchvision"), networks("timm", 25)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    check(LAYERS[name]())


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    check(TORCHVISION[name]())


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    check(TIMM[name]())


@pytest.mark.parametrize("name", WITH_DATA if TORCHVISION else ())
def test_weights(name: str) -> None:
    from torchvision import models

    sample = TORCHVISION[name]()
    net = models.get_model(name, weights=None).train()
    check(Sample(net, sample.inputs, sample.kwargs))
