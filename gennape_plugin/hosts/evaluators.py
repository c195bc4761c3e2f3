"""Evaluators of all plugins, by the framework that they are for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.hooks import ask, hookimpl

#: Module and class by framework; a module is imported when its evaluator is asked for.
HOSTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "nni": ("gennape_plugin.hosts.nni", "GennapeEvaluator"),
        "naslib": ("gennape_plugin.hosts.naslib", "GennapePredictor"),
        "optuna": ("gennape_plugin.hosts.optuna", "GennapeObjective"),
        "pymoo": ("gennape_plugin.hosts.pymoo", "GennapeProblem"),
        "sklearn": ("gennape_plugin.hosts.sklearn", "GennapeRegressor"),
    }
)


@hookimpl
def gennape_evaluator(framework: str, options: Mapping[str, Any]) -> object | None:
    """The evaluators of this package."""
    if framework not in HOSTS:
        return None
    module, name = HOSTS[framework]
    try:
        make: Callable[..., object] = getattr(import_module(module), name)
    except ImportError as error:
        raise InvalidInputError(
            f"the evaluator for {framework} cannot be imported ({error}): install {framework}, "
            "see docs/hosts"
        ) from error
    try:
        return make(**options)
    except TypeError as error:
        raise InvalidInputError(f"options of the evaluator for {framework}: {error}") from None


def evaluator(framework: str, **options: Any) -> Any:
    """An evaluator (or predictor) for a search framework.

    Args:
        framework: ``"nni"``, ``"naslib"``, ``"optuna"``, ``"pymoo"``, ``"sklearn"``, or one that
            a plugin adds.
        **options: Arguments of its class, such as ``GennapeEvaluator``.

    Raises:
        InvalidInputError: for another framework, or one that is not installed.
    """
    made = ask("gennape_evaluator", framework=framework, options=options)
    if made is None:
        raise InvalidInputError(
            f"no evaluator for {framework!r}: there are {', '.join(sorted(HOSTS))}, and those of "
            "plugins"
        )
    return made
