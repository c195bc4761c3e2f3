"""The trade-off of a search as an SVG picture."""

from collections.abc import Sequence
from math import floor, log10

from gennape_plugin.core.search import Candidate, Scores
from gennape_plugin.prediction import engineering
from gennape_plugin.report.markup import text

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 16, 50
_MAX_DOTS = 3000  # scored networks that are drawn


def trade_off(
    start: Candidate, front: Sequence[Candidate], scored: Sequence[Scores], title: str
) -> str:
    """FLOPs against quality: the networks scored within the known region, front and start.

    Of more than some thousand networks a sample is drawn, evenly over the search.
    Quality is drawn from half of its range below the start on, so that a few failures do not
    squeeze the rest.
    """
    dots = [s for s in scored if s.excess <= 0]
    dots = dots[:: -(-len(dots) // _MAX_DOTS) or 1]
    shown = [*dots, *(c.scores for c in front), start.scores]
    xs = [s.flops / 1e9 for s in shown]
    low, high = min(s.quality for s in shown), max(s.quality for s in shown)
    low = max(low, start.scores.quality - 2 * max(high - start.scores.quality, 0.05))
    across = _Axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    up = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP)

    def place(s: Scores) -> tuple[float, float]:
        return across(s.flops / 1e9), up(max(s.quality, low))

    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in map(place, dots))
    ordered = sorted(front, key=lambda c: c.scores.flops)
    points = [place(c.scores) for c in ordered]
    line = "".join(f"{'ML'[i > 0]}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    best = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"><title>'
        f"{engineering(c.scores.flops)}FLOPs, quality {c.scores.quality:.3f}</title></circle>"
        for (x, y), c in zip(points, ordered, strict=True)
    )
    x, y = place(start.scores)
    here = f"M{x - 7:.1f} {y:.1f}H{x + 7:.1f}M{x:.1f} {y - 7:.1f}V{y + 7:.1f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" width="{_WIDTH}" '
        f'height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>{text(title)}</title>'
        f'<g stroke="#9aa6b5" fill="none">{across.ticks(horizontal=True)}'
        f"{up.ticks(horizontal=False)}</g>"
        f'<g fill="#8a94a3">{across.labels(horizontal=True)}{up.labels(horizontal=False)}'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle">GFLOPs</text>'
        f'<text x="14" y="{_HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {_HEIGHT / 2})">predicted quality</text></g>'
        f'<g fill="#4a7ab8" fill-opacity=".35">{marks}</g>'
        f'<path d="{line}" fill="none" stroke="#0f8a6d" stroke-width="1.5"/>'
        f'<g fill="#0f8a6d">{best}</g>'
        f'<path d="{here}" stroke="#d1590e" stroke-width="3"/></svg>'
    )


class _Axis:
    """Numbers to pixels, with round ticks."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
        self.low, self.high = low - margin, high + margin
        self.start, self.stop = start, stop

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def _values(self) -> list[float]:
        rough = (self.high - self.low) / 5
        power = 10 ** floor(log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = floor(self.low / step) + 1
        return [step * i for i in range(first, first + 12) if step * i <= self.high]

    def ticks(self, *, horizontal: bool) -> str:
        """The axis and its marks."""
        if horizontal:
            bottom = _HEIGHT - _BOTTOM
            marks = "".join(f"M{self(v):.1f} {bottom}v5" for v in self._values())
            return f'<path d="M{_LEFT} {bottom}H{_WIDTH - _RIGHT}{marks}"/>'
        marks = "".join(f"M{_LEFT} {self(v):.1f}h-5" for v in self._values())
        return f'<path d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}{marks}"/>'

    def labels(self, *, horizontal: bool) -> str:
        """The numbers."""
        if horizontal:
            y = _HEIGHT - _BOTTOM + 19
            return "".join(
                f'<text x="{self(v):.1f}" y="{y}" text-anchor="middle">{v:.4g}</text>'
                for v in self._values()
            )
        return "".join(
            f'<text x="{_LEFT - 9}" y="{self(v) + 4:.1f}" text-anchor="end">{v:.4g}</text>'
            for v in self._values()
        )
