"""The trained whole: one encoder, and members that each predict an accuracy.

A member reads a batch's embeddings (or its graphs) and answers in accuracy; the model
combines members. Everything learned is a parameter or a buffer here, everything else is
in a plain description (:meth:`GennapeModel.describe`), so that a model is saved without
pickles.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphBatch, GraphStore
from .encoder import CLEncoder, EncoderConfig
from .errors import InvalidInputError
from .fcm import FuzzyCMeans, memberships
from .graph_regressor import GraphRegressor
from .heads import HeadEnsemble
from .transform import TargetTransform, target_transform_from_dict

#: Principal components that memberships are computed on (paper: 32).
COMPONENTS: Final = 32


class EmbeddingSpace(nn.Module):
    """Embeddings with FLOPs, as heads and clusters see them: each feature standardised.

    Whether the paper standardises embeddings is not stated; without it heads train far
    more slowly, since means over hundreds of nodes differ little between graphs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features + 1))
        self.register_buffer("std", torch.ones(features + 1))

    def fit(self, h: Float[Tensor, "graphs features"], gflops: Float[Tensor, "graphs"]) -> None:
        """Take means and deviations from training graphs."""
        joined = self._joined(h, gflops)
        self.mean.copy_(joined.mean(dim=0))
        self.std.copy_(joined.std(dim=0, correction=0).clamp(min=1e-6))

    def forward(
        self, h: Float[Tensor, "graphs features"], gflops: Float[Tensor, "graphs"]
    ) -> Float[Tensor, "graphs features_1"]:
        """Standardised embeddings, the last feature being ``log10(F + 1)``."""
        return (self._joined(h, gflops) - self.mean) / self.std

    @staticmethod
    def _joined(h: Tensor, gflops: Tensor) -> Tensor:
        return torch.cat([h, torch.log10(gflops + 1)[:, None]], dim=1)


class Partition(nn.Module):
    """Fuzzy clusters of the embedding space: principal components, then centroids."""

    components: Tensor
    centroids: Tensor

    def __init__(self, features: int, clusters: int, fuzzifier: float) -> None:
        super().__init__()
        if clusters < 1 or not 1 < fuzzifier < torch.inf:
            raise InvalidInputError(
                f"{clusters} clusters with fuzzifier {fuzzifier}: give at least 1 cluster and a "
                "finite fuzzifier above 1"
            )
        self.fuzzifier = fuzzifier
        self.register_buffer("components", torch.zeros(COMPONENTS, features))
        self.register_buffer("centroids", torch.zeros(clusters, COMPONENTS))

    @classmethod
    def fit(
        cls, x: Float[Tensor, "graphs features"], clusters: int, fuzzifier: float, *, seed: int
    ) -> "Partition":
        """Find components and clusters of standardised training embeddings.

        Raises:
            InvalidInputError: for fewer graphs than components.
        """
        if min(x.shape) < COMPONENTS:
            raise InvalidInputError(
                f"{x.shape[0]} graphs of {x.shape[1]} features: at least {COMPONENTS} of both "
                "are needed to find the principal components"
            )
        partition = cls(x.shape[1], clusters, fuzzifier)
        _, vectors = torch.linalg.eigh(x.double().T @ x.double())
        # The sign of a component is arbitrary; its largest entry is made positive.
        chosen = vectors.flip(1)[:, :COMPONENTS].T
        sign = chosen.gather(1, chosen.abs().argmax(1, keepdim=True)).sign()
        partition.components.copy_(chosen * sign)
        found = FuzzyCMeans.fit(
            x @ partition.components.T, clusters=clusters, fuzzifier=fuzzifier, seed=seed
        )
        partition.centroids.copy_(found.centroids)
        return partition

    def forward(self, x: Float[Tensor, "graphs features"]) -> Float[Tensor, "graphs clusters"]:
        """Memberships of standardised embeddings; rows sum to 1."""
        return memberships(x @ self.components.T, self.centroids, self.fuzzifier)

    def describe(self) -> dict[str, Any]:
        """What :meth:`Member.of` needs besides the tensors."""
        return {"clusters": len(self.centroids), "fuzzifier": self.fuzzifier}


class Member(nn.Module):
    """One predictor of accuracy. Subclasses answer in :meth:`raw`.

    Attributes:
        reference: Mean and standard deviation of its predictions over the training cells;
            what makes the outputs of different members comparable.
    """

    kind: str
    reference: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("reference", torch.tensor([0.0, 1.0]))

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """The member's own output for each graph."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Plain values from which :func:`member_of` makes the same member without weights."""
        return {"kind": self.kind}


class HeadMember(Member):
    """Heads on the embedding (CL, CL+T), weighed by memberships (CL+FCM, CL+FCM+T)."""

    kind = "heads"

    def __init__(
        self, heads: HeadEnsemble, transform: TargetTransform, partition: Partition | None
    ) -> None:
        super().__init__()
        self.heads, self.transform, self.partition = heads, transform, partition

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """Accuracy, a fraction."""
        weights = None if self.partition is None else self.partition(x)
        return self.transform.inverse(self.heads(x, weights), batch.gflops)

    @property
    def features(self) -> int:
        """Length of the embedding that it reads, FLOPs included."""
        return int(self.heads.weights[0].shape[1])

    def describe(self) -> dict[str, Any]:
        """Sizes, target transform and clusters."""
        first = self.heads.weights[0]
        return {
            "kind": self.kind,
            "features": self.features,
            "hidden": first.shape[2],
            "layers": len(self.heads.weights) - 1,
            "transform": dict(self.transform.to_dict()),
            "partition": None if self.partition is None else self.partition.describe(),
        }


class GraphMember(Member):
    """A graph network of its own (k-GNN)."""

    kind = "graph"

    def __init__(self, network: GraphRegressor, transform: TargetTransform) -> None:
        super().__init__()
        self.network, self.transform = network, transform

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """Accuracy, a fraction."""
        return self.transform.inverse(self.network(batch), batch.gflops)

    def describe(self) -> dict[str, Any]:
        """Sizes, convolution and target transform."""
        layers = self.network.graph_layers
        return {
            "kind": self.kind,
            "width": self.network.embedding.resolution.out_features * 4,
            "layers": len(layers.layers),
            "convolution": layers.convolution,
            "transform": dict(self.transform.to_dict()),
        }


class FlopsMember(Member):
    """FLOPs themselves, untrained: the paper's sixth member."""

    kind = "flops"

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """``log10(F + 1)``, F in GFLOPs; not an accuracy."""
        return torch.log10(batch.gflops + 1)


def member_of(description: Mapping[str, Any]) -> Member:
    """A member with the described architecture and untrained weights.

    Raises:
        InvalidInputError: if the description names an unknown kind or lacks a value.
    """
    try:
        match description["kind"]:
            case "heads":
                partition, features = description["partition"], int(description["features"])
                return HeadMember(
                    HeadEnsemble(
                        features,
                        heads=1 if partition is None else int(partition["clusters"]),
                        hidden=int(description["hidden"]),
                        layers=int(description["layers"]),
                    ),
                    target_transform_from_dict(description["transform"]),
                    None
                    if partition is None
                    else Partition(
                        features, int(partition["clusters"]), float(partition["fuzzifier"])
                    ),
                )
            case "graph":
                return GraphMember(
                    GraphRegressor(
                        int(description["width"]),
                        int(description["layers"]),
                        convolution=str(description["convolution"]),
                    ),
                    target_transform_from_dict(description["transform"]),
                )
            case "flops":
                return FlopsMember()
            case kind:
                raise InvalidInputError(f"unknown kind of member {kind!r}")
    except InvalidInputError:
        raise
    except (LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidInputError(f"not the description of a member ({error!r:.200})") from None


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
    def outputs(
        self, store: GraphStore, *, batch_size: int = 512
    ) -> dict[str, Float[Tensor, "graphs"]]:
        """Every member's own output for every graph of a store, on the CPU.

        Graphs are independent of each other: a graph's outputs do not depend on what else
        is in the store.
        """
        self.eval()
        device = self.space.mean.device
        pieces: dict[str, list[Tensor]] = {name: [] for name in self.members}
        for start in range(0, len(store), batch_size):
            batch = store.batch(range(start, min(start + batch_size, len(store)))).to(device)
            x = self.space(self.encoder(batch), batch.gflops)
            for name, member in self._members():
                pieces[name].append(member.raw(batch, x).cpu())
        return {name: torch.cat(parts) for name, parts in pieces.items()}

    def standardised(
        self, outputs: Mapping[str, Float[Tensor, "graphs"]]
    ) -> dict[str, Float[Tensor, "graphs"]]:
        """Outputs in standard deviations above the member's mean over the training cells."""
        return {
            name: (outputs[name] - member.reference[0].cpu()) / member.reference[1].cpu()
            for name, member in self._members()
        }

    def score(self, outputs: Mapping[str, Float[Tensor, "graphs"]]) -> Float[Tensor, "graphs"]:
        """Equal-weight mean of the ensemble's standardised outputs (higher is better)."""
        standardised = self.standardised(outputs)
        return torch.stack([standardised[name] for name in self.ensemble]).mean(dim=0)

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
