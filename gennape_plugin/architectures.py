"""Whatever a person hands over becomes a computation graph here."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from torch import nn

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import CaptureError, CaptureWarning, GennapeError, InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.hooks import Example, InputShape, WithExample, ask, plugins


def to_graph(
    architecture: object,
    input_shape: InputShape | None = None,
    *,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
) -> ComputeGraph:
    """The computation graph of an architecture; what was assumed is a ``CaptureWarning``.

    Args:
        architecture: As for :func:`capture_any`.
        input_shape: Shape of one input without the batch axis, such as ``(3, 32, 32)``;
            several shapes for several inputs. Modules need it, or ``inputs``.
        inputs: Example inputs of a module instead: a tensor, or a tuple of arguments.
        kwargs: Keyword arguments of its forward, as examples.

    Raises:
        InvalidInputError: for anything else, or a module without an input shape.
        CaptureError: if the module cannot be captured.
        GraphError: if a file does not hold a valid graph.
    """
    if isinstance(architecture, ComputeGraph) and input_shape is inputs is kwargs is None:
        return architecture  # the usual case, without asking the plugins
    captured = capture_any(architecture, Example(input_shape, inputs, kwargs))
    for text in captured.warnings:
        warnings.warn(f"{_kind(architecture)}: {text}", CaptureWarning, stacklevel=2)
    return captured.graph


def named_graphs(
    architectures: Iterable[object], input_shape: InputShape | None, size: int
) -> Iterator[list[tuple[str, ComputeGraph]]]:
    """Names and graphs of a stream of architectures, ``size`` at a time.

    Raises:
        InvalidInputError: for one architecture instead of several, or what :func:`to_graph`
            refuses.
    """
    if isinstance(architectures, nn.Module | ComputeGraph | str | Path):
        raise InvalidInputError(
            f"one architecture ({type(architectures).__name__}) where several are expected: "
            "give a list, or call score"
        )
    if not isinstance(architectures, Iterable):
        raise InvalidInputError(
            f"{type(architectures).__name__} where several architectures are expected: give a list"
        )
    source = iter(architectures)
    while pending := list(islice(source, size)):
        graphs = [to_graph(item, input_shape) for item in pending]
        yield [(name_of(item, graph), graph) for item, graph in zip(pending, graphs, strict=True)]


def name_of(architecture: object, graph: ComputeGraph) -> str:
    """What to call a network: as its graph, its file or its class is called."""
    if isinstance(architecture, str | Path):
        return graph.name or Path(architecture).stem
    return graph.name or type(architecture).__name__


def capture_any(architecture: object, example: Example | None = None) -> Capture:
    """An architecture's graph and how it was read.

    Args:
        architecture: Anything that a source takes (see :mod:`.sources` and :mod:`.hooks`):
            an ``nn.Module``, a :class:`ComputeGraph`, the path of a graph's file, ...
        example: What it reads.

    Raises:
        InvalidInputError: if no source takes it, or it lacks what its source needs.
        CaptureError: if it cannot be read.
    """
    example = example or Example()
    if isinstance(architecture, WithExample):
        example = example or architecture.example
        architecture = architecture.architecture
    try:
        found: Capture | None = plugins().hook.gennape_capture(
            architecture=architecture, example=example
        )
    except (GennapeError, OSError):
        raise
    except Exception as error:
        raise CaptureError(
            f"reading {_kind(architecture)} failed: {type(error).__name__}: {error}"
        ) from error
    if found is None:
        raise InvalidInputError(
            f"{architecture!r:.80} of type {type(architecture).__name__} is not an architecture: "
            f"give {_TAKEN}"
        )
    return found


_TAKEN = (
    "an nn.Module, an exported program, an ONNX model, a ComputeGraph, the path of an .onnx, .pt2 "
    "or graph's .json file, or an encoding such as 'nasbench201:...'"
)


def resolve(reference: str) -> tuple[str, object]:
    """A name and an architecture from command-line text.

    Args:
        reference: ``file.py:name``, ``package.module:name``, ``torchvision:name``,
            ``timm:name``, ``hf-config:FILE``, ``family:encoding``, or a file of a network
            (``.onnx``, ``.pt2``, ``.json``). A name in Python code may be a module instance,
            a class or a function; the latter two are called without arguments. The file is
            run: give only code you trust.

    Raises:
        InvalidInputError: naming what is missing.
        CaptureError: if the file, module or function raises.
    """
    found: tuple[str, object] | None = ask("gennape_resolve", reference=reference)
    if found is None:
        raise InvalidInputError(
            f"{reference!r}: give file.py:name, package.module:name, torchvision:name, timm:name, "
            "hf-config:FILE, family:encoding, or an .onnx, .pt2 or graph's .json file"
        )
    return found


def _kind(architecture: object) -> str:
    return architecture if isinstance(architecture, str) else type(architecture).__name__


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
