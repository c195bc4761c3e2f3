"""The trained whole: one encoder, and members that each predict an accuracy.

A member reads a batch's embeddings (or its graphs) and answers in accuracy; the model
combines members. Everything learned is a parameter or a buffer here, everything else is
in a plain description (:meth:`GennapeModel.describe`), so that a model is saved without
pickles.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphStore
from .encoder import CLEncoder, EncoderConfig
from .errors import InvalidInputError
from .members import FlopsMember, HeadMember, Member, member_of
from .space import EmbeddingSpace


@dataclass(frozen=True)
class Outputs:
    """What a model says of some graphs.

    Attributes:
        members: Each member's own output: accuracies as fractions; ``log10(F + 1)`` for
            ``flops``.
        distance: Distance from the training graphs, :meth:`.EmbeddingSpace.distance`.
        embedding: Standardised embeddings with FLOPs, what heads read.
        statistics: :func:`~.statistics.statistics` of each graph.
    """

    members: dict[str, Float[Tensor, "graphs"]]
    distance: Float[Tensor, "graphs"]
    embedding: Float[Tensor, "graphs features"]
    statistics: Float[Tensor, "graphs statistics"]


class GennapeModel(nn.Module):
    """Encoder, embedding space and members.

    Attributes:
        ensemble: Names of the members that make the score, with equal weights.
    """

    def __init__(
        self, encoder: CLEncoder, members: Mapping[str, Member], ensemble: tuple[str, ...]
    ) -> None:
        """Put a model together.

        Args:
            encoder: The graph encoder.
            members: Members by name.
            ensemble: Those that make the score.
        """
        super().__init__()
        if FlopsMember.kind not in members:
            raise InvalidInputError("a model needs the member 'flops': graphs far out rank by it")
        missing = [name for name in ensemble if name not in members]
        if not ensemble or missing:
            raise InvalidInputError(
                f"the ensemble {ensemble} must name some of the members {tuple(members)}"
            )
        if all(isinstance(members[name], FlopsMember) for name in ensemble):
            raise InvalidInputError(
                f"the ensemble {ensemble} holds no trained member: name one that predicts accuracy"
            )
        for name, member in members.items():
            if isinstance(member, FlopsMember) != (name == "flops"):
                raise InvalidInputError(
                    f"the member {name!r} is of kind {member.kind!r}: the untrained FLOPs, and "
                    "only they, are called 'flops'"
                )
            if isinstance(member, HeadMember) and member.features != encoder.size + 1:
                raise InvalidInputError(
                    f"the member {name!r} reads {member.features} features, the encoder gives "
                    f"{encoder.size} and FLOPs"
                )
        self.encoder = encoder
        self.space = EmbeddingSpace(encoder.size)
        # Module names may not hold dots, but may hold the plus signs of "cl+fcm+t".
        self.members = nn.ModuleDict(members)
        self.ensemble = ensemble

    @torch.no_grad()
    def predict(self, store: GraphStore, *, batch_size: int = 512) -> "Outputs":
        """Every member's output for every graph of a store, and the graphs' distances.

        Graphs are independent of each other: a graph's outputs do not depend on what else
        is in the store.
        """
        self.eval()
        device = self.space.mean.device
        pieces: dict[str, list[Tensor]] = {name: [] for name in self.members}
        distances, embeddings = [], []
        for start in range(0, len(store), batch_size):
            batch = store.batch(range(start, min(start + batch_size, len(store)))).to(device)
            x = self.space(self.encoder(batch), batch.gflops)
            embeddings.append(x.cpu())
            distances.append(self.space.distance(x).cpu())
            for name, member in self._members():
                pieces[name].append(member.raw(batch, x).cpu())
        members = {name: torch.cat(parts) for name, parts in pieces.items()}
        return Outputs(members, torch.cat(distances), torch.cat(embeddings), store.statistics)

    def outputs(
        self, store: GraphStore, *, batch_size: int = 512
    ) -> dict[str, Float[Tensor, "graphs"]]:
        """The members' part of :meth:`predict`."""
        return self.predict(store, batch_size=batch_size).members

    def standardised(
        self, outputs: Mapping[str, Float[Tensor, "graphs"]]
    ) -> dict[str, Float[Tensor, "graphs"]]:
        """Outputs in standard deviations above the member's mean over the training cells."""
        return {
            name: (outputs[name] - member.reference[0].cpu()) / member.reference[1].cpu()
            for name, member in self._members()
        }

    def ensemble_score(
        self,
        outputs: Mapping[str, Float[Tensor, "graphs"]],
        names: tuple[str, ...] | None = None,
    ) -> Float[Tensor, "graphs"]:
        """Equal-weight mean of standardised outputs, the paper's zero-shot rule.

        Args:
            outputs: Members' own outputs.
            names: Members to combine; :attr:`ensemble` where left out.
        """
        standardised = self.standardised(outputs)
        chosen = self.ensemble if names is None else names
        return torch.stack([standardised[name] for name in chosen]).mean(dim=0)

    def score(self, outputs: "Outputs") -> Float[Tensor, "graphs"]:
        """The default score (higher is better): the ensemble's, or FLOPs far from training.

        Graphs beyond distance 1 are ranked by their standardised FLOPs alone, since out
        there the trained members' order changes from seed to seed and FLOPs' does not
        (docs/results.md). A graph's score depends on that graph alone.
        """
        flops = self.standardised(outputs.members)[FlopsMember.kind]
        return torch.where(outputs.distance > 1, flops, self.ensemble_score(outputs.members))

    @torch.no_grad()
    def set_references(self, store: GraphStore) -> None:
        """Measure every member's mean and deviation on training graphs."""
        for name, values in self.outputs(store).items():
            deviation = values.std(correction=0).clamp(min=1e-6)
            member = self.members[name]
            assert isinstance(member, Member)
            member.reference.copy_(torch.stack([values.mean(), deviation]))

    def _members(self) -> Iterator[tuple[str, Member]]:
        for name, member in self.members.items():
            assert isinstance(member, Member)
            yield name, member

    def describe(self) -> dict[str, Any]:
        """Plain JSON values from which :func:`model_of` makes the same architecture."""
        return {
            "encoder": self.encoder.config.to_dict(),
            "members": {name: member.describe() for name, member in self._members()},
            "ensemble": list(self.ensemble),
        }


def model_of(description: Mapping[str, Any]) -> GennapeModel:
    """A model with the described architecture and untrained weights.

    Raises:
        InvalidInputError: if the description is not one that :meth:`GennapeModel.describe` wrote.
    """
    try:
        encoder = CLEncoder(EncoderConfig(**description["encoder"]))
        members = {str(name): member_of(d) for name, d in description["members"].items()}
        ensemble = tuple(str(name) for name in description["ensemble"])
        return GennapeModel(encoder, members, ensemble)
    except InvalidInputError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise InvalidInputError(f"not the description of a model ({error!r:.200})") from None
