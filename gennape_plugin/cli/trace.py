"""``gennape trace``: show a network's computation graph, or write it down."""

import argparse
from collections import Counter

from gennape_plugin.core.graph_json import save_graph

from ._networks import graphs_of


def run(args: argparse.Namespace) -> int:
    """Print a summary (or every node) and write the graph where asked."""
    graph = graphs_of([args.network], args.input)[0]
    view = graph.paper_view()
    print(graph)
    print(f"hash {graph.hash}")
    print(
        f"paper's view: {view.num_nodes} nodes, {view.num_edges} edges, "
        f"{view.num_weighted} weighted nodes"
    )
    counts = Counter(node.op for node in graph.nodes)
    print("operations: " + ", ".join(f"{op} {n}" for op, n in counts.most_common()))
    outside = Counter(node.attr("target") for node in graph.nodes if node.op == "custom")
    if outside:
        print("outside the vocabulary: " + ", ".join(f"{op} {n}" for op, n in outside.items()))
    if args.nodes:
        for index, (node, operands) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
            reads = ",".join(map(str, operands))
            print(f"{index:5d} <- {reads:12s} {node}  {graph.scopes[index]}")
    if args.json:
        save_graph(graph, args.json)
        print(f"written to {args.json}")
    return 0
