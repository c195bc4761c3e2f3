"""Optuna: an objective that scores the architecture of a trial without training it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.estimator import Gennape
from gennape_plugin.hooks import InputShape
from gennape_plugin.shipped import DEFAULT_WEIGHTS

from .limits import checked_limits

if TYPE_CHECKING:
    import optuna

#: What can be asked for, and which way is better.
DIRECTIONS: Final = {"score": "maximize", "flops": "minimize", "params": "minimize"}


class GennapeObjective:
    """``study.optimize(GennapeObjective(build, input_shape=(3, 32, 32)), n_trials=100)``.

    ``build(trial)`` suggests hyperparameters and returns the architecture, in any form that
    :meth:`.Gennape.score` takes. Scores are complete at once, so no pruner has work to do.
    Accuracy, FLOPs, parameters, distance and hash of each network stand in the trial's user
    attributes. A network that cannot be captured raises ``GennapeError``; let the study go on
    with ``optimize(..., catch=(GennapeError,))``.
    """

    def __init__(
        self,
        build: "Callable[[optuna.Trial], object]",
        *,
        input_shape: InputShape | None = None,
        values: Sequence[str] = ("score",),
        max_flops: float | None = None,
        max_params: float | None = None,
        weights: str = DEFAULT_WEIGHTS,
    ) -> None:
        """Load the weights.

        Args:
            build: Makes the architecture of a trial.
            input_shape: What modules read, without the batch axis.
            values: The objectives, some of ``"score"``, ``"flops"``, ``"params"``.
            max_flops: Largest FLOPs (2 x multiply-adds), a constraint of the trial, which samplers
                take into account; its value is the relative excess.
            max_params: Largest number of parameters, likewise.
            weights: Name of shipped weights, or a weights folder.

        Raises:
            InvalidInputError: for other objectives, or the same one twice.
            WeightsError: if there are no such weights.
        """
        if not values or len(set(values)) < len(values) or set(values) - DIRECTIONS.keys():
            raise InvalidInputError(
                f"objectives {tuple(values)}: give some of {', '.join(DIRECTIONS)}, each once"
            )
        self._build, self._shape, self._values = build, input_shape, tuple(values)
        self._limits = checked_limits({"flops": max_flops, "params": max_params})
        self._estimator = Gennape.from_pretrained(weights)

    @property
    def directions(self) -> list[str]:
        """For ``optuna.create_study(directions=...)``."""
        return [DIRECTIONS[name] for name in self._values]

    def __call__(self, trial: "optuna.Trial") -> float | tuple[float, ...]:
        """The objectives of one trial."""
        p = self._estimator.score(self._build(trial), input_shape=self._shape)
        for name in ("accuracy", "flops", "params", "distance", "graph_hash"):
            trial.set_user_attr(name, getattr(p, name))
        for name, limit in self._limits.items():
            trial.set_constraint(name, getattr(p, name) / limit - 1)
        found = tuple(float(getattr(p, name)) for name in self._values)
        return found if len(found) > 1 else found[0]
