from functools import cache
from typing import Any

import hypothesis.strategies as st
import nni.nas.hub.pytorch as hub
import pytest
from gennape_plugin.adapters.nni import HubSpace, default_input_shape, hub_space, native_graph
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import ArchitectureError, GraphError
from hypothesis import given, settings
from nni.nas.hub.pytorch.nasnet import NDS
from nni.nas.space import SimplifiedModelSpace
from nni_spaces import drawn

SMALL_WIDTHS = (16, 16, 16, 16, 32, 32, 64, 64, 128)
#: Small networks of every space.
SMALL: dict[str, tuple[type, dict[str, Any]]] = {
    "nasbench101": (
        hub.NasBench101,
        {"stem_out_channels": 8, "num_stacks": 2, "num_modules_per_stack": 2},
    ),
    "nasbench201": (hub.NasBench201, {"stem_out_channels": 8, "num_modules_per_stack": 2}),
    "darts": (hub.DARTS, {"width": 8, "num_cells": 3, "dataset": "cifar"}),
    "nasnet": (hub.NASNet, {"width": (8, 16), "num_cells": (4, 5)}),
    "enas": (hub.ENAS, {"width": 8, "num_cells": 4, "dataset": "imagenet"}),
    "amoeba": (hub.AmoebaNet, {"width": 8, "num_cells": 3, "drop_path_prob": 0.2}),
    "pnas": (hub.PNAS, {"width": 8, "num_cells": 5, "dataset": "imagenet"}),
    "proxyless": (hub.ProxylessNAS, {"base_widths": SMALL_WIDTHS, "num_labels": 7}),
    "mobilenetv3": (hub.MobileNetV3Space, {"base_widths": SMALL_WIDTHS, "dropout_rate": 0.0}),
    # Fixed widths are integers, which NNI compares by identity.
    "mobilenetv3 fixed": (
        hub.MobileNetV3Space,
        {
            "base_widths": (16, 16, 16, 16, 512, 512, 512, 512, 64),
            "width_multipliers": 1.0,
            "squeeze_excite": ("force", "none", "optional", "optional", "force", "optional"),
            "depth_range": ((1, 2), (1, 1), (1, 3), (2, 2), (1, 2)),
        },
    ),
    "shufflenet": (hub.ShuffleNetSpace, {"channel_search": True, "affine": False}),
    "autoformer": (
        hub.AutoFormer,
        {"search_depth": (1, 3), "img_size": 64, "drop_path_rate": 0.1, "num_labels": 5},
    ),
    "autoformer plain": (
        hub.AutoFormer,
        {
            "search_depth": (2,),
            "img_size": 32,
            "pre_norm": False,
            "rpe": False,
            "absolute_position": False,
            "global_pooling": False,
            "num_labels": 0,
        },
    ),
}
#: NNI's own networks: its default arguments.
FULL: dict[str, tuple[type, dict[str, Any]]] = {
    cls.__name__: (cls, {})
    for cls in (
        hub.NasBench101,
        hub.NasBench201,
        hub.DARTS,
        hub.NASNet,
        hub.ENAS,
        hub.AmoebaNet,
        hub.PNAS,
        hub.ProxylessNAS,
        hub.MobileNetV3Space,
        hub.ShuffleNetSpace,
        hub.AutoFormer,
    )
}


@cache
def simplified(name: str) -> SimplifiedModelSpace:
    cls, arguments = {**SMALL, **FULL}[name]
    return SimplifiedModelSpace.from_model(cls(**arguments))


def described(space: SimplifiedModelSpace) -> HubSpace:
    found = hub_space(space.model.trace_symbol, space.model.trace_args, space.model.trace_kwargs)
    assert found is not None
    return found


def assert_equal_to_capture(name: str, seed: int) -> None:
    frozen = drawn(simplified(name), seed)
    space = described(frozen)
    native = native_graph(space, frozen.sample)
    assert native is not None
    captured = capture(frozen.executable_model(), default_input_shape(space)).graph
    assert native.hash == captured.hash
    assert (native.flops, native.params) == (captured.flops, captured.params)


@pytest.mark.parametrize("name", SMALL)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=1)
def test_equals_the_captured_module(name: str, seed: int) -> None:
    assert_equal_to_capture(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_equals_many_captured_modules(name: str, seed: int) -> None:
    assert_equal_to_capture(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_equals_the_captured_networks_of_the_hub(name: str, seed: int) -> None:
    assert_equal_to_capture(name, seed)


def test_freezing_a_live_space_gives_the_same_network() -> None:
    space = hub.NasBench201(stem_out_channels=8, num_modules_per_stack=1)
    sample = drawn(SimplifiedModelSpace.from_model(space), 3).sample
    found = hub_space(type(space), space.trace_args, space.trace_kwargs)
    assert found is not None
    native = native_graph(found, sample)
    assert native is not None
    assert native.hash == capture(space.freeze(sample), (3, 32, 32)).graph.hash


def test_other_image_sizes() -> None:
    frozen = drawn(simplified("darts"), 1)
    native = native_graph(described(frozen), frozen.sample, (3, 45, 45))
    assert native is not None
    assert native.hash == capture(frozen.executable_model(), (3, 45, 45)).graph.hash


def test_what_is_left_to_capture() -> None:
    class Own(hub.NasBench201):  # its forward may differ
        pass

    assert hub_space(Own) is None
    assert hub_space(dict) is None
    sample = drawn(simplified("nasbench101"), 0).sample
    wide = hub_space(hub.NasBench101, (), {"max_num_vertices": 9})
    assert wide is not None
    assert native_graph(wide, sample) is None
    unusual = hub_space(NDS, (["none", "skip_connect"],), {"width": 8})
    assert unusual is not None
    names = [(node, k) for node in range(2, 6) for k in range(2)]
    choices: dict[str, Any] = {"depth": 4}
    for cell in ("normal", "reduce"):
        choices |= {f"{cell}/op_{node}_{k}": "skip_connect" for node, k in names}
        choices |= {f"{cell}/input_{node}_{k}": [k] for node, k in names}
    assert native_graph(unusual, choices) is None


def test_a_missing_choice_is_named() -> None:
    frozen = drawn(simplified("nasbench201"), 0)
    sample = {k: v for k, v in frozen.sample.items() if k != "cell/1_3"}
    with pytest.raises(ArchitectureError, match=r"NasBench201 without the choice 'cell/1_3'"):
        native_graph(described(frozen), sample)


@pytest.mark.parametrize(
    ("name", "label", "value", "message"),
    [
        ("nasbench201", "cell/0_1", "conv_9x9", "allowed are none, skip_connect"),
        ("nasbench201", "cell/0_1", ["conv_1x1"], "allowed are none"),
        ("nasbench101", "cell/num_nodes", 99, "allowed are 2, 3"),
        ("darts", "normal/input_2_0", [5], "integers from 0 to 1"),
        ("darts", "normal/input_2_0", ["0"], "integers from 0 to 1"),
        ("darts", "normal/input_2_0", [], "one integer from 0 to 1"),
        ("proxyless", "s2_depth", 0, "allowed are 1, 2, 3, 4"),
    ],
)
def test_a_wrong_choice_is_named(name: str, label: str, value: object, message: str) -> None:
    frozen = drawn(simplified(name), 0)
    with pytest.raises(ArchitectureError, match=f"{label}.*{message}"):
        native_graph(described(frozen), {**frozen.sample, label: value})


def test_images_that_do_not_fit() -> None:
    frozen = drawn(simplified("darts"), 0)
    with pytest.raises(GraphError):
        native_graph(described(frozen), frozen.sample, (3, 0, 32))
