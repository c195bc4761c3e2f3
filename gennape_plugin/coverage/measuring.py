"""One network captured: what came of it, how long it took and how much memory."""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.utils.flop_counter import FlopCounterMode

from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.captured import Capture
from gennape_plugin.process_memory import peak_mib, reset_peak
from gennape_plugin.zoo import Sample

_TURNS: Final = 2  # the faster of so many is noted, for both sides of a comparison
_MEGABYTE: Final = 1 << 20


@dataclass
class Record:
    """What is noted of one network; ``None`` for what was not measured.

    Attributes:
        model: Its name.
        error: Why it was not captured, or could not be built.
        route: The route that it was captured on.
        failures: Why the routes before failed.
        nodes: Nodes of its graph.
        params: Its parameters.
        macs: Its multiply-adds at batch size 1.
        custom: Operations that the vocabulary lacks, with how often each occurs.
        warnings: What was assumed.
        seconds: Time of one capture.
        peak_mb: Greatest memory of Python's during one capture, in MiB.
        rss_mb: Growth of the process's greatest memory during the first, in MiB.
        fx_seconds: Time of ``torch.fx.symbolic_trace`` with shape propagation.
        fx_error: Why that failed.
        counted_macs: Multiply-adds by ``FlopCounterMode``.
        count_error: Why that failed.
    """

    model: str
    error: str | None = None
    route: str | None = None
    failures: list[str] = field(default_factory=list)
    nodes: int | None = None
    params: int | None = None
    macs: int | None = None
    custom: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float | None = None
    peak_mb: float | None = None
    rss_mb: float | None = None
    fx_seconds: float | None = None
    fx_error: str | None = None
    counted_macs: int | None = None
    count_error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All that was measured, for a line of JSON."""
        return {k: v for k, v in asdict(self).items() if v not in (None, [], {})}


def measured(
    name: str, build: Callable[[], Sample], *, compare_fx: bool = False, count: bool = False
) -> Record:
    """Build, capture and measure one network. Its failures are noted, not raised.

    Args:
        name: Its name.
        build: Builds it, with its inputs.
        compare_fx: Time ``torch.fx`` with shape propagation on it too, in turns.
        count: Count its multiply-adds with ``FlopCounterMode`` too.
    """
    record = Record(name)
    try:
        sample = build()
    except Exception as error:
        record.error = f"cannot be built: {_first_line(error)}"
        return record
    try:
        _capture(record, sample, compare_fx)
    except Exception as error:
        record.error = _first_line(error)
    if count:
        try:
            record.counted_macs = _counted(sample)
        except Exception as error:
            record.count_error = _first_line(error)
    return record


def _capture(record: Record, sample: Sample, compare_fx: bool) -> None:
    def ours() -> Capture:
        return capture(sample.module, inputs=sample.inputs, kwargs=sample.kwargs)

    before = reset_peak()
    captured, record.seconds = _timed(ours)
    record.rss_mb = None if before is None else round((peak_mib() or before) - before, 1)
    _note(record, captured)
    if captured.route == "real":
        return  # its time is that of the network
    if compare_fx:
        _compare(record, sample)
    record.seconds = min(record.seconds, *(_timed(ours)[1] for _ in range(_TURNS - 1)))
    tracemalloc.start()
    try:
        ours()
        record.peak_mb = round(tracemalloc.get_traced_memory()[1] / _MEGABYTE, 2)
    finally:
        tracemalloc.stop()


def _note(record: Record, captured: Capture) -> None:
    graph = captured.graph
    record.route, record.failures = captured.route, list(captured.failures)
    record.nodes, record.params, record.macs = len(graph.nodes), graph.params, graph.macs
    record.custom, record.warnings = dict(captured.custom), list(captured.warnings)


def _compare(record: Record, sample: Sample) -> None:
    def theirs() -> None:
        with torch.no_grad():
            traced = fx.symbolic_trace(sample.module)
            ShapeProp(traced).propagate(*sample.inputs)

    try:
        _on_meta(sample.module)
        record.fx_seconds = min(_timed(theirs)[1] for _ in range(_TURNS))
    except Exception as error:
        record.fx_error = _first_line(error)


def _counted(sample: Sample) -> int:
    module = _on_meta(sample.module).requires_grad_(False)  # the counter's hooks want gradients
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its kernels are not counted
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*sample.inputs, **sample.kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops()) // 2  # it counts two a multiply-add


def _on_meta(module: nn.Module) -> nn.Module:
    return module.to("meta").eval()


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, round(time.perf_counter() - start, 4)


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
