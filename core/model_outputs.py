"""What a model says of some graphs, before anything is combined."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """Everything a score can be made of; rows are graphs.

    Attributes:
        members: Each member's own output: accuracies as fractions, but for the members
            that only order graphs (``log10(F + 1)`` of ``flops``, pairwise scores).
        distance: Distance from the training graphs, :meth:`.EmbeddingSpace.distance`: the
            largest of the encoder's and the members' own.
        embedding: Standardised embeddings with FLOPs, what heads read.
        statistics: :func:`~.statistics.statistics` of each graph.
    """

    members: dict[str, Float[Tensor, "graphs"]]
    distance: Float[Tensor, "graphs"]
    embedding: Float[Tensor, "graphs features"]
    statistics: Float[Tensor, "graphs statistics"]

    def take(self, rows: Sequence[int]) -> "Outputs":
        """The chosen graphs, in the given order."""
        index = torch.as_tensor(rows, dtype=torch.long)
        return Outputs(
            {name: values[index] for name, values in self.members.items()},
            self.distance[index],
            self.embedding[index],
            self.statistics[index],
        )
