"""``gennape benchmark``: the paper's tables and ours."""

import argparse
import sys
from pathlib import Path

from gennape_plugin.benchmark import BenchmarkConfig, benchmark, write_card
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.shipped import DEFAULT_WEIGHTS, weights_folder


def run(args: argparse.Namespace) -> int:
    """Measure, write the report and name it."""
    labels = {}
    for text in args.labels:
        name, equals, path = text.partition("=")
        if not equals or not Path(path).is_file():
            raise InvalidInputError(f"--labels {text}: give FAMILY=FILE, an existing file")
        labels[name] = Path(path)
    if not Path(args.data).is_dir():
        raise InvalidInputError(f"{args.data} is not a folder: give the folder of labels files")
    if args.seeds < 1 or args.resamples < 1:
        raise InvalidInputError(
            f"--seeds {args.seeds} --resamples {args.resamples}: give 1 or more of each"
        )
    config = BenchmarkConfig(
        seeds=tuple(range(args.seeds)),
        resamples=args.resamples,
        paper_tuning=args.paper_tuning,
        comparators=args.comparators,
        proxies=args.proxies,
        only=tuple(args.only),
    )
    folders = [weights_folder(name) for name in args.weights or [DEFAULT_WEIGHTS]]
    results = benchmark(
        Path(args.data),
        Path(args.out),
        folders,
        labels=labels,
        config=config,
        note=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if args.card:
        write_card(results, folders[0])
    print((Path(args.out) / "report.md").read_text(encoding="utf-8"))
    return 0
