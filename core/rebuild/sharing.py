"""Weights that layers of different blocks share."""

import torch
from gennape_plugin.core.errors import RebuildError
from gennape_plugin.core.graph import ComputeGraph
from torch import nn

from .expressions import Layer
from .layers import made
from .tree import Block, Tie, layers_in


def ties_of(graph: ComputeGraph, root: Block) -> tuple[Tie, ...]:
    """The weights that have to be shared after all layers are made.

    Raises:
        RebuildError: if two layers share weights of different shapes.
    """
    owners: dict[int, tuple[tuple[str, ...], Layer]] = {}
    ties: list[Tie] = []
    for path, step, layer in layers_in(root):
        owner = owners.setdefault(graph.weight_of[step.node], (path, layer))
        if owner[0] == path:
            continue
        if owner[1] == layer and layer.kind != "Parameter":
            ties.append(Tie(owner[0], path))
            continue
        names = _shared_names(owner[1], layer)
        if names is None:
            node, scope = graph.nodes[step.node], graph.scopes[step.node]
            raise RebuildError(
                f"this graph cannot be rebuilt because of node {step.node} ({node.op} in "
                f"{scope!r:.120}): it shares weights with node {graph.weight_of[step.node]} "
                f"({graph.nodes[graph.weight_of[step.node]].op}), and theirs differ in shape"
            )
        ties.extend(Tie(owner[0], path, name) for name in names)
    return tuple(ties)


def _shared_names(one: Layer, other: Layer) -> list[str] | None:
    """Parameters that two layers can share, all of them or none."""
    shapes = [_parameters(layer) for layer in (one, other)]
    return list(shapes[1]) if shapes[0] == shapes[1] else None


def _parameters(layer: Layer) -> dict[str, torch.Size]:
    with torch.device("meta"):
        module = made(layer)
    if isinstance(module, nn.Parameter):
        return {"": module.shape}
    return {name: parameter.shape for name, parameter in module.named_parameters()}
