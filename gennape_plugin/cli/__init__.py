"""The ``gennape`` command.

Parsing imports nothing heavy, so ``--help`` is instant; each command imports what it
needs when it runs. Every expected failure is one line on standard error and exit code 2.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

COMMANDS = (
    "score",
    "rank",
    "trace",
    "build",
    "report",
    "search",
    "info",
    "plugins",
    "pretrain",
    "finetune",
    "calibrate",
    "evaluate",
    "benchmark",
    "coverage",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    from gennape_plugin.core.errors import GennapeError

    try:
        top, commands = _parsers()
        if not words or words[0] not in COMMANDS:
            _add_plugin_commands(commands)
        args = top.parse_args(words)
    except GennapeError as error:
        print(f"gennape: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    try:
        run = getattr(args, "run", None) or import_module(f".{args.command}", __name__).run
        code = int(run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; Python must not fail once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"\ngennape {args.command}: stopped", file=sys.stderr)
        return 130
    except (GennapeError, OSError) as error:
        print(f"gennape {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _add_plugin_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Commands of installed plugins; without any, nothing is imported."""
    if not metadata.entry_points(group="gennape"):
        return
    from gennape_plugin.core.errors import PluginError
    from gennape_plugin.hooks import ask

    for listed in ask("gennape_commands"):
        for command in listed:
            if command.name in commands.choices:
                raise PluginError(
                    f"a plugin brings a command {command.name!r}, which there is already: `gennape "
                    "plugins` lists plugins; remove it, or choose with GENNAPE_PLUGINS"
                )
            made = commands.add_parser(command.name, help=command.help)
            command.configure(made)
            made.set_defaults(run=command.run)


def parser() -> argparse.ArgumentParser:
    """The argument parser of the built-in commands."""
    return _parsers()[0]


def _parsers() -> (
    "tuple[argparse.ArgumentParser, argparse._SubParsersAction[argparse.ArgumentParser]]"
):
    """The parser, and where further commands are added."""
    top = argparse.ArgumentParser(
        prog="gennape",
        description="Rank neural networks without training them.",
        epilog="`gennape COMMAND --help` explains a command.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    score = commands.add_parser("score", help="predict one network")
    _network(score, many=False)
    _weights(score)
    score.add_argument("--json", action="store_true", help="print JSON")

    rank = commands.add_parser(
        "rank", help="predict several networks and print a table, best first"
    )
    _network(rank, many=True)
    _weights(rank)
    rank.add_argument(
        "--population",
        action="store_true",
        help="score the networks against each other: better for many of one search space",
    )
    rank.add_argument(
        "--mode",
        choices=("default", "paper"),
        default="default",
        help="whose population score: ours, or GENNAPE's six members",
    )
    rank.add_argument("--json", action="store_true", help="print JSON")

    trace = commands.add_parser("trace", help="show a network's computation graph")
    _network(trace, many=False)
    trace.add_argument("--json", metavar="FILE", help="write the graph to FILE")
    trace.add_argument("--nodes", action="store_true", help="print every operation")

    build = commands.add_parser(
        "build", help="write a network, or a graph, as Python source or an ONNX file"
    )
    _network(build, many=False)
    build.add_argument(
        "-o", "--out", metavar="FILE", help="the source, .py; printed where neither is given"
    )
    build.add_argument("--onnx", metavar="FILE", help="an ONNX model, with fresh weights")
    build.add_argument("--class-name", default="Net", metavar="NAME", help="of the class: Net")

    report = commands.add_parser("report", help="write a network's report, one HTML page")
    _network(report, many=False)
    report.add_argument("-o", "--out", required=True, metavar="FILE", help="the page, .html")
    _weights(report)

    _add_search(commands)

    info = commands.add_parser("info", help="versions, shipped weights and their card, devices")
    info.add_argument("--card", action="store_true", help="print the whole card as JSON")
    info.add_argument("--weights", metavar="NAME", help="shipped name or weights folder")

    commands.add_parser("plugins", help="list plugins, built in and installed, and their hooks")

    pretrain = commands.add_parser(
        "pretrain", help="train weights on NAS-Bench-101 labels (resumable)"
    )
    pretrain.add_argument("--labels", required=True, metavar="FILE", help="labels, .jsonl(.gz)")
    pretrain.add_argument("--out", required=True, metavar="FOLDER", help="run folder")
    pretrain.add_argument("--config", metavar="FILE", help="settings as JSON; defaults otherwise")
    pretrain.add_argument("--seed", type=int, help="overrides the settings' seed")
    pretrain.add_argument("--epochs", type=int, help="overrides the contrastive epochs")
    pretrain.add_argument(
        "--baselines", nargs="*", metavar="NET", help="graph networks to train: kgnn gcn gin"
    )
    pretrain.add_argument(
        "--extra", action="store_true", help="let rows with only a validation accuracy train too"
    )
    pretrain.add_argument("--half", action="store_true", help="store weights in 16 bits")
    pretrain.add_argument("--device", default="cpu", help="cpu or cuda")

    finetune = commands.add_parser("finetune", help="tune weights to a family by a few labels")
    finetune.add_argument("--family", required=True, help="family of the architectures")
    finetune.add_argument("--labels", required=True, metavar="FILE", help="labels, .jsonl(.gz)")
    finetune.add_argument("--column", required=True, help="column of the accuracies, in percent")
    finetune.add_argument("--fractions", action="store_true", help="accuracies are fractions")
    finetune.add_argument("--out", required=True, metavar="FOLDER", help="new weights folder")
    finetune.add_argument(
        "--mode", choices=("default", "paper"), default="default", help="whose protocol"
    )
    finetune.add_argument("--samples", type=int, help="draw so many labels; all otherwise")
    finetune.add_argument("--seed", type=int, default=0, help="fixes the draw and the tuning")
    _weights(finetune)

    calibrate = commands.add_parser(
        "calibrate", help="measure intervals for predicted accuracies, and keep them on the card"
    )
    calibrate.add_argument("--data", required=True, metavar="FOLDER", help="folder of labels files")
    calibrate.add_argument("--weights", metavar="NAME", help="shipped name or weights folder")

    evaluate = commands.add_parser(
        "evaluate", help="compare predictions with labels, FLOPs, params and conv count beside"
    )
    evaluate.add_argument("--family", required=True, help="family of the architectures")
    evaluate.add_argument("--labels", required=True, metavar="FILE", help="labels, .jsonl(.gz)")
    evaluate.add_argument(
        "--target", metavar="COLUMN", help="label column; the family's default otherwise"
    )
    evaluate.add_argument(
        "--variant", metavar="NAME", help="which network an encoding stands for: benchmark or paper"
    )
    evaluate.add_argument(
        "--subset",
        metavar="NAME",
        help="a named part of the labels, such as validation_2 or no-none",
    )
    evaluate.add_argument(
        "--weights",
        nargs="+",
        metavar="NAME",
        default=None,
        help="shipped name or folder; several (seeds) give mean and standard deviation",
    )
    evaluate.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples")
    evaluate.add_argument("--json", metavar="FILE", help="also write the results to FILE")

    bench = commands.add_parser(
        "benchmark", help="the paper's tables and ours, from a folder of labels (resumable)"
    )
    bench.add_argument("--data", required=True, metavar="FOLDER", help="folder of labels files")
    bench.add_argument("--out", required=True, metavar="FOLDER", help="results, report, plots")
    bench.add_argument(
        "--labels",
        action="append",
        default=[],
        metavar="FAMILY=FILE",
        help="labels of a family from FILE instead; may be given several times",
    )
    bench.add_argument(
        "--weights", nargs="+", metavar="NAME", help="shipped name or folder; several are seeds"
    )
    bench.add_argument("--only", nargs="+", default=[], metavar="TASK", help="some pools only")
    bench.add_argument("--seeds", type=int, default=5, help="draws of 50 labels")
    bench.add_argument("--resamples", type=int, default=200, help="bootstrap resamples")
    for option, what in (
        ("--paper-tuning", "also fine-tune by the paper's protocol (minutes a pool)"),
        ("--comparators", "also train NPN, BANANAS and TNASP (minutes each)"),
        ("--card", "also write the main table into the first weights' card"),
        ("--proxies", "also run zero-cost proxies on 300 networks a family (hours)"),
    ):
        bench.add_argument(option, action="store_true", help=what)

    coverage = commands.add_parser(
        "coverage", help="how many networks of torchvision, timm or transformers can be captured"
    )
    coverage.add_argument(
        "source", metavar="SOURCE", help="torchvision, timm, transformers, or torch: its layers"
    )
    coverage.add_argument("--match", metavar="PATTERN", help="only names such as 'resnet*'")
    coverage.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th name, from I")
    coverage.add_argument(
        "--out", metavar="FILE", help="JSON lines, one a network; those in it are not run again"
    )
    coverage.add_argument("--compare", choices=("fx",), help="time torch.fx on the same networks")
    coverage.add_argument(
        "--check-flops", action="store_true", help="compare with torch's FlopCounterMode"
    )
    return top, commands


def _add_search(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    search = commands.add_parser(
        "search", help="change a network's graph and keep what is better or cheaper (resumable)"
    )
    _network(search, many=False)
    search.add_argument("-o", "--out", required=True, metavar="FOLDER", help="run folder")
    search.add_argument("--iterations", type=int, default=20, help="generations in all")
    search.add_argument("--population", type=int, default=32, help="networks that are kept")
    search.add_argument(
        "--children", type=int, help="new networks a generation; twice the population otherwise"
    )
    search.add_argument("--max-flops", metavar="F", help="such as 300e6, or 0.8x: of the start's")
    search.add_argument("--max-params", metavar="P", help="the same for parameters")
    search.add_argument(
        "--min-accuracy", metavar="A", help="percent; start: predicted no worse than the start"
    )
    search.add_argument(
        "--objectives",
        nargs="+",
        default=["quality", "flops"],
        metavar="NAME",
        help="of quality, flops, params, depth",
    )
    search.add_argument(
        "--freeze", nargs="+", default=[], metavar="SCOPE", help="parts to keep: stem, head, scopes"
    )
    search.add_argument(
        "--engine", choices=("nsga2", "local"), default="nsga2", help="local: the paper's search"
    )
    search.add_argument("--seed", type=int, default=0, help="fixes everything random")
    search.add_argument(
        "--any-op", action="store_true", help="also use operations that were never trained on"
    )
    search.add_argument(
        "--incautious",
        action="store_true",
        help="let networks leave the region that the weights know: finds the predictor's errors",
    )
    search.add_argument(
        "--no-modules", action="store_true", help="write graphs only, no Python source"
    )
    _weights(search)


def _network(command: argparse.ArgumentParser, *, many: bool) -> None:
    command.add_argument(
        "networks" if many else "network",
        nargs="+" if many else None,
        metavar="NETWORK",
        help="file.py:name, package.module:name, torchvision:name, timm:name, hf-config:FILE, "
        "family:encoding, or an .onnx, .pt2 or graph's .json file",
    )
    command.add_argument(
        "--input", metavar="SHAPE", help="what it reads, without the batch axis, such as 3x32x32"
    )


def _weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", metavar="NAME", help="shipped name or weights folder")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
