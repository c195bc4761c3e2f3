"""``gennape search``: better or cheaper networks near one."""

import argparse
import sys
from time import perf_counter

from gennape_plugin.core.errors import InvalidInputError, RebuildError
from gennape_plugin.core.rebuild import to_source
from gennape_plugin.core.search import Candidate, RunFolder
from gennape_plugin.estimator import Gennape
from gennape_plugin.search import SearchConfig, search
from gennape_plugin.search.results import table, write_results
from gennape_plugin.shipped import DEFAULT_WEIGHTS

from ._networks import graphs_of


def run(args: argparse.Namespace) -> int:
    """Search, write the folder, print the table."""
    if args.iterations < 1:
        raise InvalidInputError(f"--iterations {args.iterations}: give at least 1")
    (start,) = graphs_of([args.network], args.input)
    if not args.no_modules:
        try:
            to_source(start)
        except RebuildError as error:
            raise RebuildError(f"{error}; --no-modules searches without writing source") from None
    config = SearchConfig(
        iterations=args.iterations,
        population=args.population,
        children=args.children,
        seed=args.seed,
        engine=args.engine,
        objectives=tuple(args.objectives),
        max_flops=args.max_flops,
        max_params=args.max_params,
        min_accuracy=args.min_accuracy,
        freeze=tuple(args.freeze),
        cautious=not args.incautious,
        any_op=args.any_op,
    )
    estimator = Gennape.from_pretrained(args.weights or DEFAULT_WEIGHTS, device=args.device)
    begun = perf_counter()

    def progress(generation: int, population: list[Candidate], scored: int) -> None:
        best = max(c.scores.quality for c in population)
        least = min(c.scores.flops for c in population) / start.flops
        print(
            f"generation {generation}/{config.iterations}: {scored} scored, quality up to "
            f"{best:.3f}, FLOPs down to {least:.0%}, {perf_counter() - begun:.0f} s",
            file=sys.stderr,
            flush=True,
        )

    result, goal, scorer = search(estimator, start, config, folder=args.out, progress=progress)
    folder = RunFolder(args.out)
    rows = write_results(folder, estimator, result, goal, scorer, modules=not args.no_modules)
    print(table(rows, scorer))
    total = sum(result.seconds.values())
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in result.seconds.items())
    print(
        f"{len(result.scored)} networks scored of {result.proposals} proposed; {total:.1f} s: "
        f"{shares}"
    )
    if scorer.caution:
        print(f"Caution: {scorer.caution}")
    print(f"written to {folder.path / 'report.html'}")
    if not result.front:
        nearest = min(result.population, key=lambda c: goal.violation(c.scores)).scores
        raise InvalidInputError(
            f"no network met the constraints in {config.iterations} generations; the nearest has "
            f"{nearest.flops / start.flops:.2f}x of the FLOPs, "
            f"{nearest.params / start.params:.2f}x of the parameters and an accuracy of "
            f"{nearest.accuracy:.2f} %: go on with more --iterations, or relax --max-flops, "
            "--max-params or --min-accuracy in a new folder"
        )
    return 0
