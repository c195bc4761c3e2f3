"""NNI: frozen search spaces, by their sample where they are the hub's own, else by their module.

NNI is never imported here: an object of it can only exist where NNI has been.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import GennapeError, InvalidInputError
from gennape_plugin.hooks import Example, hookimpl

#: The route of graphs that were built from a sample alone.
ROUTE: Final = "nni sample"
_FREEZE: Final = "space.freeze(sample), or any model that a strategy submits"


@hookimpl
def gennape_capture(architecture: object, example: Example) -> Capture | None:
    """A frozen ``ExecutableModelSpace``; spaces that are not frozen are refused.

    A frozen space of NNI's "simplified" format is its class, constructor arguments and sample. For
    classes of NNI's hub these give the graph at once, and the usual image size where the
    caller gives none; for others the module is built and captured. The "raw" format keeps a
    live module, which may have been changed since, so that module is captured always. Frozen
    modules (``space.freeze(sample)`` of a module space) are modules like any other.
    """
    spaces = sys.modules.get("nni.nas.space")
    if spaces is None or not isinstance(architecture, spaces.BaseModelSpace | nn.Module):
        return None
    if not isinstance(architecture, spaces.ExecutableModelSpace):
        _refuse_choices(architecture)
        return None
    graph_format = getattr(spaces, "GraphModelSpace", None)
    if graph_format is not None and isinstance(architecture, graph_format):
        raise InvalidInputError(
            "a space in NNI's graph format: use the simplified format (SimplifiedModelSpace, or "
            "NasExperimentConfig(..., model_format='simplified'))"
        )
    # A member of a string enumeration, or in a trial of NNI's manager the bare string.
    if architecture.status in ("initialized", "mutating"):
        raise InvalidInputError(
            f"{type(architecture).__name__} is a whole search space: freeze it first, {_FREEZE}"
        )
    if isinstance(architecture, spaces.SimplifiedModelSpace):
        if architecture.sample is None:
            raise InvalidInputError(f"a frozen space without a sample: give {_FREEZE}")
        found = _native(architecture.model, architecture.sample, example)
        if isinstance(found, Capture):
            return found
        example = found
    return _captured(architecture, example)


def _native(model: Any, sample: Mapping[str, Any], example: Example) -> Capture | Example:
    """A graph from the sample, or else what the module reads."""
    from gennape_plugin.adapters.nni import default_input_shape, hub_space, native_graph

    space = hub_space(model.trace_symbol, model.trace_args, model.trace_kwargs)
    if space is None:
        return example
    example = example or Example(default_input_shape(space))
    shape = example.input_shape
    if shape is None or not all(isinstance(size, int) for size in shape):
        return example
    graph = native_graph(space, sample, tuple(shape))  # type: ignore[arg-type]
    return example if graph is None else Capture(graph, ROUTE)


def _captured(space: Any, example: Example) -> Capture:
    from gennape_plugin.adapters.torch import capture

    try:
        module = space.executable_model()
    except GennapeError:
        raise
    except Exception as error:
        raise InvalidInputError(
            f"NNI cannot build the model of this sample ({type(error).__name__}: {error}): give "
            "every choice of the space, each one of its options"
        ) from error
    if not isinstance(module, nn.Module):
        raise InvalidInputError(f"NNI built a {type(module).__name__}, not a PyTorch module")
    if not example:
        raise InvalidInputError(
            f"{type(module).__name__} is a search space of your own: say what its models read, for "
            "example input_shape=(3, 32, 32)"
        )
    return capture(module, example.input_shape, inputs=example.inputs, kwargs=example.kwargs)


def _refuse_choices(module: Any) -> None:
    """Refuse a module that still has choices to make.

    Raises:
        InvalidInputError: naming some of the choices.
    """
    layers = sys.modules.get("nni.nas.nn.pytorch")
    if layers is None or not isinstance(module, layers.MutableModule):
        return
    labels = list(module.simplify())
    if labels:
        shown = ", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")
        raise InvalidInputError(
            f"{type(module).__name__} still has {len(labels)} choices ({shown}): freeze it first, "
            "space.freeze(sample) with a value for each"
        )
