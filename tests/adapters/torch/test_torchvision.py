"""Published networks: parameters as counted by torch, multiply-adds as published."""

import pytest
import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import InvalidInputError

from gennape_plugin.zoo.torchvision_models import imported

try:
    models = imported()
except InvalidInputError as error:
    pytest.skip(str(error), allow_module_level=True)

#: Billions of multiply-adds as published with torchvision's weights, at the size given.
PUBLISHED = {
    "resnet50": (224, 4.089),
    "mobilenet_v3_large": (224, 0.217),
    "efficientnet_b0": (224, 0.386),
    "densenet121": (224, 2.834),
    "inception_v3": (299, 5.713),
    "googlenet": (224, 1.498),
    "swin_t": (224, 4.491),
    "vit_b_16": (224, 17.564),
    "convnext_tiny": (224, 4.456),
    "regnet_y_400mf": (224, 0.402),
    "shufflenet_v2_x1_0": (224, 0.145),
}
#: Not run in evaluation.
AUXILIARY = {"inception_v3": "AuxLogits", "googlenet": "aux"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks(name: str) -> None:
    size, gmacs = PUBLISHED[name]
    options = {"init_weights": False} if name in AUXILIARY else {}
    try:
        with torch.device("meta"):
            net = models.get_model(name, **options)
    except NotImplementedError:  # initialisers that need data
        net = models.get_model(name, **options)
    captured = capture(net, (3, size, size))
    unused = AUXILIARY.get(name, "/")
    expected = sum(p.numel() for n, p in net.named_parameters() if not n.startswith(unused))
    assert captured.graph.params == expected
    assert captured.graph.macs / 1e9 == pytest.approx(gmacs, abs=0.00051)
    assert captured.route == "meta"
    assert captured.warnings == ()
    assert not captured.custom
