"""Many computation graphs as flat arrays, and batches of them as tensors.

Equal operations share one row of features (a *kind*), so a batch holds a small table of
kinds and, for each node, a row number. Nothing is padded: graphs lie one after another.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .effective import effective
from .errors import InvalidInputError
from .graph import ComputeGraph
from .paper import PaperGraph, PaperOp
from .statistics import FloatArray, statistics

IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Kinds:
    """The distinct operations of a batch, as the paper's features see them.

    Attributes:
        label: Row in the paper's vocabulary.
        weighted: Whether the op holds a kernel.
        resolution: ``(H_in, H_out, W_in, W_out, C_in, C_out)`` in pixels and channels.
        kernel: Kernel height and width, 0 to 7.
        bias: Whether a weighted op adds a bias.
    """

    label: Int[Tensor, "kinds"]
    weighted: Bool[Tensor, "kinds"]
    resolution: Float[Tensor, "kinds 6"]
    kernel: Int[Tensor, "kinds 2"]
    bias: Bool[Tensor, "kinds"]

    @classmethod
    def of(cls, ops: Sequence[PaperOp]) -> "Kinds":
        """The feature table of a list of operations."""
        return cls(
            label=torch.tensor([op.label for op in ops], dtype=torch.long),
            weighted=torch.tensor([op.weighted for op in ops], dtype=torch.bool),
            resolution=torch.tensor([op.resolution for op in ops], dtype=torch.float32).view(-1, 6),
            kernel=torch.tensor([op.kernel for op in ops], dtype=torch.long).view(-1, 2),
            bias=torch.tensor([op.bias for op in ops], dtype=torch.bool),
        )

    def take(self, rows: Int[Tensor, "rows"]) -> "Kinds":
        """The table cut down to ``rows``."""
        return Kinds(
            self.label[rows],
            self.weighted[rows],
            self.resolution[rows],
            self.kernel[rows],
            self.bias[rows],
        )

    def to(self, device: torch.device | str) -> "Kinds":
        """The same table on ``device``."""
        return Kinds(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return int(self.label.shape[0])


@dataclass(frozen=True)
class GraphBatch:
    """A batch of graphs in the paper's view.

    Attributes:
        kinds: Features of the distinct operations.
        kind: For each node, its row in ``kinds``; the nodes of a graph are contiguous.
        edges: ``(producer, consumer)`` node numbers within the batch.
        graph: For each node, the number of its graph.
        ptr: Where each graph's nodes start; one entry more than graphs.
        gflops: FLOPs of each graph in units of 1e9 (2 x multiply-adds).
        statistics: :func:`~.statistics.statistics` of each graph.
    """

    kinds: Kinds
    kind: Int[Tensor, "nodes"]
    edges: Int[Tensor, "2 edges"]
    graph: Int[Tensor, "nodes"]
    ptr: Int[Tensor, "graphs_plus_1"]
    gflops: Float[Tensor, "graphs"]
    statistics: Float[Tensor, "graphs statistics"]

    @classmethod
    def of(cls, graphs: Sequence[ComputeGraph]) -> "GraphBatch":
        """Batch a few graphs (for many, keep a :class:`GraphStore`)."""
        return GraphStore.of(graphs).batch(range(len(graphs)))

    @property
    def num_graphs(self) -> int:
        """Number of graphs."""
        return int(self.ptr.shape[0]) - 1

    @property
    def num_nodes(self) -> int:
        """Number of nodes of all graphs together."""
        return int(self.kind.shape[0])

    def to(self, device: torch.device | str) -> "GraphBatch":
        """The same batch on ``device``."""
        return GraphBatch(
            self.kinds.to(device),
            self.kind.to(device),
            self.edges.to(device),
            self.graph.to(device),
            self.ptr.to(device),
            self.gflops.to(device),
            self.statistics.to(device),
        )


class GraphStore:
    """A growing, compact collection of graphs in the paper's view.

    Holds about 4 bytes a node and 8 an edge, so that 423,624 NAS-Bench-101 graphs take
    about 1 GB; batches of any graphs are cut from it without touching Python objects.
    """

    def __init__(self) -> None:
        self._kinds: dict[PaperOp, int] = {}
        self._kind: list[Any] = []
        self._edges: list[Any] = []
        self._gflops: list[float] = []
        self._statistics: list[FloatArray] = []
        self._table: Kinds | None = None

    @classmethod
    def of(cls, graphs: Iterable[ComputeGraph]) -> "GraphStore":
        """Collect graphs; they are read one by one and not kept."""
        store = cls()
        for graph in graphs:
            store.add(graph)
        return store

    def add(self, graph: ComputeGraph) -> PaperGraph:
        """Append one graph: features of its :func:`~.effective.effective` part, FLOPs of all.

        Returns:
            That part in the paper's view.
        """
        part = effective(graph)
        view = part.paper_view()
        number = self._kinds
        # Operations are interned: few are distinct objects, and only those need hashing.
        rows = {
            key: number.setdefault(op, len(number))
            for key, op in {id(op): op for op in view.ops}.items()
        }
        self._kind.append(np.array([rows[id(op)] for op in view.ops], dtype=np.int32))
        self._edges.append(view.edges.astype(np.int32))
        self._gflops.append(graph.flops / 1e9)
        self._statistics.append(statistics(part))
        return view

    def __len__(self) -> int:
        return len(self._gflops)

    @property
    def gflops(self) -> Float[Tensor, "graphs"]:
        """FLOPs of each graph in units of 1e9."""
        return torch.tensor(self._gflops, dtype=torch.float32)

    @property
    def statistics(self) -> Float[Tensor, "graphs statistics"]:
        """Statistics of each graph, float32."""
        return torch.tensor(np.array(self._statistics), dtype=torch.float32)

    @property
    def nodes(self) -> IntArray:
        """Number of nodes of each graph."""
        return np.array([len(kind) for kind in self._kind], dtype=np.int64)

    def distinct_ops(self) -> tuple[PaperOp, ...]:
        """Every different operation of the graphs in this store."""
        table = tuple(self._kinds)
        return tuple(table[row] for row in np.unique(np.concatenate(self._kind)))

    def unseen(self, labels: Collection[str]) -> Float[Tensor, "graphs"]:
        """Share of each graph's operations whose label is not among ``labels``."""
        unknown = np.array([op.name not in labels for op in self._kinds], dtype=bool)
        shares = [float(unknown[kind].mean()) for kind in self._kind]
        return torch.tensor(shares, dtype=torch.float32)

    def edges(self, index: int) -> IntArray:
        """Edges of one graph, ``(2, edges)``."""
        edges: IntArray = self._edges[index].astype(np.int64)
        return edges

    def take(self, indices: Iterable[int]) -> "GraphStore":
        """A store of the chosen graphs, in the given order; arrays are shared, not copied."""
        chosen = list(indices)
        taken = GraphStore()
        taken._kinds = self._kinds
        taken._kind = [self._kind[i] for i in chosen]
        taken._edges = [self._edges[i] for i in chosen]
        taken._gflops = [self._gflops[i] for i in chosen]
        taken._statistics = [self._statistics[i] for i in chosen]
        return taken

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """All graphs in their order, ``size`` a batch."""
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(start + size, len(self))))

    def batch(self, indices: Iterable[int]) -> GraphBatch:
        """The chosen graphs as one batch, in the given order."""
        chosen = list(indices)
        if not chosen:
            raise InvalidInputError("an empty batch: give at least one graph")
        if self._table is None or len(self._table) != len(self._kinds):
            self._table = Kinds.of(tuple(self._kinds))
        kinds = [self._kind[i] for i in chosen]
        sizes = np.array([len(kind) for kind in kinds], dtype=np.int64)
        ptr = np.concatenate([[0], np.cumsum(sizes)])
        edge_counts = [self._edges[i].shape[1] for i in chosen]
        edges = np.concatenate([self._edges[i] for i in chosen], axis=1).astype(np.int64)
        edges += np.repeat(ptr[:-1], edge_counts)
        rows, kind = np.unique(np.concatenate(kinds), return_inverse=True)
        gflops = [self._gflops[i] for i in chosen]
        return GraphBatch(
            kinds=self._table.take(torch.from_numpy(rows.astype(np.int64))),
            kind=torch.from_numpy(kind.astype(np.int64)),
            edges=torch.from_numpy(edges),
            graph=torch.from_numpy(np.repeat(np.arange(len(chosen)), sizes)),
            ptr=torch.from_numpy(ptr),
            gflops=torch.tensor(gflops, dtype=torch.float32),
            statistics=torch.tensor(
                np.array([self._statistics[i] for i in chosen]), dtype=torch.float32
            ),
        )
