"""One search from a network to a folder of results."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.mutation import Frozen, Mutator, check_classifier
from gennape_plugin.core.search import (
    Candidate,
    Engine,
    Goal,
    LocalSearch,
    RunFolder,
    Search,
    SearchResult,
)
from gennape_plugin.core.weights import fingerprint
from gennape_plugin.estimator import Gennape
from gennape_plugin.familiarity import checked_seen

from .nsga2 import NSGA2
from .scoring import Scorer

ENGINES: Final[Mapping[str, Callable[[], Engine]]] = {"nsga2": NSGA2, "local": LocalSearch}
#: What each label of the paper allows the mutations to use.
_OPS: Final = {
    "Depthwise": ("depthwise",),
    "Maxpool": ("max_pool",),
    "Avgpool": ("avg_pool",),
    "Concat": ("concat",),
    "Add": ("add",),
    "ReLU": ("relu",),
    "ReLU6": ("relu6",),
    "Sigmoid": ("sigmoid",),
    "Tanh": ("tanh",),
    "Swish": ("silu",),
    "GeLU": ("gelu",),
}


@dataclass(frozen=True)
class SearchConfig:
    """Settings of a search.

    Attributes:
        iterations: Generations.
        population: Networks that are kept.
        children: New networks a generation; twice the population where left out.
        seed: Fixes everything random.
        engine: ``"nsga2"``, or the paper's ``"local"`` search.
        objectives: Of ``quality``, ``flops``, ``params``, ``depth``.
        max_flops: FLOPs (``"300e6"``), or a multiple of the start's (``"0.8x"``).
        max_params: The same for parameters.
        min_accuracy: Predicted accuracy in percent, or ``"start"``: no worse than the start.
        freeze: Scopes that stay as they are; ``stem`` and ``head`` mean those parts of any
            network.
        cautious: Whether networks must stay in the region that the weights know, and are
            judged pessimistically (:class:`.Scorer`). Without it a search finds what the
            predictor is wrong about.
        any_op: Whether operations may be used that neither the training networks nor the
            start have.
    """

    iterations: int = 20
    population: int = 32
    children: int | None = None
    seed: int = 0
    engine: str = "nsga2"
    objectives: tuple[str, ...] = ("quality", "flops")
    max_flops: str | None = None
    max_params: str | None = None
    min_accuracy: str | None = None
    freeze: tuple[str, ...] = ()
    cautious: bool = True
    any_op: bool = False


def search(
    estimator: Gennape,
    start: ComputeGraph,
    config: SearchConfig | None = None,
    *,
    folder: str | Path | None = None,
    progress: Callable[[int, list[Candidate], int], None] | None = None,
) -> tuple[SearchResult, Goal, Scorer]:
    """Search among neighbours of a network.

    Args:
        estimator: Scores them.
        start: The network.
        config: Settings; the defaults where left out.
        folder: Where to keep the state, so that a search that was stopped goes on.
        progress: Called after each generation.

    Returns:
        What was found, the goal it was held to, and the scorer. The front is empty where no
        network kept the constraints.

    Raises:
        InvalidInputError: for settings that make no sense, a network that cannot be mutated,
            or a folder of another search.
        OSError: if the folder cannot be written.
    """
    config = config or SearchConfig()
    check_classifier(start)
    scorer = Scorer.of(estimator, start, cautious=config.cautious)
    goal = goal_of(config, start, scorer)
    rng = random.Random(config.seed)
    mutator = Mutator(
        rng,
        frozen=Frozen(
            scopes=tuple(f for f in config.freeze if f not in ("stem", "head")),
            stem="stem" in config.freeze,
            head="head" in config.freeze,
        ),
        ops=None if config.any_op else _familiar(estimator.card, start),
        max_nodes=2 * len(start) + 32,
    )
    if config.engine not in ENGINES:
        raise InvalidInputError(
            f"unknown engine {config.engine!r}: choose from {', '.join(ENGINES)}"
        )
    children = 2 * config.population if config.children is None else config.children
    settings = {
        "start": start.hash,
        "weights": fingerprint(estimator.model),
        "basis": scorer.basis,
        "engine": config.engine,
        "population": config.population,
        "children": children,
        "seed": config.seed,
        "freeze": sorted(config.freeze),
        "any_op": config.any_op,
        **goal.to_dict(),
    }
    made = Search(
        mutator,
        scorer,
        ENGINES[config.engine](),
        goal,
        rng=rng,
        population=config.population,
        children=children,
        folder=None if folder is None else RunFolder.opened(folder, settings),
        progress=progress,
    )
    return made.run(start, config.iterations), goal, scorer


def goal_of(config: SearchConfig, start: ComputeGraph, scorer: Scorer) -> Goal:
    """Constraints in absolute numbers.

    Raises:
        InvalidInputError: for numbers that cannot be read, or an accuracy where none can be
            relied on.
    """
    least: float | None = None
    quality: float | None = None
    if config.min_accuracy is not None:
        if config.min_accuracy == "start":
            first = scorer([start])[0]
            # Of a size prior only the quality means something.
            least = first.accuracy if scorer.basis != "size" else None
            quality = first.quality
        elif scorer.basis == "size":
            raise InvalidInputError(
                f"--min-accuracy {config.min_accuracy}: accuracies this far from the training "
                "networks are not to be relied on; give 'start', or weights tuned to such "
                "networks (--weights)"
            )
        else:
            least = _number(config.min_accuracy, "--min-accuracy")
            if not 1 < least <= 100:
                raise InvalidInputError(
                    f"--min-accuracy {config.min_accuracy}: give a percentage from 1 to 100, or "
                    "'start'"
                )
    return Goal(
        objectives=config.objectives,
        max_flops=_limit(config.max_flops, start.flops, "--max-flops"),
        max_params=_limit(config.max_params, start.params, "--max-params"),
        min_accuracy=least,
        min_quality=quality,
        trust_region=config.cautious,
    )


def _limit(text: str | None, of: int, option: str) -> float | None:
    if text is None:
        return None
    relative = text.endswith("x")
    value = _number(text[:-1] if relative else text, option) * (of if relative else 1)
    if not value > 0:
        raise InvalidInputError(f"{option} {text}: give a number above 0, or 0.8x of the start's")
    return value


def _number(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise InvalidInputError(f"{option} {text!r}: give a number")
    return value


def _familiar(card: Mapping[str, Any], start: ComputeGraph) -> frozenset[str]:
    """Operations that the training networks or the start have."""
    seen = set(checked_seen(card).get("labels", ()))
    seen |= {op.name for node in start.nodes for op in node.paper}
    ops = {op for label, allowed in _OPS.items() if label in seen for op in allowed}
    if any(1 < n.attr("groups") < n.shape[1] for n in start.nodes if n.op == "conv"):
        ops.add("grouped")
    return frozenset(ops)
