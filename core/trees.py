"""Gradient-boosted regression trees that can be told which inputs may only help.

The trees are grown by scikit-learn (whose split search takes monotonic constraints) and
kept as plain tensors, so that they are saved without pickles and run without
scikit-learn. With a constraint on an input, the prediction never falls as that input
rises, everywhere, not only where training graphs lie.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .errors import InvalidInputError


class BoostedTrees(nn.Module):
    """A sum of small trees. Node 0 is a root; a leaf is a node that leads to itself."""

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    value: Tensor

    def __init__(self, trees: int, nodes: int) -> None:
        super().__init__()
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(trees, nodes, dtype=torch.float32))
        self.register_buffer("threshold", torch.zeros(trees, nodes))
        self.register_buffer("value", torch.zeros(trees, nodes))

    @classmethod
    def fit(
        cls,
        x: Float[Tensor, "rows features"],
        y: Float[Tensor, "rows"],
        *,
        rising: Sequence[int],
        trees: int = 200,
        leaves: int = 15,
        rate: float = 0.05,
        share: float = 0.3,
        seed: int = 0,
    ) -> "BoostedTrees":
        """Boost squared error (Friedman, 2001).

        Args:
            x: Inputs.
            y: Targets.
            rising: For each input, 1 where the prediction may only rise with it, -1 where it
                may only fall, 0 where both are allowed.
            trees: Number of trees.
            leaves: Most leaves of a tree.
            rate: Share of a tree's prediction that is kept (shrinkage).
            share: Share of the inputs that each split may choose from.
            seed: Fixes that choice.
        """
        from sklearn.tree import DecisionTreeRegressor

        model = cls(trees, 2 * leaves - 1)
        inputs = x.detach().float().numpy()
        rest = y.detach().double().numpy() - float(y.double().mean())
        draw = np.random.RandomState(seed)
        for number in range(trees):
            tree = DecisionTreeRegressor(
                max_leaf_nodes=leaves,
                min_samples_leaf=20,
                max_features=share,
                monotonic_cst=np.asarray(rising),
                random_state=draw,
            ).fit(inputs, rest)
            model._keep(number, tree.tree_, rate)
            rest -= rate * tree.predict(inputs)
        return model

    def _keep(self, number: int, tree: Any, rate: float) -> None:
        size, own = tree.node_count, np.arange(tree.node_count)
        leaf = tree.children_left < 0
        columns = {
            "feature": np.maximum(tree.feature, 0),
            "threshold": tree.threshold,
            "left": np.where(leaf, own, tree.children_left),
            "right": np.where(leaf, own, tree.children_right),
            "value": tree.value[:, 0, 0] * rate,
        }
        for name, values in columns.items():
            getattr(self, name)[number, :size] = torch.from_numpy(values.astype(np.float32))

    def forward(self, x: Float[Tensor, "rows features"]) -> Float[Tensor, "rows"]:
        """Predictions, up to the constant that the mean of the targets was."""
        trees, nodes = self.left.shape
        if not trees:
            return torch.zeros(len(x), device=x.device)
        # All trees as one table of nodes: a walk is a chain of look-ups.
        offset = torch.arange(trees, device=x.device) * nodes
        left = (self.left.long() + offset[:, None]).flatten()
        right = (self.right.long() + offset[:, None]).flatten()
        feature, threshold = self.feature.long().flatten(), self.threshold.flatten()
        sums = []
        for part in x.float().split(1024):
            here = offset.expand(len(part), trees)
            while True:
                below = part.gather(1, feature[here]) <= threshold[here]
                there = torch.where(below, left[here], right[here])
                if bool((there == here).all()):
                    break
                here = there
            sums.append(self.value.flatten()[here].sum(dim=1))
        return torch.cat(sums)

    def check(self, features: int) -> None:
        """Refuse tables (read from a file) that would not end or would read elsewhere.

        Raises:
            InvalidInputError: if a node leads backwards, or out of its tree.
        """
        trees, nodes = self.left.shape
        if trees and not nodes:
            raise InvalidInputError("trees without nodes: the weights are damaged")
        own = torch.arange(nodes, device=self.left.device)
        # Rows beyond a tree's size hold zeros and are never reached.
        unused = (self.left == 0) & (self.right == 0) & (own > 0)
        for table, least, most in (
            (self.left, own, nodes - 1),
            (self.right, own, nodes - 1),
            (self.feature, own * 0, features - 1),
        ):
            outside = (table < least) | (table > most) | (table != table.round())
            if bool((outside & ~unused).any()):
                raise InvalidInputError("a tree's table leads nowhere: the weights are damaged")
        for table in (self.left, self.right):
            if bool((unused.gather(1, table.long()) & ~unused).any()):
                raise InvalidInputError("a tree leads out of its table: the weights are damaged")

    def describe(self) -> dict[str, Any]:
        """Sizes."""
        return {"trees": self.left.shape[0], "nodes": self.left.shape[1]}
