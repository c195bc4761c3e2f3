"""The two forms of a family's architecture: the graph built from its encoding, and its module."""

from typing import Any

import torch
from gennape_plugin.adapters.families.base import Family
from gennape_plugin.adapters.torch import capture_module
from torch.utils.flop_counter import FlopCounterMode


def assert_twins(family: Family[Any], arch: Any, *, variant: str = "benchmark") -> None:
    """The module, captured, is the graph; parameters and FLOPs are those that torch counts."""
    graph = family.graph(arch, variant=variant)
    image = graph.nodes[0].shape
    with torch.device("meta"):
        module = family.module(arch, variant=variant).eval()
    captured = capture_module(module, image[1:])
    assert captured == graph
    assert captured.hash == graph.hash
    assert graph.params == sum(p.numel() for p in module.parameters())
    with FlopCounterMode(display=False) as counter:
        assert module(torch.empty(image, device="meta")).shape == graph.nodes[-1].shape
    assert graph.flops == 2 * graph.macs == counter.get_total_flops()
