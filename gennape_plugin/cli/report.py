"""``gennape report``: one network as an HTML page."""

import argparse

from gennape_plugin.estimator import Gennape
from gennape_plugin.report import write_report
from gennape_plugin.report.page import checked_path
from gennape_plugin.shipped import DEFAULT_WEIGHTS

from ._networks import graphs_of


def run(args: argparse.Namespace) -> int:
    """Write the page and name it."""
    out = checked_path(args.out)  # before a network is traced for nothing
    graphs = graphs_of([args.network], args.input)
    estimator = Gennape.from_pretrained(args.weights or DEFAULT_WEIGHTS, device=args.device)
    print(f"written to {write_report(estimator, graphs[0], out)}")
    return 0
