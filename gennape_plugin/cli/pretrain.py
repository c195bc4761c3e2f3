"""``gennape pretrain``: train weights on NAS-Bench-101 labels."""

import argparse
import json
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from gennape_plugin.core.encoder import EncoderConfig
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.pretraining import ContrastiveConfig
from gennape_plugin.core.regression import RegressionConfig
from gennape_plugin.pretrain import PretrainConfig, pretrain


def run(args: argparse.Namespace) -> int:
    """Train, printing one line an epoch."""
    config = _config(args)
    start = time.perf_counter()

    def progress(stage: str, epoch: int, epochs: int, losses: dict[str, float]) -> None:
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        print(
            f"[{time.perf_counter() - start:6.0f} s] {stage} {epoch}/{epochs}  {numbers}",
            flush=True,
        )

    def note(text: str) -> None:
        print(f"[{time.perf_counter() - start:6.0f} s] {text}", flush=True)

    folder = pretrain(
        args.labels,
        args.out,
        config,
        device=args.device,
        half=args.half,
        progress=progress,
        note=note,
    )
    note(f"weights and card in {folder}")
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        note(f"peak memory {peak / (1 << 20):.2f} GiB")
    return 0


def _config(args: argparse.Namespace) -> PretrainConfig:
    config = PretrainConfig() if args.config is None else read_config(args.config)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    if args.epochs is not None:
        config = replace(config, contrastive=replace(config.contrastive, epochs=args.epochs))
    if args.baselines is not None:
        config = replace(config, baselines=tuple(args.baselines))
    return replace(config, extra=True) if args.extra else config


def read_config(path: str) -> PretrainConfig:
    """Settings from a JSON file such as the ``config.json`` of a run.

    Raises:
        InvalidInputError: naming what is wrong with it.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        nested = {
            "encoder": EncoderConfig,
            "contrastive": ContrastiveConfig,
            "heads": RegressionConfig,
            "graph": RegressionConfig,
        }
        for name, kind in nested.items():
            if name in values:
                values[name] = kind(**_checked(kind(), values[name]))
        if "baselines" in values:
            values["baselines"] = tuple(values["baselines"])
        if "grid" in values:
            values["grid"] = {
                name: tuple((int(clusters), float(fuzzifier)) for clusters, fuzzifier in pairs)
                for name, pairs in values["grid"].items()
            }
        return PretrainConfig(**_checked(PretrainConfig(), values))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInputError(f"{path} does not hold settings of a run: {error}") from None


def _checked(defaults: object, values: Any) -> dict[str, Any]:
    """The values, each of its default's type and no number negative."""
    if not isinstance(values, dict):
        raise TypeError(f"{values!r:.80} in the place of an object")
    for name, value in values.items():
        default = getattr(defaults, name, value)
        if not _alike(value, default):
            raise TypeError(f"{name} is {value!r:.80}, the default {default!r:.80}")
    return values


def _alike(value: object, default: object) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, tuple) and all(_alike(item, default[0]) for item in value)
    if isinstance(default, float):
        return type(value) in (int, float) and isinstance(value, int | float) and 0 <= value < inf
    return type(value) is type(default) and not (isinstance(value, int) and value < 0)
