"""Training the members of a model one by one, on frozen embeddings or end to end."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.files import replacing
from gennape_plugin.core.graph_regressor import GraphRegressor
from gennape_plugin.core.heads import HeadEnsemble
from gennape_plugin.core.members import (
    GraphMember,
    HeadMember,
    Member,
    PairwiseMember,
    SegmentMember,
    member_of,
)
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.pairwise import PairwiseHeads, fit_pairwise
from gennape_plugin.core.regression import (
    Fitted,
    RegressionConfig,
    fit_graph_network,
    fit_heads,
)
from gennape_plugin.core.segment_network import SegmentNetwork
from gennape_plugin.core.space import Partition
from gennape_plugin.core.training import Progress
from gennape_plugin.core.transform import FlopsTransform, Standardize, TargetTransform

from .pretrain_config import CLUSTERED, PretrainConfig
from .protocol import PRUNE_BELOW

#: Members that read the encoder: with or without fuzzy clusters and the FLOPs transform.
HEAD_MEMBERS: Final = ("cl", "cl+t", "cl+fcm", "cl+fcm+t")
#: Members that read the encoder and learn which of two graphs is the better one.
PAIRWISE_MEMBERS: Final = ("cl+pairwise", "cl+fcm+pairwise")
#: The graph network over segments.
SEGMENTS: Final = "segments"


def _pruned(name: str) -> bool:
    """Whether a member learns from cells from 80 % up only (paper: the +T regressors)."""
    return name.endswith("+t") or name == SEGMENTS


@dataclass
class TrainingData:
    """Graphs and labels of a split; rows are training, validation 1, validation 2."""

    store: GraphStore
    accuracy: Tensor
    train: Tensor
    validation: dict[str, Tensor]

    def population(self, rows: Tensor, *, pruned: bool) -> Tensor:
        """Rows, without those below 80 % where ``pruned``."""
        return rows[self.accuracy[rows] >= PRUNE_BELOW] if pruned else rows


class MemberTrainer:
    """Trains members one by one, keeping each in the run folder."""

    def __init__(
        self, config: PretrainConfig, data: TrainingData, x: Tensor, out: Path, progress: Progress
    ) -> None:
        self.config, self.data, self.x, self.out, self.progress = config, data, x, out, progress
        self.outcomes: dict[str, dict[str, Any]] = {}

    def _target(self, name: str) -> tuple[TargetTransform, Tensor]:
        """Transform and training rows of a member."""
        rows = self.data.population(self.data.train, pruned=_pruned(name))
        kind = FlopsTransform if name.endswith("+t") else Standardize
        gflops = self.data.store.gflops
        return kind.fit(self.data.accuracy[rows], gflops[rows]), rows

    def _chooser(self, name: str, part: str) -> Tensor:
        """Rows of a validation set on which a member's choices are made."""
        return self.data.population(self.data.validation[part], pruned=_pruned(name))

    def member(self, name: str) -> Member:
        """Train a member, or take it from the run folder where it is finished."""
        path = self.out / "members" / f"{name}.safetensors"
        if path.exists():
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            member = member_of(facts["member"])
            member.load_state_dict(tensors)
            self.outcomes[name] = facts["outcome"]
            return member
        embedded = name in HEAD_MEMBERS or name in PAIRWISE_MEMBERS
        member = self._embedded(name) if embedded else self._graph(name)
        facts = {"member": member.describe(), "outcome": self.outcomes[name]}
        with replacing(path) as partial:
            save_file(member.state_dict(), partial, metadata={"facts": json.dumps(facts)})
        return member

    def _embedded(self, name: str) -> HeadMember | PairwiseMember:
        """A member with heads on the frozen embeddings."""
        transform, rows = self._target(name)
        partition, tried = (
            self._partition(name, rows, transform) if name in CLUSTERED else (None, [])
        )
        weights = None if partition is None else partition(self.x)
        heads, fitted = self._fit(name, name, rows, transform, weights, self._settings(name))
        self.outcomes[name] = {
            "epoch": fitted.epoch,
            "validation_1_srcc": fitted.validation_srcc,
        }
        if tried:
            self.outcomes[name]["grid"] = tried
        if isinstance(heads, PairwiseHeads):
            return PairwiseMember(heads, partition)
        return HeadMember(heads, transform, partition)

    def _settings(self, name: str) -> RegressionConfig:
        return self.config.pairwise if name in PAIRWISE_MEMBERS else self.config.heads

    def _fit(
        self,
        name: str,
        stage: str,
        rows: Tensor,
        transform: TargetTransform,
        weights: Tensor | None,
        config: RegressionConfig,
    ) -> tuple[HeadEnsemble | PairwiseHeads, Fitted]:
        accuracy, gflops = self.data.accuracy, self.data.store.gflops
        first = self._chooser(name, "validation_1")
        if name in PAIRWISE_MEMBERS:
            return fit_pairwise(
                self.x[rows],
                None if weights is None else weights[rows],
                accuracy[rows],
                (self.x[first], None if weights is None else weights[first], accuracy[first]),
                config=config,
                seed=self.config.seed,
                stage=stage,
                progress=self.progress,
            )
        return fit_heads(
            self.x[rows],
            None if weights is None else weights[rows],
            transform.forward(accuracy[rows], gflops[rows]),
            (self.x[first], None if weights is None else weights[first], accuracy[first]),
            decode=lambda y: transform.inverse(y, gflops[first]),
            config=config,
            seed=self.config.seed,
            stage=stage,
            progress=self.progress,
        )

    def _partition(
        self, name: str, rows: Tensor, transform: TargetTransform
    ) -> tuple[Partition, list[dict[str, Any]]]:
        """Clusters and fuzzifier by a small grid."""
        config = self.config
        shorter = RegressionConfig(**{**asdict(self._settings(name)), "epochs": config.grid_epochs})
        chooser = self._chooser(name, config.choose_on)
        best: tuple[float, Partition] | None = None
        tried = []
        choices = config.grid[name]
        for clusters, fuzzifier in choices:
            partition = Partition.fit(self.x[rows], clusters, fuzzifier, seed=config.seed)
            if len(choices) == 1:
                return partition, []
            weights = partition(self.x)
            heads, _ = self._fit(
                name, f"{name} C={clusters} m={fuzzifier}", rows, transform, weights, shorter
            )
            with torch.no_grad():
                scores = heads(self.x[chooser], weights[chooser])
            if not isinstance(heads, PairwiseHeads):
                scores = transform.inverse(scores, self.data.store.gflops[chooser])
            rank = srcc(self.data.accuracy[chooser], scores)
            spread = float(weights[rows].square().sum(1).mean())
            tried.append(
                {
                    "clusters": clusters,
                    "fuzzifier": fuzzifier,
                    "srcc": rank,
                    "partition_coefficient": spread,
                }
            )
            if best is None or rank > best[0]:
                best = (rank, partition)
        assert best is not None
        return best[1], tried

    def _graph(self, name: str) -> GraphMember:
        """A graph network trained end to end."""
        transform, rows = self._target(name)
        accuracy = self.data.accuracy
        first = self._chooser(name, "validation_1")
        segments = name == SEGMENTS

        def make() -> GraphRegressor | SegmentNetwork:
            return SegmentNetwork() if segments else GraphRegressor(convolution=name)

        network, fitted = fit_graph_network(
            make,
            self.data.store.take(rows.tolist()),
            transform.forward(accuracy[rows], self.data.store.gflops[rows]),
            (self.data.store.take(first.tolist()), accuracy[first]),
            config=self.config.segments if segments else self.config.graph,
            seed=self.config.seed,
            stage=name,
            progress=self.progress,
        )
        self.outcomes[name] = {
            "epoch": fitted.epoch,
            "validation_1_srcc": fitted.validation_srcc,
        }
        if isinstance(network, SegmentNetwork):
            member = SegmentMember(network, transform)
            member.fit_space(self.data.store.take(self.data.train.tolist()))
            return member
        return GraphMember(network, transform)
