"""The one object that decides what a training run gives."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final

from gennape_plugin.core.encoder import EncoderConfig
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.layers import CONVOLUTIONS
from gennape_plugin.core.pairwise import HIDDEN
from gennape_plugin.core.pretraining import ContrastiveConfig
from gennape_plugin.core.regression import RegressionConfig

from .ranker_training import RankerConfig

#: Members with fuzzy clusters.
CLUSTERED: Final = ("cl+fcm", "cl+fcm+t", "cl+fcm+pairwise")
#: Cluster counts and fuzzifiers that are tried by default.
GRID: Final = ((5, 1.5), (5, 2.0), (8, 1.5), (8, 2.0))
#: Grids of members that settings written before there were those members lack.
_LATER_GRID: Final = {"cl+fcm+pairwise": GRID}


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides what a training run gives; written beside the weights.

    Attributes:
        seed: Of initial weights, orders, dropout and clusters; the split has its own.
        encoder: Sizes of the encoder.
        contrastive: Contrastive pretraining.
        heads: Training of the heads.
        pairwise: Training of the pairwise classifiers.
        graph: Training of the graph-network baselines.
        segments: Training of the graph network over segments.
        baselines: Graph networks to train beside: ``kgnn``, ``gcn``, ``gin``.
        grid: For each clustered member, the pairs of cluster count and fuzzifier to try.
        grid_epochs: Epochs of the heads while trying them.
        choose_on: Validation set that chooses clusters and fuzzifier. The paper chooses on
            the second one, which it also reports; the first keeps the report honest.
        extra: Whether rows with only a validation accuracy join training.
        ranker: Training of the ranker's trees.
    """

    seed: int = 0
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    heads: RegressionConfig = field(default_factory=RegressionConfig)
    pairwise: RegressionConfig = field(default_factory=lambda: RegressionConfig(hidden=HIDDEN))
    graph: RegressionConfig = field(
        default_factory=lambda: RegressionConfig(learning_rate=1e-4, cosine=False)
    )
    segments: RegressionConfig = field(
        default_factory=lambda: RegressionConfig(epochs=20, batch_size=64)
    )
    baselines: tuple[str, ...] = ("kgnn",)
    grid: Mapping[str, tuple[tuple[int, float], ...]] = field(
        default_factory=lambda: dict.fromkeys(CLUSTERED, GRID)
    )
    grid_epochs: int = 6
    choose_on: str = "validation_1"
    extra: bool = False
    ranker: RankerConfig = field(default_factory=RankerConfig)

    def __post_init__(self) -> None:
        pairs = [pair for choices in self.grid.values() for pair in choices]
        if set(self.grid) != set(CLUSTERED) or not all(self.grid.values()):
            raise InvalidInputError(
                f"grid has pairs for {sorted(self.grid)}: give at least one (clusters, fuzzifier) "
                f"for each of {', '.join(CLUSTERED)}"
            )
        if not all(clusters >= 1 and 1 < fuzzifier < inf for clusters, fuzzifier in pairs):
            raise InvalidInputError(
                f"grid is {dict(self.grid)}: clusters start at 1 and fuzzifiers above 1"
            )
        if self.choose_on not in ("validation_1", "validation_2"):
            raise InvalidInputError(
                f"choose_on is {self.choose_on!r}: give 'validation_1' or 'validation_2'"
            )
        if not 0 <= self.seed < 1 << 32:
            raise InvalidInputError(f"seed is {self.seed}: give one from 0 to {(1 << 32) - 1}")
        unknown = [name for name in self.baselines if name not in CONVOLUTIONS]
        if unknown:
            raise InvalidInputError(
                f"unknown baselines {', '.join(unknown)}: choose from {', '.join(CONVOLUTIONS)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def read_config(path: str) -> PretrainConfig:
    """Settings from a JSON file such as the ``config.json`` of a run.

    Raises:
        InvalidInputError: naming what is wrong with it.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        nested = {
            "encoder": EncoderConfig,
            "contrastive": ContrastiveConfig,
            "heads": RegressionConfig,
            "pairwise": RegressionConfig,
            "graph": RegressionConfig,
            "segments": RegressionConfig,
            "ranker": RankerConfig,
        }
        for name, kind in nested.items():
            if name in values:
                values[name] = kind(**_checked(kind(), values[name]))
        if "baselines" in values:
            values["baselines"] = tuple(values["baselines"])
        if "grid" in values:
            values["grid"] = {
                name: tuple((int(clusters), float(fuzzifier)) for clusters, fuzzifier in pairs)
                for name, pairs in {**_LATER_GRID, **values["grid"]}.items()
            }
        return PretrainConfig(**_checked(PretrainConfig(), values))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInputError(f"{path} does not hold settings of a run: {error}") from None


def continues(found: object, settings: Mapping[str, Any]) -> bool:
    """Whether a run under the settings ``found`` can be taken up under ``settings``.

    Stages of training came one by one: settings that an older run lacks, whole ones or
    members of the grid, belong to stages that it has not begun.

    Args:
        found: What :meth:`PretrainConfig.to_dict` wrote then, read back from JSON.
        settings: What it gives now, likewise.
    """
    if not isinstance(found, dict) or not isinstance(found.get("grid"), dict):
        return False
    known = {name: value for name, value in settings.items() if name in found}
    known["grid"] = {k: v for k, v in settings["grid"].items() if k in found["grid"]}
    return found == known


def _checked(defaults: object, values: Any) -> dict[str, Any]:
    """The values, each of its default's type and no number negative."""
    if not isinstance(values, dict):
        raise TypeError(f"{values!r:.80} in the place of an object")
    for name, value in values.items():
        default = getattr(defaults, name, value)
        if not _alike(value, default):
            raise TypeError(f"{name} is {value!r:.80}, the default {default!r:.80}")
    return values


def _alike(value: object, default: object) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, tuple) and all(_alike(item, default[0]) for item in value)
    if isinstance(default, float):
        return type(value) in (int, float) and isinstance(value, int | float) and 0 <= value < inf
    return type(value) is type(default) and not (isinstance(value, int) and value < 0)
