"""NNI 3.0: an evaluator and a profiler that score candidates without training them.

See ``docs/hosts/nni.md`` for a search from start to end.
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from gennape_plugin.architectures import to_graph
from gennape_plugin.core.errors import GennapeError, InvalidInputError, LabelsError, WeightsError
from gennape_plugin.core.few_shot import MIN_LABELS
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.estimator import Gennape
from gennape_plugin.hooks import InputShape
from gennape_plugin.shipped import DEFAULT_WEIGHTS, shipped_weights

from . import remembered

try:
    import nni
    from nni.nas.evaluator import Evaluator
    from nni.nas.profiler import Profiler
    from nni.nas.space import ExecutableModelSpace, SimplifiedModelSpace
except Exception as error:  # NNI imports others' packages, which fail in many ways
    raise InvalidInputError(
        f"NNI 3.0 cannot be imported ({type(error).__name__}: {error}): pip install "
        "'gennape-plugin[nni]' installs it with what it needs (pytorch_lightning, and setuptools "
        "and filelock as old as NNI is)"
    ) from error

#: The release that the tests run with.
TESTED: Final = "3.0"
if metadata.version("nni") != TESTED:
    warnings.warn(
        f"NNI {metadata.version('nni')} is installed; gennape-plugin is tested with {TESTED}: "
        f"pip install nni=={TESTED} if scores fail",
        RuntimeWarning,
        stacklevel=2,
    )

#: What a profiler can return, each with its unit.
QUANTITIES: Final[Mapping[str, str]] = {
    "score": "the estimator's; higher is better",
    "flops": "2 x multiply-adds of convolutions and matrix products",
    "params": "learned parameters",
}


@nni.trace
class GennapeEvaluator(Evaluator):
    """``NasExperiment(space, GennapeEvaluator(), strategy)``: the score is the metric.

    Reports :attr:`.Prediction.score` of each model alone (higher is better, as NNI expects),
    which ranks the models of one space. Models of NNI's hub spaces are never built: their
    graphs come from the sample. Weights are loaded at the first score, once a process, and
    equal networks are scored once.

    Arguments are small and plain because NNI writes them into every trial.
    """

    def __init__(
        self,
        weights: str = DEFAULT_WEIGHTS,
        input_shape: InputShape | None = None,
        on_error: float | None = None,
    ) -> None:
        """Check the arguments; nothing is loaded yet.

        Args:
            weights: Name of shipped weights, or the absolute path of a weights folder, such as
                a fine-tuned one. Trials run in other folders, and maybe on other machines:
                the path must exist there.
            input_shape: What models read, without the batch axis: ``(3, 32, 32)``. Spaces of
                the hub know their own.
            on_error: The metric of a model that cannot be scored. By default its trial fails,
                which ends the search unless NNI is told to go on
                (``continue_on_failure=True``, or the middleware ``FailureHandler``).

        Raises:
            InvalidInputError: for a relative path, or an ``on_error`` that is no number.
        """
        self.weights = checked_weights(weights)
        if type(self).__module__ == "__main__":
            warnings.warn(
                f"{type(self).__name__} is defined in the program that is run (__main__): trials "
                "of NNI's manager cannot import it from there; move it into a module",
                RuntimeWarning,
                stacklevel=2,
            )
        self.input_shape = input_shape
        if on_error is not None and (
            isinstance(on_error, bool)
            or not isinstance(on_error, int | float)
            or not math.isfinite(on_error)
        ):
            raise InvalidInputError(
                f"on_error {on_error!r}: give a finite number, the metric of a model that cannot "
                "be scored, or None"
            )
        self.on_error = on_error

    def evaluate(self, model: Any) -> float:
        """Score a model (a module, or a frozen space) and report it to NNI where a trial runs."""
        try:
            score = remembered_score(to_graph(model, self.input_shape), self.weights)
        except WeightsError:
            raise  # concerns every model
        except GennapeError as error:
            if self.on_error is None:
                raise
            score = float(self.on_error)
            warnings.warn(
                f"a model is not scored, its metric is {score}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
        if nni.get_current_parameter() is not None:
            nni.report_final_result(score)
        return score

    def _execute(self, model: ExecutableModelSpace) -> float:
        return self.evaluate(model)

    def extra_repr(self) -> str:
        """Shown by NNI's logs."""
        return f"weights={self.weights!r}, input_shape={self.input_shape!r}"


class GennapeProfiler(Profiler):
    """``GennapeProfiler(space, "flops").profile(sample)``: a number for a sample of a space.

    For constraints::

        flops = GennapeProfiler(space, "flops")
        strategy = Chain(
            RegularizedEvolution(), Filter(lambda model: flops.profile(model.sample) <= 3e8)
        )

    Samples are read as in NNI's simplified format: a space is its class and its constructor's
    arguments, and changes made to the module afterwards are not seen.
    """

    def __init__(
        self,
        model_space: Any,
        quantity: str = "score",
        weights: str = DEFAULT_WEIGHTS,
        input_shape: InputShape | None = None,
    ) -> None:
        """Simplify the space.

        Args:
            model_space: A ``ModelSpace``, or an ``ExecutableModelSpace`` that is not frozen.
            quantity: ``"score"``, ``"flops"`` (2 x multiply-adds) or ``"params"``.
            weights: As for :class:`GennapeEvaluator`; only scores need them.
            input_shape: What models read; spaces of the hub know their own.

        Raises:
            InvalidInputError: for another quantity, or a relative path of weights.
        """
        super().__init__(model_space)
        if quantity not in QUANTITIES:
            raise InvalidInputError(f"quantity {quantity!r}: give one of {', '.join(QUANTITIES)}")
        self.space = (
            model_space
            if isinstance(model_space, ExecutableModelSpace)
            else SimplifiedModelSpace.from_model(model_space)
        )
        self.quantity = quantity
        self.weights = checked_weights(weights)
        self.input_shape = input_shape

    def profile(self, sample: Mapping[str, Any]) -> float:
        """The quantity of the model that a sample stands for.

        Raises:
            nni.mutable.exception.SampleValidationError: for a sample outside of the space.
        """
        # NNI writes what it works out into the sample that it checks.
        graph = to_graph(self.space.freeze(dict(sample)), self.input_shape)
        if self.quantity == "score":
            return remembered_score(graph, self.weights)
        return float(getattr(graph, self.quantity))


def fine_tune(
    models: Iterable[Any],
    weights: str = DEFAULT_WEIGHTS,
    *,
    input_shape: InputShape | None = None,
    fractions: bool = False,
    seed: int = 0,
) -> Gennape:
    """An estimator tuned by the models that an experiment has trained.

    ``fine_tune(strategy.list_models()).save("/path/to/tuned")`` makes a folder for
    ``GennapeEvaluator(weights="/path/to/tuned")``.

    Args:
        models: Models with metrics, as ``strategy.list_models()`` and
            ``experiment.export_top_models(n)`` return them, or pairs of an architecture and
            its accuracy. Models without a metric are left out.
        weights: What to start from.
        input_shape: What the models read; spaces of the hub know their own.
        fractions: Whether metrics are fractions; percent otherwise.
        seed: Fixes everything random.

    Raises:
        LabelsError: for fewer than five models with metrics, or metrics that are no
            accuracies.
    """
    pairs = [pair for model in models if (pair := _labelled(model)) is not None]
    if len(pairs) < MIN_LABELS:
        raise LabelsError(
            f"{len(pairs)} models with metrics: fine-tuning needs {MIN_LABELS} or more, say 50, "
            "that an evaluator has trained"
        )
    graphs = [to_graph(model, input_shape) for model, _ in pairs]
    return estimator(checked_weights(weights)).fine_tune(
        graphs, [metric for _, metric in pairs], fractions=fractions, seed=seed, dataset="NNI"
    )


def _labelled(model: Any) -> tuple[Any, float] | None:
    if isinstance(model, ExecutableModelSpace):
        metric = model.metric
    elif isinstance(model, tuple | list) and len(model) == 2:
        model, metric = model
    else:
        raise InvalidInputError(
            f"{type(model).__name__} where a model with its metric is expected: give models of "
            "strategy.list_models(), or pairs (model, accuracy)"
        )
    if isinstance(metric, Mapping):
        metric = metric.get("default")
    if metric is None:
        return None
    try:
        return model, float(metric)
    except (TypeError, ValueError):
        raise LabelsError(
            f"a model's metric is {str(metric)[:60]!r}: fine-tuning needs one number, its accuracy"
        ) from None


def estimator(weights: str) -> Gennape:
    """The estimator of some weights, loaded once a process.

    Raises:
        WeightsError: if this machine has no such weights.
    """
    try:
        return remembered.estimator(weights)
    except WeightsError as error:
        raise WeightsError(
            f"{error} (a trial looks for the folder on the machine that it runs on)"
        ) from error


def checked_weights(weights: str) -> str:
    """Name of shipped weights, or an absolute path.

    Raises:
        InvalidInputError: for a relative path: trials run in folders of their own.
    """
    name = str(weights)
    if name in shipped_weights():
        return name
    if Path(name).is_absolute():
        if not Path(name).is_dir():
            warnings.warn(
                f"weights {name!r}: this machine has no such folder, so models can only be scored "
                "where trials run on others that do",
                RuntimeWarning,
                stacklevel=3,
            )
        return name
    raise InvalidInputError(
        f"weights {name!r}: give {', '.join(shipped_weights())}, or an absolute path, since NNI's "
        f"trials run in folders of their own (here: {str(Path(name).resolve())!r})"
    )


def remembered_score(graph: ComputeGraph, weights: str) -> float:
    """The score of a graph; equal graphs are scored once a process."""
    estimator(weights)  # says what to do about weights that are missing on this machine
    return remembered.remembered_scores(weights, {graph.hash: graph})[graph.hash]
