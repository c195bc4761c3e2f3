"""Published networks are built from their graphs (``make test-zoo``)."""

import pytest
import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import InvalidInputError, RebuildError
from rebuilt import captured_again, from_source, meta_inputs

from gennape_plugin.zoo.catalogue import catalogue_of

pytestmark = pytest.mark.filterwarnings("ignore")

try:
    MODELS = catalogue_of("torchvision")
except InvalidInputError:
    pytest.skip("no torchvision: make test-zoo", allow_module_level=True)

BUILT = (
    *("alexnet", "vgg11_bn", "resnet50", "squeezenet1_1", "densenet121", "googlenet"),
    *("inception_v3", "mobilenet_v3_large", "mnasnet1_0", "efficientnet_v2_s", "regnet_y_400mf"),
    *("shufflenet_v2_x1_0", "convnext_tiny", "vit_b_16", "fcn_resnet50", "r3d_18"),
)
REFUSED = {"swin_t": "gather", "swin_v2_t": "parameter", "maxvit_t": "gather"}


def graph_of(name):
    sample = MODELS[name]()
    return capture(sample.module, inputs=sample.inputs, kwargs=sample.kwargs).graph


@pytest.mark.parametrize("name", BUILT)
def test_networks_come_back(name):
    graph = graph_of(name)
    with torch.device("meta"):
        module, written = graph.to_module().eval(), from_source(graph).eval()
    assert captured_again(graph, module) == graph
    assert captured_again(graph, written) == graph
    assert module.state_dict().keys() == written.state_dict().keys()
    assert sum(p.numel() for p in module.parameters()) == graph.params
    result = module(*meta_inputs(graph, batch=2))
    assert (result[0] if isinstance(result, tuple) else result).shape[0] == 2


def test_a_published_networks_weights_fit():
    sample = MODELS["resnet18"]()
    graph = capture(sample.module, inputs=sample.inputs).graph
    theirs = sample.module.state_dict()
    mine = graph.to_module().state_dict()
    assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("name", REFUSED)
def test_attention_by_positions_is_refused(name):
    with pytest.raises(RebuildError, match=rf"because of node \d+ \({REFUSED[name]} in '"):
        graph_of(name).to_module()
