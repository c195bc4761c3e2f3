"""The whole page, and writing it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.files import write_whole
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.estimator import Gennape

from .attribution import attribute
from .drawing import drawings
from .embedding_map import family_map
from .map_section import map_section
from .markup import section, text
from .sections import attribution_section, cost_section, prediction_section
from .structure import parts_of
from .style import SCRIPT, STYLE

_SECTIONS = {
    "prediction": "Prediction",
    "costs": "Cost",
    "graph": "Graph",
    "attribution": "Attribution",
    "map": "Map",
}
_LEGEND = (
    '<p>Read from top to bottom. <span class="key up">Green</span> parts push the score up, '
    '<span class="key down">orange</span> ones down; the number is the part of the score, the '
    "strongest colour the largest of each drawing. Boxes with a thick outline open below.</p>"
)


def report_html(est: Gennape, graph: ComputeGraph, name: str | None = None) -> str:
    """A report on one network as an HTML page without outside resources.

    Args:
        est: The estimator.
        graph: The network; :func:`~gennape_plugin.architectures.to_graph` makes one of a module.
        name: What to call it; the graph's own name where left out. Names and scopes are taken
            for foreign text and escaped.

    Raises:
        InvalidInputError: for a network that the estimator cannot score.
    """
    if name is not None:
        graph = graph.renamed(name)
    prediction = est.score(graph)
    outputs = est.model.predict(GraphStore.of([graph]))
    found = attribute(est.model, graph)
    root = parts_of(graph)
    title = graph.name or "network"
    shown = _LEGEND + drawings(graph, root, found.values)
    content = [
        prediction_section(prediction, found.basis),
        cost_section(graph, root, found),
        section("graph", f"Graph of {len(graph)} operations", shown),
        attribution_section(graph, found),
        map_section(family_map(est.model, est.card), outputs.embedding[0], title),
    ]
    weights = text(est.card.get("name", "unnamed"))
    digest = text(str(est.card.get("sha256", ""))[:12])
    footer = f"gennape-plugin {version('gennape-plugin')}, weights {weights} {digest}"
    return html_page(title, _SECTIONS, content, footer, what="gennape report")


def html_page(
    title: str,
    sections: Mapping[str, str],
    content: Sequence[str],
    footer: str,
    *,
    what: str = "gennape search",
) -> str:
    """A page without outside resources around sections.

    Args:
        title: Its title, foreign text.
        sections: Names of the sections by their ids.
        content: The sections, HTML.
        footer: HTML.
        what: What wrote it.
    """
    links = " ".join(f'<a href="#{key}">{label}</a>' for key, label in sections.items())
    # Even if foreign text got through as markup, browsers run no script but this one.
    script = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(title)} – {what}</title><style>{STYLE}</style></head>"
        f'<body><header><h1>{text(title)}</h1><nav aria-label="Sections">{links}</nav></header>'
        f"<main>{''.join(content)}</main><footer>{footer}</footer>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def write_report(
    est: Gennape, graph: ComputeGraph, path: str | Path, name: str | None = None
) -> Path:
    """Write a report as a file, whole or not at all; an older one is replaced.

    Args:
        est: The estimator.
        graph: The network.
        path: Where to write.
        name: As for :func:`report_html`.

    Raises:
        InvalidInputError: where no file can be written, before anything is computed.
    """
    path = checked_path(path)
    data = report_html(est, graph, name).encode()
    write_whole(path, data)
    return path


def checked_path(path: str | Path) -> Path:
    """A path that a file can be written to.

    Raises:
        InvalidInputError: if it is a folder, or its folder is missing.
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder: give a file in it, such as report.html")
    if not path.parent.is_dir():
        raise InvalidInputError(
            f"{path.parent} is not a folder: make it first, or give a file in one there is"
        )
    return path
