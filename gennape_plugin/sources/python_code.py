"""Networks in Python code: ``file.py:name`` and ``package.module:name``."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import nn

from gennape_plugin.core.errors import CaptureError, InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.hooks import hookimpl


@hookimpl
def gennape_resolve(reference: str) -> tuple[str, object] | None:
    """``file.py:name`` or ``package.module:name``; a class or function is called.

    The file is run: give only code you trust.

    Raises:
        InvalidInputError: naming what is missing.
        CaptureError: if the file, module or function raises.
    """
    source, colon, name = reference.rpartition(":")
    if not colon or not source or not name:
        return None
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
