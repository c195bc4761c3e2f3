"""The trained whole: one encoder, and members that each predict an accuracy.

A member reads a batch's embeddings (or its graphs) and answers in accuracy; the model
combines members. Everything learned is a parameter or a buffer here, everything else is
in a plain description (:meth:`GennapeModel.describe`), so that a model is saved without
pickles.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphStore
from .encoder import CLEncoder
from .errors import InvalidInputError
from .few_shot import FewShot
from .members import Member, check_members
from .model_outputs import Outputs
from .ranker import Ranker
from .space import EmbeddingSpace
from .untrained import UntrainedNetworks

#: What a single-architecture score can be made of: see :meth:`GennapeModel.score_on`.
Basis = Literal["labels", "members", "size"]
#: Share of a population within distance 1 from which the trained members rank it.
_LIKE_TRAINING: Final = 0.9


class GennapeModel(nn.Module):
    """Encoder, embedding space and members.

    Attributes:
        ensemble: Names of the members that make the score, with equal weights.
        paper_weights: Weights of the paper's fine-tuned ensemble, in the order of
            ``paper_members``; ``None`` before fine-tuning. See :meth:`set_paper_weights`.
        paper_members: Names of the members that they weigh.
        ranker: The default zero-shot rankings, by statistics.
        untrained: Networks of random weights that the regressions also read; ``None`` before
            fine-tuning, which :meth:`add_untrained` prepares.
        few_shot: Regressions fitted to labels of a family; ``None`` before fine-tuning.
    """

    paper_weights: Tensor | None

    def __init__(
        self,
        encoder: CLEncoder,
        members: Mapping[str, Member],
        ensemble: tuple[str, ...],
        ranker: Ranker | None = None,
    ) -> None:
        """Put a model together.

        Args:
            encoder: The graph encoder.
            members: Members by name.
            ensemble: Those that make the score.
            ranker: The rankings by statistics; without trees where left out.
        """
        super().__init__()
        check_members(members, ensemble, encoder.size + 1)
        self.encoder = encoder
        self.space = EmbeddingSpace(encoder.size)
        # Module names may not hold dots, but may hold the plus signs of "cl+fcm+t".
        self.members = nn.ModuleDict(members)
        self.ensemble = ensemble
        self.register_buffer("paper_weights", None)
        self.paper_members: tuple[str, ...] = ()
        self.ranker = Ranker() if ranker is None else ranker
        self.untrained: UntrainedNetworks | None = None
        self.few_shot: FewShot | None = None

    def add_untrained(self) -> None:
        """Take in the untrained networks, whose embeddings fine-tuning reads."""
        if self.untrained is None:
            made = UntrainedNetworks(self.encoder.config).eval()
            self.untrained = made.to(self.space.mean.device)

    def add_member(
        self, name: str, member: Member, reference: GraphStore, *, in_score: bool
    ) -> None:
        """Take in one more member.

        Args:
            name: Its name, a new one.
            member: The member; it becomes part of this model.
            reference: Graphs over which its mean and deviation are measured.
            in_score: Whether it joins the members that make the score.

        Raises:
            InvalidInputError: for a name that is taken or cannot be one, a member that does
                not fit, or one that says the same of every graph of ``reference``.
        """
        if not name or "." in name or name in self.members:
            raise InvalidInputError(
                f"a member cannot be called {name!r}: give a name without dots that is not among "
                f"{', '.join(self.members)}"
            )
        ensemble = (*self.ensemble, name) if in_score else self.ensemble
        check_members({**dict(self._members()), name: member}, ensemble, self.encoder.size + 1)
        self.members[name] = member.to(self.space.mean.device)
        try:
            values = self.outputs(reference)[name]
            spread = float(values.std(correction=0)) if values.shape == (len(reference),) else 0.0
            if not 0 < spread < torch.inf:
                raise InvalidInputError(
                    f"the member {name!r} does not give one finite number a graph that differs "
                    f"between graphs (shape {tuple(values.shape)}, deviation {spread:g})"
                )
        except BaseException:
            del self.members[name]
            raise
        member.reference.copy_(torch.stack([values.mean(), values.std(correction=0)]))
        self.ensemble = ensemble

    @torch.no_grad()
    def predict(self, store: GraphStore, *, batch_size: int = 512) -> "Outputs":
        """Every member's output for every graph of a store, and the graphs' distances.

        Graphs are independent of each other: a graph's outputs do not depend on what else
        is in the store.
        """
        self.eval()
        device = self.space.mean.device
        pieces = []
        for batch in store.batches(batch_size):
            batch = batch.to(device)
            x = self.space(self.encoder(batch), batch.gflops)
            distance, members = self.space.distance(x), {}
            for name, member in self._members():
                output, own = member.raw_and_distance(batch, x)
                members[name] = output.cpu()
                # Unfamiliar to one is unfamiliar.
                distance = distance if own is None else torch.maximum(distance, own)
            untrained = () if self.untrained is None else self.untrained(batch)
            pieces.append(
                Outputs(
                    members,
                    distance.cpu(),
                    x.cpu(),
                    batch.statistics.cpu(),
                    tuple(embedding.cpu() for embedding in untrained),
                )
            )
        return Outputs.joined(pieces)

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
        self, outputs: Mapping[str, Float[Tensor, "graphs"]]
    ) -> Float[Tensor, "graphs"]:
        """Equal-weight mean of the ensemble's standardised outputs."""
        standardised = self.standardised(outputs)
        return torch.stack([standardised[name] for name in self.ensemble]).mean(dim=0)

    @property
    def labelled(self) -> bool:
        """Whether scores are accuracies learned from a family's labels."""
        return self.few_shot is not None and bool(self.few_shot.blend)

    def basis(self, distance: float) -> Basis:
        """What the single-architecture score of a graph at some distance is made of."""
        return "labels" if self.labelled else "members" if distance <= 1 else "size"

    def score_on(self, basis: Basis, outputs: "Outputs") -> Float[Tensor, "graphs"]:
        """One kind of single-architecture score, whatever kind each graph would get."""
        if basis == "labels":
            return self.accuracy(outputs)[0]
        if basis == "members":
            return self.ensemble_score(outputs.members)
        return self.ranker.size(outputs.statistics)

    def score(self, outputs: "Outputs") -> Float[Tensor, "graphs"]:
        """The single-architecture score (higher is better); it depends on that graph alone.

        After fine-tuning it is the predicted accuracy. Before, it is the ensemble's, or,
        beyond distance 1, the size prior: out there the trained members' order changes from
        seed to seed and that of sizes does not (docs/results.md).
        """
        if self.labelled:
            return self.score_on("labels", outputs)
        size = self.score_on("size", outputs).float()
        return torch.where(outputs.distance > 1, size, self.score_on("members", outputs))

    def population_score(self, outputs: "Outputs") -> Float[Tensor, "graphs"]:
        """Scores of graphs that are ranked against each other, float64.

        Fine-tuned models give the single-architecture scores. A population like the training
        graphs (nine in ten within distance 1) is ranked by the ensemble, all others by the
        ranker, which uses the whole unlabelled population.
        """
        if self.labelled:
            return self.score(outputs).double()
        near = float((outputs.distance <= 1).double().mean()) if len(outputs.distance) else 0.0
        if near >= _LIKE_TRAINING:
            return self.ensemble_score(outputs.members).double()
        scores: Tensor = self.ranker(outputs.statistics)
        return scores

    def accuracy(
        self, outputs: "Outputs"
    ) -> tuple[Float[Tensor, "graphs"], Float[Tensor, "graphs"]]:
        """Predicted accuracy and its deviation, fractions.

        Before fine-tuning: the mean of the ensemble's members that predict one, and the
        deviation among all members that do, which is no error.
        """
        if self.few_shot is not None:
            size = self.ranker.size(outputs.statistics)
            return self.few_shot.predict(outputs, size)
        values = {m: v for m, v in outputs.members.items() if m not in self.orders}
        mean = torch.stack([values[m] for m in self.ensemble if m in values]).mean(dim=0)
        return mean, torch.stack(list(values.values())).std(dim=0, correction=0)

    @torch.no_grad()
    def set_references(self, store: GraphStore) -> None:
        """Measure every member's mean and deviation on training graphs."""
        for name, values in self.outputs(store).items():
            deviation = values.std(correction=0).clamp(min=1e-6)
            member = self.members[name]
            assert isinstance(member, Member)
            member.reference.copy_(torch.stack([values.mean(), deviation]))

    def set_paper_weights(self, weights: Mapping[str, float]) -> None:
        """Keep the weights of the paper's fine-tuned ensemble (:func:`.paper_weights`).

        Args:
            weights: A weight for each member that counts.

        Raises:
            InvalidInputError: for members that the model does not have, or none.
        """
        unknown = [name for name in weights if name not in self.members]
        if unknown or not weights:
            raise InvalidInputError(
                f"weights for {tuple(weights)}: give them for some of {tuple(self.members)}"
            )
        self.paper_members = tuple(weights)
        self.paper_weights = torch.tensor(list(weights.values()), device=self.space.mean.device)

    @property
    def orders(self) -> tuple[str, ...]:
        """Names of the members whose outputs are no accuracies (``predicts_accuracy``)."""
        return tuple(name for name, member in self._members() if not member.predicts_accuracy)

    @property
    def fine_tuned_weights(self) -> dict[str, float] | None:
        """The weights that :meth:`set_paper_weights` kept, by member."""
        if self.paper_weights is None:
            return None
        return dict(zip(self.paper_members, self.paper_weights.tolist(), strict=True))

    def _members(self) -> Iterator[tuple[str, Member]]:
        for name, member in self.members.items():
            assert isinstance(member, Member)
            yield name, member

    def describe(self) -> dict[str, Any]:
        """Plain JSON values from which :func:`.model_of` makes the same architecture."""
        return {
            "encoder": self.encoder.config.to_dict(),
            "members": {name: member.describe() for name, member in self._members()},
            "ensemble": list(self.ensemble),
            "ranker": self.ranker.describe(),
            **({} if self.untrained is None else {"untrained": True}),
            "few_shot": None if self.few_shot is None else self.few_shot.describe(),
            **({"paper_members": list(self.paper_members)} if self.paper_members else {}),
        }
