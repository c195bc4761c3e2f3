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
        untrained: Embeddings of the model's untrained networks, where it has such.
    """

    members: dict[str, Float[Tensor, "graphs"]]
    distance: Float[Tensor, "graphs"]
    embedding: Float[Tensor, "graphs features"]
    statistics: Float[Tensor, "graphs statistics"]
    untrained: tuple[Float[Tensor, "graphs _"], ...] = ()

    @classmethod
    def joined(cls, parts: Sequence["Outputs"]) -> "Outputs":
        """Outputs of several batches, at least one, as one."""
        return cls(
            {name: torch.cat([p.members[name] for p in parts]) for name in parts[0].members},
            torch.cat([part.distance for part in parts]),
            torch.cat([part.embedding for part in parts]),
            torch.cat([part.statistics for part in parts]),
            tuple(torch.cat(pieces) for pieces in zip(*(p.untrained for p in parts), strict=True)),
        )

    def take(self, rows: Sequence[int]) -> "Outputs":
        """The chosen graphs, in the given order."""
        index = torch.as_tensor(rows, dtype=torch.long)
        return Outputs(
            {name: values[index] for name, values in self.members.items()},
            self.distance[index],
            self.embedding[index],
            self.statistics[index],
            tuple(embedding[index] for embedding in self.untrained),
        )
