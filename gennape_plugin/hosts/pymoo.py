"""pymoo: a problem over integer-coded architectures, score against cost."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from pymoo.core.problem import Problem

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.estimator import Gennape
from gennape_plugin.hooks import InputShape
from gennape_plugin.shipped import DEFAULT_WEIGHTS

from .limits import checked_limits

_Ints = np.ndarray[Any, np.dtype[np.int_]]

#: Sign of each objective: pymoo minimises.
_SIGNS: Final = {"score": -1.0, "flops": 1.0, "params": 1.0}


class GennapeProblem(Problem):
    """``minimize(GennapeProblem(decode, upper=[4] * 6), NSGA2(...), ("n_gen", 20))``.

    A solution is a vector of integers; ``decode`` turns it into an architecture in any form
    that :meth:`.Gennape.score` takes. A generation is scored as one batch.
    """

    def __init__(
        self,
        decode: Callable[[tuple[int, ...]], object],
        *,
        upper: Sequence[int],
        lower: Sequence[int] | int = 0,
        objectives: Sequence[str] = ("score", "flops"),
        max_flops: float | None = None,
        max_params: float | None = None,
        input_shape: InputShape | None = None,
        weights: str = DEFAULT_WEIGHTS,
    ) -> None:
        """Load the weights.

        Args:
            decode: Makes the architecture of a vector.
            upper: Largest value of each variable.
            lower: Smallest value of each, or of all.
            objectives: Some of ``"score"`` (maximised: pymoo sees its negative), ``"flops"``
                and ``"params"`` (minimised).
            max_flops: Largest FLOPs (2 x multiply-adds), an inequality constraint.
            max_params: Largest number of parameters, likewise.
            input_shape: What modules read, without the batch axis.
            weights: Name of shipped weights, or a weights folder.

        Raises:
            InvalidInputError: for other objectives, or bounds that do not fit.
            WeightsError: if there are no such weights.
        """
        if (
            not objectives
            or len(set(objectives)) < len(objectives)
            or set(objectives) - _SIGNS.keys()
        ):
            raise InvalidInputError(
                f"objectives {tuple(objectives)}: give some of {', '.join(_SIGNS)}, each once"
            )
        lowest, highest = _bounds(lower, upper)
        self._decode, self._shape, self._objectives = decode, input_shape, tuple(objectives)
        self._limits = checked_limits({"flops": max_flops, "params": max_params})
        self._estimator = Gennape.from_pretrained(weights)
        super().__init__(
            n_var=highest.size,
            n_obj=len(self._objectives),
            n_ieq_constr=len(self._limits),
            xl=lowest,
            xu=highest,
            vtype=int,
        )

    def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        rows = [tuple(int(value) for value in row) for row in np.rint(x)]
        distinct = {row: i for i, row in enumerate(dict.fromkeys(rows))}
        found = self._estimator.score_many(map(self._decode, distinct), input_shape=self._shape)
        chosen = [found[distinct[row]] for row in rows]
        out["F"] = np.array(
            [[_SIGNS[name] * getattr(p, name) for name in self._objectives] for p in chosen]
        )
        if self._limits:
            # Relative, so that limits in FLOPs and in parameters weigh alike.
            out["G"] = np.array(
                [[getattr(p, k) / limit - 1 for k, limit in self._limits.items()] for p in chosen]
            )


def _bounds(lower: Sequence[int] | int, upper: Sequence[int]) -> tuple[_Ints, _Ints]:
    try:
        highest = np.asarray(upper, dtype=int)
        lowest = np.broadcast_to(np.asarray(lower, dtype=int), highest.shape)
        fit = highest.ndim == 1 and highest.size > 0 and bool((lowest <= highest).all())
    except (TypeError, ValueError):
        fit = False
    if not fit:
        raise InvalidInputError(
            f"bounds {lower} to {upper}: give a largest whole number for each variable, none below "
            "the smallest"
        )
    return lowest, highest
