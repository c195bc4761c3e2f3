"""Writes docs/ops.md from the op table: ``python docs/render_ops.py``."""

from pathlib import Path

from gennape_plugin.core.ops import OPS, REQUIRED

HEADER = """\
# Operations

Written by `python docs/render_ops.py` from `core/ops.py`; a test fails when the two differ.

A graph node is one of these operations. The paper's features know 26 labels, so each operation
names the label (or labels, in order) that it becomes in the paper's view. *Dropped* means that
its producers are joined to its consumers, as the authors' converter does. *Nearest* marks
operations that the authors' vocabulary does not have: the label is the closest one, and a network
that leans on them lies outside what the weights were trained on. `custom` holds any function that
has no operation of its own; it keeps the function's name and is reported by `gennape trace`.

Rules that depend on attributes: a convolution with as many groups as channels is `Depthwise`; a
dilated convolution becomes `SpacetoBatchND`, the convolution, `BatchtoSpaceND`; an adaptive
average pool to one pixel is `Mean`; an `Add`, `Mul` or `Concat` left with a single producer (the
other operand was a constant) is dropped.

| operation | paper label | match | attributes |
|---|---|---|---|
"""


def render() -> str:
    """The page."""
    lines = []
    for name, op in OPS.items():
        label = " + ".join(op.paper) if op.paper else "dropped"
        match = "exact" if op.exact or not op.paper else "nearest"
        attrs = ", ".join(
            key if default is REQUIRED else f"{key}={default!r}"
            for key, default in op.attrs.items()
        )
        lines.append(f"| `{name}` | {label} | {match if op.paper else '-'} | {attrs} |")
    return HEADER + "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("ops.md").write_text(render(), encoding="utf-8")
