"""Whatever a person hands over becomes a computation graph here."""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import nn

from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import CaptureError, CaptureWarning, InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.graph_json import load_graph

InputShape = Sequence[int] | Sequence[Sequence[int]]


def to_graph(
    architecture: object,
    input_shape: InputShape | None = None,
    *,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
) -> ComputeGraph:
    """The computation graph of an architecture.

    Args:
        architecture: A :class:`ComputeGraph`, an ``nn.Module``, or the path of a graph
            written by ``gennape trace --json``.
        input_shape: Shape of one input without the batch axis, such as ``(3, 32, 32)``;
            several shapes for several inputs. Modules need it, or ``inputs``.
        inputs: Example inputs of a module instead: a tensor, or a tuple of arguments.
        kwargs: Keyword arguments of its forward, as examples.

    Raises:
        InvalidInputError: for anything else, or a module without an input shape.
        CaptureError: if the module cannot be captured.
        GraphError: if the file does not hold a valid graph.
    """
    if isinstance(architecture, ComputeGraph):
        return architecture
    if isinstance(architecture, nn.Module):
        if input_shape is None and inputs is None and kwargs is None:
            raise InvalidInputError(
                f"{type(architecture).__name__} is a module: say what it reads, for example "
                "input_shape=(3, 32, 32) (--input 3x32x32)"
            )
        captured = capture(architecture, input_shape, inputs=inputs, kwargs=kwargs)
        for text in captured.warnings:
            warnings.warn(f"{type(architecture).__name__}: {text}", CaptureWarning, stacklevel=2)
        return captured.graph
    if isinstance(architecture, str | Path) and str(architecture).endswith(".json"):
        return load_graph(architecture)
    if isinstance(architecture, type) and issubclass(architecture, nn.Module):
        raise InvalidInputError(
            f"{architecture.__name__} is a class: give an instance, {architecture.__name__}(...)"
        )
    raise InvalidInputError(
        f"{architecture!r:.80} of type {type(architecture).__name__} is not an architecture: give "
        "an nn.Module, a ComputeGraph or the path of a graph's .json file"
    )


def resolve(reference: str) -> tuple[str, object]:
    """A name and an architecture from command-line text.

    Args:
        reference: ``file.py:name``, ``package.module:name`` or ``graph.json``. The name may
            be a module instance, a class or a function; the latter two are called without
            arguments. The file is run: give only code you trust.

    Raises:
        InvalidInputError: naming what is missing.
        CaptureError: if the file, module or function raises.
    """
    if reference.endswith(".json"):
        return Path(reference).stem, reference
    source, colon, name = reference.rpartition(":")
    if not colon or not source or not name:
        raise InvalidInputError(
            f"{reference!r}: give file.py:name, package.module:name or graph.json"
        )
    if not source.endswith(".py"):
        return name, _called(reference, _import(source), source, name)
    path = Path(source)
    if not path.is_file():
        raise InvalidInputError(f"{path} does not exist: give the path of a Python file")
    with _neighbours_of(path.parent.resolve()):
        return name, _called(reference, _run_file(path), source, name)


def _called(reference: str, namespace: Any, source: str, name: str) -> object:
    """The named thing of a module; made by calling it where it is a class or function."""
    if not hasattr(namespace, name):
        public = [
            key
            for key, value in vars(namespace).items()
            if not key.startswith("_")
            and (
                isinstance(value, nn.Module | ComputeGraph)
                or (callable(value) and getattr(value, "__module__", None) == namespace.__name__)
            )
        ]
        raise InvalidInputError(
            f"{source} has no {name!r}: it defines {', '.join(sorted(public)) or 'nothing to call'}"
        )
    value = getattr(namespace, name)
    if isinstance(value, nn.Module | ComputeGraph):
        return value
    if not callable(value):
        raise InvalidInputError(
            f"{reference} is a {type(value).__name__}: give a module, or a class or function "
            "that makes one"
        )
    try:
        return value()
    except (Exception, SystemExit) as error:
        raise CaptureError(
            f"calling {reference}() without arguments raised {type(error).__name__}: {error}; "
            "give a function that needs none"
        ) from error


#: Modules that files imported from beside themselves, with their folder.
_neighbours: dict[str, Path] = {}


@contextmanager
def _neighbours_of(folder: Path) -> Iterator[None]:
    """Make a folder's modules importable, and no other folder's in their place."""
    for name, home in list(_neighbours.items()):
        if home != folder:
            # Otherwise `import blocks` would give this file another network's blocks.
            del _neighbours[name]
            sys.modules.pop(name, None)
    known = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with suppress(ValueError):  # the file may have removed it itself
            sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            top = name.partition(".")[0]
            origin = getattr(sys.modules[name], "__file__", None)
            beside = {folder / top, folder / f"{top}.py"}
            if (
                top not in known
                and origin
                and not beside.isdisjoint((Path(origin), *Path(origin).parents))
            ):
                _neighbours[name] = folder


def _run_file(path: Path) -> Any:
    name = f"gennape_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInputError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in the file look it up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise CaptureError(f"running {path} raised {type(error).__name__}: {error}") from error
    return module


def _import(source: str) -> Any:
    try:
        if source.startswith("."):
            raise ImportError("its name is relative")
        return importlib.import_module(source)
    except ImportError as error:
        raise InvalidInputError(
            f"module {source!r} cannot be imported ({error}): give an installed module or file.py"
        ) from None
    except (Exception, SystemExit) as error:
        raise CaptureError(f"importing {source} raised {type(error).__name__}: {error}") from error


def parse_shape(text: str) -> tuple[int, ...] | tuple[tuple[int, ...], ...]:
    """``"3x32x32"`` as ``(3, 32, 32)``; several inputs are separated by commas.

    Raises:
        InvalidInputError: for anything else.
    """
    shapes = []
    for part in text.split(","):
        try:
            shape = tuple(int(size) for size in part.strip().lower().split("x"))
        except ValueError:
            shape = ()
        if not shape or min(shape) < 1:
            raise InvalidInputError(
                f"--input {text!r}: give sizes without the batch axis, such as 3x32x32; separate "
                "several inputs by commas"
            )
        shapes.append(shape)
    return shapes[0] if len(shapes) == 1 else tuple(shapes)
