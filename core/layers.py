"""Building blocks of the networks: node embedding, message passing, readout.

Sizes follow the published k-GNN code: an embedding of ``width`` features is split
between the op (two tables, one for ops with kernels), six resolutions, two kernel sizes
and the bias.
"""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GCNConv, GINConv, GraphConv

from .batch import GraphBatch, Kinds
from .errors import InvalidInputError
from .ops import PAPER_LABELS
from .paper import MAX_KERNEL
from .quotient import Quotient, quotient, unmerged

#: Constants that real computation graphs divide heights, widths and channels by.
MAX_PIXELS: Final = 256.0
MAX_CHANNELS: Final = 512.0
#: Message passing that :class:`GraphLayers` knows; ``kgnn`` is Morris et al. (2019).
CONVOLUTIONS: Final = ("kgnn", "gcn", "gin")


class NodeEmbedding(nn.Module):
    """Features of an operation to a vector (paper: CG features; code: embedding split).

    For ``width`` 32: op 24 + resolution 8 without a kernel, op 14 + resolution 8 +
    kernel 2 x 4 + bias 2 with one.
    """

    def __init__(self, width: int) -> None:
        """Make the tables.

        Args:
            width: Size of the result, a multiple of 8 from 32 on.
        """
        super().__init__()
        if width < 32 or width % 8:
            raise InvalidInputError(f"embedding width {width}: give a multiple of 8 from 32 on")
        shape, kernel, bias = width // 4, width // 8, 2
        labels = len(PAPER_LABELS)
        self.regular_op = nn.Embedding(labels, width - shape)
        self.weighted_op = nn.Embedding(labels, width - shape - 2 * kernel - bias)
        self.resolution = nn.Linear(6, shape)
        self.kernel = nn.Embedding(MAX_KERNEL + 1, kernel)
        scale = [1 / MAX_PIXELS] * 4 + [1 / MAX_CHANNELS] * 2
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.scale: Tensor

    def forward(self, kinds: Kinds) -> Float[Tensor, "kinds width"]:
        """Embed every kind of a batch."""
        resolution = self.resolution(kinds.resolution * self.scale)
        regular = torch.cat([self.regular_op(kinds.label), resolution], dim=1)
        weighted = torch.cat(
            [
                self.weighted_op(kinds.label),
                resolution,
                self.kernel(kinds.kernel).flatten(1),
                F.one_hot(kinds.bias.long(), 2).to(resolution.dtype),
            ],
            dim=1,
        )
        return torch.where(kinds.weighted[:, None], weighted, regular)


class GraphLayers(nn.Module):
    """A stack of message-passing layers from producers to consumers, tanh after each.

    ``kgnn`` and ``gin`` run on the quotient of the batch; ``gcn`` normalises by node
    degrees and runs on whole graphs.
    """

    def __init__(self, width: int, layers: int, *, convolution: str = "kgnn") -> None:
        """Make the layers.

        Args:
            width: Size of every node's vector, before and after.
            layers: Number of layers.
            convolution: One of :data:`CONVOLUTIONS`.
        """
        super().__init__()
        if convolution not in CONVOLUTIONS:
            raise InvalidInputError(
                f"unknown convolution {convolution!r}: choose from {', '.join(CONVOLUTIONS)}"
            )
        if layers < 1:
            raise InvalidInputError(f"{layers} message-passing layers: give at least 1")
        self.convolution = convolution
        self.layers = nn.ModuleList(_layer(convolution, width) for _ in range(layers))

    @property
    def merges(self) -> bool:
        """Whether equal surroundings give equal vectors, so that a quotient is exact."""
        return self.convolution != "gcn"

    def plan(self, batch: GraphBatch) -> Quotient:
        """How the message passing over a batch is merged."""
        return (quotient if self.merges else unmerged)(batch, len(self.layers))

    def forward(
        self, x: Float[Tensor, "kinds width"], batch: GraphBatch, plan: Quotient
    ) -> Float[Tensor, "classes width"]:
        """Vectors of the classes of ``plan`` after all layers.

        Args:
            x: Embedded kinds of the batch.
            batch: The graphs.
            plan: What :meth:`plan` gives for them.
        """
        if not self.merges:
            x = x.index_select(0, batch.kind)
            for layer in self.layers:
                x = torch.tanh(layer(x, batch.edges))
            return x
        for layer, block in zip(self.layers, plan.blocks, strict=True):
            # Unlike x[...], its gradient is the same at every run, whatever the threads.
            own = x.index_select(0, block.own)
            x = torch.tanh(layer((x, own), block.edges, size=(x.shape[0], own.shape[0])))
        return x


def _layer(convolution: str, width: int) -> nn.Module:
    layer: nn.Module
    if convolution == "kgnn":
        layer = GraphConv(width, width)
    elif convolution == "gcn":
        layer = GCNConv(width, width)
    else:
        update = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        layer = GINConv(update, train_eps=True)
    return layer


def mean_readout(
    x: Float[Tensor, "classes width"], plan: Quotient, batch: GraphBatch
) -> Float[Tensor, "graphs width"]:
    """Mean over the nodes of each graph, read from their classes."""
    return F.embedding_bag(plan.classes, x, batch.ptr[:-1], mode="mean")
