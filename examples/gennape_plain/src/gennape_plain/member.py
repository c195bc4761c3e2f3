"""A member that ranks by depth."""

import torch
from gennape_plugin.core.batch import GraphBatch
from gennape_plugin.core.members import Member
from torch import Tensor


class Depth(Member):
    """Layers with weights, ``log2(1 + n)``; untrained, and no accuracy."""

    kind = "plain-depth"
    predicts_accuracy = False

    def raw(self, batch: GraphBatch, x: Tensor) -> Tensor:
        """One number a graph."""
        weighted = batch.kinds.weighted[batch.kind].float()
        layers = torch.zeros(batch.num_graphs, device=weighted.device)
        return torch.log2(1 + layers.index_add(0, batch.graph, weighted))
