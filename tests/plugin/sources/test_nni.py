"""NNI's spaces as architectures: what is read from the sample, what is built, what is refused."""

from typing import Any

import nni
import nni.nas.hub.pytorch as hub
import pytest
import torch
from gennape_plugin.core.errors import ArchitectureError, CaptureWarning, InvalidInputError
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.space import (
    GraphModelSpace,
    ModelStatus,
    RawFormatModelSpace,
    SimplifiedModelSpace,
    model_context,
)
from nni_spaces import drawn
from torch import nn

from gennape_plugin.architectures import capture_any, to_graph
from gennape_plugin.hooks import Example
from gennape_plugin.sources.nni import ROUTE

SHAPE = (3, 16, 16)
EXAMPLE = Example(SHAPE)


class Own(ModelSpace):
    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        kernels = [nn.Conv2d(3, channels, 1), nn.Conv2d(3, channels, 3, padding=1)]
        self.conv = LayerChoice(kernels, label="conv")
        self.head = nn.Linear(channels, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).mean((2, 3)))


class Changed(hub.NasBench201):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.relu(inputs))


def small() -> ModelSpace:
    return hub.NasBench201(stem_out_channels=4, num_modules_per_stack=1)


def small_mobile() -> ModelSpace:
    return hub.ProxylessNAS(base_widths=(8,) * 9, num_labels=3)


def test_a_hub_space_is_read_from_its_sample() -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(small()), 0)
    found = capture_any(frozen)
    assert found.route == ROUTE
    assert found.graph.nodes[0].shape == (1, 3, 32, 32)
    module = capture_any(frozen.executable_model(), Example((3, 32, 32)))
    assert module.route == "meta"
    assert found.graph.hash == module.graph.hash


def test_a_trained_model_is_still_one() -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(small()), 0)
    frozen.status = ModelStatus.Trained
    assert capture_any(frozen).route == ROUTE


def test_a_space_that_a_trial_loads() -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(small()), 0)
    loaded = nni.load(nni.dump(frozen))
    assert type(loaded.status) is str  # NNI forgets that it is an enumeration
    assert capture_any(loaded).graph == capture_any(frozen).graph


def test_other_inputs_of_a_hub_space() -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(small()), 0)
    assert to_graph(frozen, SHAPE).nodes[0].shape == (1, *SHAPE)
    by_example = capture_any(frozen, Example(inputs=torch.zeros(2, *SHAPE)))
    assert by_example.route == "meta"
    assert by_example.graph.nodes[0].shape == (2, *SHAPE)


@pytest.mark.parametrize("space", [Own, Changed])
def test_other_spaces_are_built_and_captured(space: Any) -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(space()), 0)
    found = capture_any(frozen, EXAMPLE)
    assert found.route == "meta"
    assert found.graph == to_graph(frozen.executable_model(), SHAPE)


@pytest.mark.parametrize("space", [small_mobile, Own])
def test_the_raw_format_is_captured_as_it_stands(space: Any) -> None:
    # NNI freezes a live ProxylessNAS to other batch norms than its class builds.
    raw = drawn(RawFormatModelSpace.from_model(space()), 0)
    found = capture_any(raw, EXAMPLE)
    assert found.route == "meta"
    assert found.graph == to_graph(raw.executable_model(), SHAPE)


def test_frozen_modules_are_modules() -> None:
    space, sample = Own(), {"conv": 1}
    frozen = to_graph(space.freeze(sample), SHAPE)
    with model_context(sample):
        assert to_graph(Own(), SHAPE) == frozen
    assert [node.op for node in frozen.nodes] == ["input", "conv", "mean", "linear", "output"]


@pytest.mark.parametrize(
    "whole",
    [
        SimplifiedModelSpace.from_model(Own()),
        RawFormatModelSpace.from_model(Own()),
    ],
    ids=lambda space: type(space).__name__,
)
def test_a_whole_space_is_refused(whole: object) -> None:
    with pytest.raises(InvalidInputError, match=r"whole search space: freeze it first.*freeze\("):
        to_graph(whole, SHAPE)


def test_modules_with_choices_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"Own still has 1 choices \(conv\): freeze it"):
        to_graph(Own(), SHAPE)
    with pytest.raises(InvalidInputError, match=r"NasBench201 still has 6 choices .*, \.\.\.\)"):
        to_graph(small(), SHAPE)
    with pytest.raises(InvalidInputError, match="LayerChoice still has 1 choices"):
        to_graph(Own().conv, SHAPE)


def test_the_graph_format_is_refused() -> None:
    space = GraphModelSpace(_internal=True)
    with pytest.raises(InvalidInputError, match="graph format: use the simplified format"):
        to_graph(space, SHAPE)


def test_a_space_of_ones_own_needs_its_inputs() -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(Own()), 0)
    with pytest.raises(InvalidInputError, match=r"Own is a search space of your own.*input_shape"):
        to_graph(frozen)


def test_samples_that_lack_a_choice() -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(small()), 0)
    del frozen.sample["cell/0_1"]
    with pytest.raises(ArchitectureError, match="without the choice 'cell/0_1'"):
        to_graph(frozen)
    frozen = drawn(SimplifiedModelSpace.from_model(Own()), 0)
    frozen.sample.clear()
    with pytest.raises(InvalidInputError, match=r"cannot build the model of this sample.*conv"):
        to_graph(frozen, SHAPE)
    frozen.sample = None
    with pytest.raises(InvalidInputError, match="frozen space without a sample"):
        to_graph(frozen, SHAPE)


def test_what_was_assumed_is_a_warning() -> None:
    class Guess(ModelSpace):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() if x.sum() > 0 else x.sigmoid()

    space = SimplifiedModelSpace.from_model(Guess()).freeze({})
    with pytest.warns(CaptureWarning):
        to_graph(space, SHAPE)
