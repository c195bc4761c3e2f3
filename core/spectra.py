"""Spectral signatures of computation graphs and the distance between them.

The signature of a graph is the vector of the ``k`` smallest eigenvalues of the normalised
Laplacian of its undirected, simple form; two graphs are as far apart as the Euclidean
distance of their signatures (GENNAPE, Eq. 1, after Dwivedi and Bresson's use of the
spectrum). Signatures depend on the graph alone: compute them once, keep them.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .batch import GraphStore
from .errors import InvalidInputError

#: Graphs with more nodes use a sparse solver (dense costs grow with the cube).
DENSE_NODES: Final = 1024
#: Eigenvalues of the normalised Laplacian never exceed this; it pads small graphs.
LARGEST_EIGENVALUE: Final = 2.0


def normalised_laplacian(nodes: int, edges: Int[np.ndarray, "2 edges"]) -> scipy.sparse.csr_array:
    """``I - D^-1/2 A D^-1/2`` of the undirected simple graph; isolated nodes give 0.

    Args:
        nodes: Number of nodes.
        edges: ``(2, edges)`` node pairs; direction and multiplicity are ignored.
    """
    source, target = edges
    adjacency = scipy.sparse.coo_array(
        (np.ones(len(source)), (source, target)), shape=(nodes, nodes)
    ).tocsr()
    adjacency = ((adjacency + adjacency.T) > 0).astype(np.float64)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    scale = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0.0)
    normalised = adjacency.multiply(scale[:, None]).multiply(scale[None, :])
    present = scipy.sparse.diags_array((degree > 0).astype(np.float64))
    return (present - normalised).tocsr()


def spectrum(
    nodes: int, edges: Int[np.ndarray, "2 edges"], k: int
) -> Float[np.ndarray, "eigenvalues"]:
    """The ``k`` smallest eigenvalues, ascending; padded with 2 where there are fewer nodes."""
    if k < 1:
        raise InvalidInputError(f"{k} eigenvalues asked for: ask for at least 1")
    laplacian = normalised_laplacian(nodes, edges)
    wanted = min(k, nodes)
    if nodes <= DENSE_NODES:
        values = _smallest(laplacian, wanted)
    else:
        # Each component has its own eigenvalue 0; an iterative solver that sees them all at
        # once can miss some of its copies.
        count, component = scipy.sparse.csgraph.connected_components(laplacian, directed=False)
        order = np.argsort(component, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(component, minlength=count))[:-1])
        values = np.concatenate([_smallest(laplacian[part][:, part], wanted) for part in parts])
    values = np.sort(np.clip(values, 0.0, LARGEST_EIGENVALUE))[:wanted]
    return np.pad(values, (0, k - wanted), constant_values=LARGEST_EIGENVALUE)


def _smallest(laplacian: scipy.sparse.csr_array, k: int) -> Float[np.ndarray, "eigenvalues"]:
    """The ``k`` smallest eigenvalues, or all where there are fewer, in any order."""
    nodes = laplacian.shape[0]
    k = min(k, nodes)
    values: Float[np.ndarray, "eigenvalues"]
    if nodes <= DENSE_NODES or k >= nodes - 1:
        values = scipy.linalg.eigh(
            laplacian.toarray(),
            eigvals_only=True,
            subset_by_index=(0, k - 1),
            overwrite_a=True,
            check_finite=False,
            driver="evr",
        )
    else:
        # Shift-invert just below 0, where the wanted end of the spectrum lies. A fixed start
        # vector keeps the answer the same from run to run; a random one has a share of every
        # eigenvector, which one of equal entries need not have.
        values = scipy.sparse.linalg.eigsh(
            laplacian.tocsc(),
            k=k,
            sigma=-1e-2,
            v0=np.random.default_rng(0).standard_normal(nodes),
            return_eigenvectors=False,
        )
    return values


def spectra(
    store: GraphStore, k: int, indices: Sequence[int] | None = None
) -> Float[Tensor, "graphs k"]:
    """Signatures of the graphs of a store (all, or the chosen ones), float32."""
    nodes = store.nodes
    chosen = range(len(store)) if indices is None else indices
    out = np.empty((len(chosen), k), dtype=np.float32)
    for row, index in enumerate(chosen):
        out[row] = spectrum(int(nodes[index]), store.edges(index), k)
    return torch.from_numpy(out)
