"""Small pieces of HTML, and the one place where foreign text is made harmless."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_MAX_TEXT: Final = 300


def text(value: object, limit: int = _MAX_TEXT) -> str:
    """Any text as HTML text or attribute value.

    Markup is escaped; characters that do not show (controls, bidirectional overrides, lone
    surrogates) are replaced, since they could make a name read as another; long text is cut.
    """
    raw = str(value)
    if len(raw) > limit:
        raw = raw[: limit - 1] + "…"
    return escape("".join(c if c.isprintable() else "\ufffd" for c in raw), quote=True)


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1
) -> str:
    """A table; the first cell of each row heads it.

    Args:
        caption: What it shows, HTML.
        header: Column names, plain text.
        rows: Cells, HTML.
        words: Columns from the left that hold words; the others are aligned as numbers.
    """
    kinds = ["" if i < words else ' class="n"' for i in range(len(header))]
    head = "".join(
        f'<th scope="col"{kind}>{text(name)}</th>' for kind, name in zip(kinds, header, strict=True)
    )
    body = []
    for first, *rest in rows:
        cells = "".join(
            f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], rest, strict=True)
        )
        body.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def bar(share: float) -> str:
    """A bar that fills ``share`` of its cell; the number stands beside it."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        f'<span class="track" aria-hidden="true"><span class="bar" '
        f'style="width:{width:.1f}%"></span></span>'
    )


def signed_bar(value: float, largest: float) -> str:
    """A bar to the right of the middle for gains, to the left for losses."""
    width = 50 * min(abs(value) / largest, 1.0) if largest else 0.0
    kind, left = ("up", 50.0) if value >= 0 else ("down", 50 - width)
    return (
        f'<span class="track mid" aria-hidden="true"><span class="bar {kind}" '
        f'style="margin-left:{left:.1f}%;width:{width:.1f}%"></span></span>'
    )


def section(name: str, title: str, content: str) -> str:
    """A section with its heading; ``name`` is its id."""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{text(title)}</h2>{content}</section>'
    )
