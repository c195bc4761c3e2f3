"""Target transforms: what a regression head learns instead of the raw accuracy.

``FlopsTransform`` is Eq. 5 of GENNAPE (AAAI-23), the "+T" of its members; ``Standardize`` is
the plain choice of the members without it. Both take accuracy *and* FLOPs, so heads treat
them alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar, TypedDict, TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import InvalidInputError

_Transform = TypeVar("_Transform", bound="TargetTransform")


class TargetTransformDict(TypedDict):
    """JSON form of a target transform."""

    kind: str
    mean: float
    std: float


@dataclass(frozen=True)
class TargetTransform(ABC):
    """``y = (A / g(F) - mean) / std`` for a positive ``g`` of the FLOPs; subclasses name ``g``.

    Args:
        mean: Mean of ``A / g(F)`` over the training split.
        std: Its population standard deviation (divided by n), above 0.

    Raises:
        InvalidInputError: If the mean is not finite, or the deviation not finite and above 0.
    """

    mean: float
    std: float

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if not (isfinite(self.mean) and isfinite(self.std) and self.std > 0):
            raise InvalidInputError(
                f"mean is {self.mean} and std is {self.std}; both must be finite and std above "
                "0. Fit on at least two architectures with different accuracies."
            )

    @staticmethod
    @abstractmethod
    def divisor(gflops: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """``g(F)``, positive and without a unit."""

    @classmethod
    def fit(
        cls: type[_Transform], accuracy: Float[Tensor, "*shape"], gflops: Float[Tensor, "*shape"]
    ) -> _Transform:
        """Take mean and deviation from a training split.

        Args:
            accuracy: Accuracies, as fractions in [0, 1].
            gflops: FLOPs of the same architectures in units of 1e9, 2 x multiply-adds.

        Raises:
            InvalidInputError: On NaN or infinity, negative FLOPs, different shapes, or values
                that do not vary.
        """
        _check("accuracy", accuracy, gflops)
        scaled = accuracy.double() / cls.divisor(gflops.double())
        # A constant split can still show a deviation of the order of the rounding.
        if scaled.numel() == 0 or float(scaled.max() - scaled.min()) == 0.0:
            raise InvalidInputError(
                f"the {scaled.numel()} training targets do not vary; a deviation above 0 is "
                "needed. Fit on at least two architectures with different accuracies."
            )
        return cls(float(scaled.mean()), float(scaled.std(correction=0)))

    @final
    def forward(
        self, accuracy: Float[Tensor, "*shape"], gflops: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Targets ``y`` (no unit) of accuracies (fractions) at FLOPs (1e9, 2 x multiply-adds).

        Raises:
            InvalidInputError: On NaN or infinity, negative FLOPs or different shapes.
        """
        _check("accuracy", accuracy, gflops)
        return (accuracy / self.divisor(gflops) - self.mean) / self.std

    @final
    def inverse(
        self, target: Float[Tensor, "*shape"], gflops: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Accuracies (fractions, not clipped) of targets ``y`` at FLOPs (1e9, 2 x multiply-adds).

        Raises:
            InvalidInputError: On NaN or infinity, negative FLOPs or different shapes.
        """
        _check("target", target, gflops)
        return (target * self.std + self.mean) * self.divisor(gflops)

    @final
    def to_dict(self) -> TargetTransformDict:
        """Plain values, for JSON; :func:`target_transform_from_dict` reads them back."""
        return {"kind": self.kind, "mean": self.mean, "std": self.std}


@final
class FlopsTransform(TargetTransform):
    """Eq. 5: ``y = Z(A / (log10(F + 1) + 1))``, F in GFLOPs, Z the training standardisation.

    A constant ``y`` inverts to an accuracy that grows with F (as long as
    ``y * std + mean > 0``): a head that has learned nothing ranks by FLOPs. So report a
    FLOPs-only and a constant-``y`` baseline beside any result that uses it.
    """

    kind: ClassVar[str] = "flops"

    @staticmethod
    def divisor(gflops: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """``log10(F + 1) + 1``, at least 1."""
        return torch.log10(gflops + 1) + 1


@final
class Standardize(TargetTransform):
    """``y = Z(A)``: zero mean and unit deviation on the training split; FLOPs play no part."""

    kind: ClassVar[str] = "standardize"

    @staticmethod
    def divisor(gflops: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """1 everywhere."""
        return torch.ones_like(gflops)


def target_transform_from_dict(values: Mapping[str, object]) -> TargetTransform:
    """Rebuild a transform from what its ``to_dict`` gave.

    Raises:
        InvalidInputError: On an unknown kind, or a mean or deviation that is not a number.
    """
    kind, mean, std = (values.get(key) for key in ("kind", "mean", "std"))
    for transform in (FlopsTransform, Standardize):
        if (
            kind == transform.kind
            and isinstance(mean, int | float)
            and isinstance(std, int | float)
        ):
            return transform(float(mean), float(std))
    raise InvalidInputError(
        f"a target transform cannot be read from {dict(values)}; it needs kind "
        f"'{FlopsTransform.kind}' or '{Standardize.kind}' and numbers mean and std. Write it "
        "with to_dict()."
    )


def _check(name: str, values: Tensor, gflops: Tensor) -> None:
    if values.shape != gflops.shape:
        raise InvalidInputError(
            f"{name} has shape {tuple(values.shape)} and gflops {tuple(gflops.shape)}; they must "
            "be equal. Give one FLOPs count per value."
        )
    if not bool(values.isfinite().all()):
        raise InvalidInputError(
            f"{name} has NaN or infinity; every value must be finite. Drop those architectures."
        )
    if not bool((gflops.isfinite() & (gflops >= 0)).all()):
        raise InvalidInputError(
            "gflops has a negative, infinite or NaN value; it must be FLOPs / 1e9, 0 or more. "
            "Count FLOPs again for those architectures."
        )
