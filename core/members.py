"""Members: predictors that each answer for every graph of a batch."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphBatch, GraphStore
from .errors import InvalidInputError
from .graph_regressor import GraphRegressor
from .heads import HeadEnsemble
from .pairwise import PairwiseHeads
from .segment_network import SegmentNetwork
from .space import EmbeddingSpace, Partition
from .transform import TargetTransform, target_transform_from_dict

#: Principal components of a segment embedding that tell familiar graphs from others.
_SEGMENT_COMPONENTS: Final = 128
#: Share of the training graphs that it calls familiar. Other families lie far enough out for it
#: to spare simple cells, which the training cells have few of (benchmarks/study_ood.py).
_FAMILIAR: Final = 0.999


class Member(nn.Module):
    """One predictor of accuracy, or of an order. Subclasses answer in :meth:`raw`.

    Attributes:
        predicts_accuracy: Whether :meth:`raw` is an accuracy (a fraction); otherwise it only
            orders graphs, has no error in points and joins no mean of accuracies.
        reference: Mean and standard deviation of its predictions over the training cells;
            what makes the outputs of different members comparable.
    """

    kind: str
    predicts_accuracy: ClassVar[bool] = True
    reference: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("reference", torch.tensor([0.0, 1.0]))

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """The member's own output for each graph."""
        raise NotImplementedError

    def raw_and_distance(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> tuple[Float[Tensor, "graphs"], Float[Tensor, "graphs"] | None]:
        """:meth:`raw`, and how far each graph lies from what the member has learned from.

        Returns:
            Outputs, and distances in the unit of :meth:`.EmbeddingSpace.distance` (up to 1 a
            graph is like the training graphs); ``None`` from a member that cannot tell.
        """
        return self.raw(batch, x), None

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


class PairwiseMember(Member):
    """A pairwise classifier (CL+Pairwise, CL+FCM+Pairwise) as a score of single graphs."""

    kind = "pairwise"
    predicts_accuracy = False

    def __init__(self, heads: PairwiseHeads, partition: Partition | None) -> None:
        super().__init__()
        self.heads, self.partition = heads, partition

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """Bradley-Terry scores, no accuracies: differences are logits of being the better one."""
        scores: Tensor = self.heads(x, None if self.partition is None else self.partition(x))
        return scores

    @property
    def features(self) -> int:
        """Length of the embedding that it reads, FLOPs included."""
        return int(self.heads.heads.weights[0].shape[1])

    def describe(self) -> dict[str, Any]:
        """Sizes and clusters."""
        weights = self.heads.heads.weights
        return {
            "kind": self.kind,
            "features": self.features,
            "hidden": weights[0].shape[2],
            "layers": len(weights) - 1,
            "vector": self.heads.vector,
            "partition": None if self.partition is None else self.partition.describe(),
        }


class GraphMember(Member):
    """A graph network of its own, trained end to end (k-GNN)."""

    kind = "graph"

    def __init__(
        self, network: GraphRegressor | SegmentNetwork, transform: TargetTransform
    ) -> None:
        super().__init__()
        self.network, self.transform = network, transform

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """Accuracy, a fraction."""
        return self.transform.inverse(self.network(batch), batch.gflops)

    def describe(self) -> dict[str, Any]:
        """The network's sizes and the target transform."""
        network = self.network.describe()
        return {"kind": self.kind, **network, "transform": dict(self.transform.to_dict())}


class SegmentMember(GraphMember):
    """A graph network over segments; it also tells unfamiliar graphs (docs/results.md)."""

    kind = "segments"
    network: SegmentNetwork

    def __init__(self, network: SegmentNetwork, transform: TargetTransform) -> None:
        super().__init__(network, transform)
        self.space = EmbeddingSpace(network.size, _SEGMENT_COMPONENTS)

    @torch.no_grad()
    def fit_space(self, store: GraphStore, *, batch_size: int = 256) -> None:
        """Learn what familiar graphs look like from the training graphs."""
        pieces = [self.network.embed(batch) for batch in store.batches(batch_size)]
        self.space.fit(torch.cat(pieces), store.gflops, within=_FAMILIAR)

    def raw_and_distance(  # noqa: D102 (see base)
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> tuple[Float[Tensor, "graphs"], Float[Tensor, "graphs"] | None]:
        embedding = self.network.embed(batch)
        out = self.transform.inverse(self.network.predict(batch, embedding), batch.gflops)
        return out, self.space.distance(self.space(embedding, batch.gflops))


class FlopsMember(Member):
    """FLOPs themselves, untrained: the paper's sixth member."""

    kind = "flops"
    predicts_accuracy = False

    def raw(
        self, batch: GraphBatch, x: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """``log10(F + 1)``, F in GFLOPs; not an accuracy."""
        return torch.log10(batch.gflops + 1)


#: Kinds that :func:`member_of` makes.
MEMBER_KINDS: Final = tuple(
    member.kind for member in (HeadMember, PairwiseMember, GraphMember, SegmentMember, FlopsMember)
)


def member_of(description: Mapping[str, Any]) -> Member:
    """A member with the described architecture and untrained weights.

    Raises:
        InvalidInputError: if the description names an unknown kind or lacks a value.
    """
    try:
        match description["kind"]:
            case "heads":
                partition = _partition_of(description)
                return HeadMember(
                    HeadEnsemble(
                        int(description["features"]),
                        heads=1 if partition is None else len(partition.centroids),
                        hidden=int(description["hidden"]),
                        layers=int(description["layers"]),
                    ),
                    target_transform_from_dict(description["transform"]),
                    partition,
                )
            case "pairwise":
                partition = _partition_of(description)
                return PairwiseMember(
                    PairwiseHeads(
                        int(description["features"]),
                        heads=1 if partition is None else len(partition.centroids),
                        hidden=int(description["hidden"]),
                        layers=int(description["layers"]),
                        vector=int(description["vector"]),
                    ),
                    partition,
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
            case "segments":
                return SegmentMember(
                    SegmentNetwork(
                        int(description["width"]),
                        int(description["layers"]),
                        dropout=float(description["dropout"]),
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


def _partition_of(description: Mapping[str, Any]) -> Partition | None:
    """A described member's clusters, where it has some."""
    partition = description["partition"]
    if partition is None:
        return None
    return Partition(
        int(description["features"]), int(partition["clusters"]), float(partition["fuzzifier"])
    )


def check_members(members: Mapping[str, Member], ensemble: tuple[str, ...], features: int) -> None:
    """Refuse members that make no model together.

    Args:
        members: The members by name.
        ensemble: Those that are to make the score.
        features: Length of the embeddings that they read, FLOPs included.

    Raises:
        InvalidInputError: saying what is wrong with them.
    """
    if FlopsMember.kind not in members:
        raise InvalidInputError("a model needs the member 'flops': graphs far out rank by it")
    missing = [name for name in ensemble if name not in members]
    if not ensemble or missing:
        raise InvalidInputError(
            f"the ensemble {ensemble} must name some of the members {tuple(members)}"
        )
    if not any(members[name].predicts_accuracy for name in ensemble):
        raise InvalidInputError(
            f"the ensemble {ensemble} holds no member that predicts an accuracy: name one"
        )
    for name, member in members.items():
        if isinstance(member, FlopsMember) != (name == "flops"):
            raise InvalidInputError(
                f"the member {name!r} is of kind {member.kind!r}: the untrained FLOPs, and "
                "only they, are called 'flops'"
            )
        reads_embedding = isinstance(member, HeadMember | PairwiseMember)
        if reads_embedding and member.features != features:
            raise InvalidInputError(
                f"the member {name!r} reads {member.features} features, the encoder gives "
                f"{features - 1} and FLOPs"
            )
