"""``gennape coverage``: how many networks of a collection can be captured."""

import argparse
import sys
import warnings
from pathlib import Path

from gennape_plugin.coverage import Shard, run_all, summary
from gennape_plugin.zoo import catalogue_of


def run(args: argparse.Namespace) -> int:
    """Capture all, print the figures; exit code 1 where one network was not captured."""
    shard = Shard.parse(args.shard)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the collections' own code
        records = run_all(
            catalogue_of(args.source),
            pattern=args.match,
            shard=shard,
            out=None if args.out is None else Path(args.out),
            compare_fx=args.compare == "fx",
            count=args.check_flops,
            note=lambda text: print(text, file=sys.stderr, flush=True),
        )
    print(summary(records))
    return int(any(record.error is not None for record in records))
