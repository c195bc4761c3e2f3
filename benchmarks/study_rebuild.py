"""How many graphs come back: graph -> network -> capture, by module and by written source.

python benchmarks/study_rebuild.py --samples 5
PYTHONPATH=.venv/zoo python benchmarks/study_rebuild.py --samples 0 --collections torchvision
"""

import argparse
import random
import time
import warnings
from collections import Counter

import torch
from gennape_plugin.adapters.families import families
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import GennapeError, RebuildError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.rebuild import example_inputs, to_source

from gennape_plugin.zoo.catalogue import catalogue_of


def differences(graph: ComputeGraph) -> list[str]:
    """What does not hold of a graph's module and of its source; errors are raised."""
    with torch.device("meta"):
        module, inputs = graph.to_module(), example_inputs(graph)
        namespace: dict[str, type[torch.nn.Module]] = {}
        exec(compile(to_source(graph), "model.py", "exec"), namespace)  # of our own graphs
        written = namespace["Net"]()
    found = []
    for kind, built in (("module", module), ("source", written)):
        if capture(built, inputs=inputs).graph != graph:
            found.append(f"another graph by {kind}")
        if sum(p.numel() for p in built.parameters()) != graph.params:
            found.append(f"other parameters by {kind}")
    if module.state_dict().keys() != written.state_dict().keys():
        found.append("other names of parameters")
    try:
        with torch.device("meta"):
            twice = tuple(torch.cat([x, x]) for x in inputs)
        result = module.eval()(*twice)
        first = result[0] if isinstance(result, tuple) else result
        if first.shape[0] != 2:
            found.append("a batch of two gives another")
    except RuntimeError:
        found.append("batch size fixed")
    return found


def study_families(samples: int) -> None:
    print("| family | graphs | equal | CPU s a graph |\n|---|---|---|---|")
    for name, family in families().items():
        good = total = 0
        begin = time.process_time()
        for variant in family.variants:
            for seed in range(samples):
                graph = family.graph(family.sample(random.Random(seed)), variant=variant)
                problems = differences(graph)
                total += 1
                good += not problems
                if problems:
                    print(f"{name} {variant} {seed}: {', '.join(problems)}")
        seconds = (time.process_time() - begin) / total
        print(f"| {name} | {total} | {good} | {seconds:.2f} |", flush=True)


def study_collection(source: str) -> None:
    networks = catalogue_of(source)
    outcomes: Counter[str] = Counter()
    for name, build in networks.items():
        try:
            sample = build()
            graph = capture(sample.module, inputs=sample.inputs, kwargs=sample.kwargs).graph
        except (GennapeError, Exception) as error:  # whatever a collection raises
            outcome = f"not captured: {type(error).__name__}"
            print(f"{name}: {outcome}: {str(error).splitlines()[0]:.200}", flush=True)
            outcomes[outcome] += 1
            continue
        try:
            problems = differences(graph)
            outcome = "equal" if not problems else ", ".join(problems)
            detail = ""
        except RebuildError as error:
            place, _, reason = (
                str(error)
                .removeprefix("this graph cannot be rebuilt because of node ")
                .partition("): ")
            )
            op = place.partition("(")[2].split(" in ")[0]
            outcome, detail = f"refused, {op}: {reason}", str(error)
        print(f"{name}: {detail or outcome}", flush=True)
        outcomes[outcome] += 1
    print(f"\n| {source}: {len(networks)} networks | |\n|---|---|")
    for outcome, count in outcomes.most_common():
        print(f"| {outcome} | {count} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=5, help="architectures a family and variant")
    parser.add_argument("--collections", nargs="*", default=[], help="torchvision, timm")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.samples:
        study_families(args.samples)
    for source in args.collections:
        study_collection(source)


if __name__ == "__main__":
    main()
