"""Members: predictors that each answer for every graph of a batch."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphBatch
from .errors import InvalidInputError
from .graph_regressor import GraphRegressor
from .heads import HeadEnsemble
from .space import Partition
from .transform import TargetTransform, target_transform_from_dict


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
