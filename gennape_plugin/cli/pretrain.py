"""``gennape pretrain``: train weights on NAS-Bench-101 labels."""

import argparse
import time
from dataclasses import replace

from gennape_plugin.pretrain import pretrain
from gennape_plugin.pretrain_config import PretrainConfig, read_config
from gennape_plugin.process_memory import peak_mib


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
    peak = peak_mib()
    if peak is not None:
        note(f"peak memory {peak / 1024:.2f} GiB")
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
