"""A transformer layer over the nodes of each graph.

Full softmax attention within a graph, no positional encoding: the layer reads the
embedded operations, in parallel to the message passing. Equal operations of a graph
ask and answer alike, so attention runs over a graph's distinct kinds and weighs each by
its multiplicity (``log n`` on its score), which is exact and far smaller than nodes
squared. Memory stays linear in graph size, so no approximation is needed for large
graphs (the paper's library offers linear attention; which one it used is not stated).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from .batch import GraphBatch
from .dropout import Dropout
from .errors import InvalidInputError


class GraphTransformerLayer(nn.Module):
    """One post-norm transformer layer with a mean over nodes (Vaswani et al., 2017).

    Dropout acts, node by node, on the attended values, inside and after the feed-forward
    part; it is what makes two views of a graph differ.
    """

    def __init__(self, width: int, *, heads: int = 2, hidden: int = 128, dropout: float = 0.1):
        """Make the layer.

        Args:
            width: Size of a node's vector; a multiple of ``heads``.
            heads: Attention heads.
            hidden: Width of the feed-forward part.
            dropout: Probability of dropping a unit in training.
        """
        super().__init__()
        if min(heads, hidden) < 1 or width % heads or not 0 <= dropout < 1:
            raise InvalidInputError(
                f"width {width}, heads {heads}, hidden {hidden}, dropout {dropout}: heads and "
                "hidden must be at least 1, the width a multiple of the heads and the dropout in "
                "[0, 1)"
            )
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_1 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.norm_2 = nn.LayerNorm(width)
        self.drop = Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "kinds width"], batch: GraphBatch, *, views: int = 1
    ) -> Float[Tensor, "views graphs width"]:
        """Mean vector of each graph, for each of ``views`` dropout masks.

        Args:
            x: Embedded kinds of the batch.
            batch: The graphs.
            views: Independent passes through dropout; all equal outside training.
        """
        key = batch.graph * len(batch.kinds) + batch.kind
        unique, member, count = torch.unique(key, return_inverse=True, return_counts=True)
        kind, graph = unique % len(batch.kinds), unique // len(batch.kinds)
        per_graph = torch.bincount(graph, minlength=batch.num_graphs)
        ptr = F.pad(per_graph.cumsum(0), (1, 0))
        qkv = self.query_key_value(x).index_select(0, kind)
        attended = self.project(self._attend(qkv, count, ptr))
        residual = x.index_select(0, kind)
        if not self.training:
            mixed = self._feed_forward(self.norm_1(residual + attended))
            share = (count / (batch.ptr[1:] - batch.ptr[:-1])[graph]).to(x.dtype)
            mean = F.embedding_bag(
                torch.arange(len(kind), device=x.device),
                mixed,
                ptr[:-1],
                mode="sum",
                per_sample_weights=share,
            )
            return mean.expand(views, -1, -1)
        # Dropout tells equal nodes apart: from here on every node of every view is computed.
        rows = member.repeat(views)
        mixed = self._feed_forward(
            self.norm_1(residual.index_select(0, rows) + self.drop(attended.index_select(0, rows)))
        )
        starts = batch.ptr[:-1]
        offsets = torch.cat([starts + view * batch.num_nodes for view in range(views)])
        every = torch.arange(len(rows), device=x.device)
        return F.embedding_bag(every, mixed, offsets, mode="mean").view(views, batch.num_graphs, -1)

    def _feed_forward(self, x: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
        hidden = self.drop(F.relu(self.up(x)))
        out: Tensor = self.norm_2(x + self.drop(self.down(hidden)))
        return out

    def _attend(
        self,
        qkv: Float[Tensor, "n triple"],
        count: Int[Tensor, "n"],
        ptr: Int[Tensor, "graphs_plus_1"],
    ) -> Float[Tensor, "n width"]:
        """Attention among the rows of each graph, keys weighed by their multiplicity."""
        width = qkv.shape[1] // 3
        sizes = ptr[1:] - ptr[:-1]
        out = qkv.new_zeros(qkv.shape[0], width)
        # Graphs of similar size share a padded block, so one large graph costs only itself.
        bucket = torch.ceil(torch.log2(sizes.float()).clamp(min=4)).long()
        for level in torch.unique(bucket).tolist():
            graphs = (bucket == level).nonzero()[:, 0]
            longest = int(sizes[graphs].max())
            offset = torch.arange(longest, device=qkv.device)
            present = offset < sizes[graphs, None]
            rows = (ptr[graphs, None] + offset).clamp(max=qkv.shape[0] - 1)
            padded = qkv.index_select(0, rows.flatten()).view(
                len(graphs), longest, 3, self.heads, width // self.heads
            )
            q, k, v = padded.permute(2, 0, 3, 1, 4)
            weight = torch.log(count[rows].to(qkv.dtype)).masked_fill(~present, -torch.inf)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=weight[:, None, None, :])
            flat = mixed.transpose(1, 2).reshape(len(graphs), longest, width)
            out = out.index_copy(0, rows[present], flat[present])
        return out
