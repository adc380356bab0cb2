"""Plots as SVG: how scores are spread, and whether slow answers are better."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

BINS = 20
MOST_DOTS = 1500
WIDTH, HEIGHT = 260, 90
LEFT, BOTTOM = 30, 14
# Room for a dot on the border.
EDGE = 3


def bin_counts(values: Sequence[float]) -> list[int]:
    """Count values from 0 to 1 in 20 bins; what is out of bounds is in the first or the last."""
    counts = [0] * BINS
    for value in values:
        counts[max(0, min(BINS - 1, int(value * BINS)))] += 1
    return counts


def histogram(counts: Sequence[int], most: int, threshold: float | None, *, label: str) -> str:
    """Return a histogram of the counts of `bin_counts`, with a line at the threshold where there is one.

    The count `most` fills the height: it is the same for all histograms that stand side by side. `label` says
    what it shows to those who cannot see it.
    """
    step = (WIDTH - LEFT) / BINS
    bars = [
        f'<rect class="bar" x="{LEFT + n * step + 0.5:.1f}" y="{_y(count / most):.1f}" '
        f'width="{step - 1:.1f}" height="{_y(0) - _y(count / most):.1f}">'
        f"<title>{n / BINS:.2f} to {(n + 1) / BINS:.2f}: {count:,}</title></rect>"
        for n, count in enumerate(counts)
        if count
    ]
    bound = ""
    if threshold is not None:
        x = f"{LEFT + _share(threshold) * (WIDTH - LEFT):.1f}"
        bound = f'<line class="bound" x1="{x}" x2="{x}" y1="4" y2="{_y(0):.1f}"/>'
    return _svg(label, [*bars, bound, *_axes("0", "1", f"{most:,}")])


def scatter(points: Sequence[tuple[float, float]], longest: float, *, label: str) -> str:
    """Return points of seconds (x, up to `longest`) and a value from 0 to 1 (y); of very many every n-th.

    All that stand side by side have the same `longest`; `label` is for those who cannot see it.
    """
    right = longest or 1.0
    step = -(-len(points) // MOST_DOTS) or 1
    dots = [
        f'<circle class="dot" cx="{LEFT + _share(seconds / right) * (WIDTH - LEFT - EDGE):.1f}" '
        f'cy="{_y(_share(value)):.1f}" r="2"/>'
        for seconds, value in points[::step]
    ]
    return _svg(label, [*dots, *_axes("0", f"{right:.3g} s", "1")])


def curve(values: Sequence[float | None], *, label: str) -> str:
    """Return values from 0 to 1 (y) at 1, 2, 3, ... (x) as a line; `label` is for those who cannot see it.

    Where there is no value the line has a gap.
    """
    step = (WIDTH - LEFT - EDGE) / max(1, len(values) - 1)
    dots = [
        (LEFT + n * step, _y(_share(value)), n + 1, value)
        for n, value in enumerate(values)
        if value is not None
    ]
    lines = [
        f'<line class="curve" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'
        for (x, y, k, _), (to_x, to_y, to_k, _) in pairwise(dots)
        if to_k == k + 1
    ]
    marks = [
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2"><title>{k}: {value:.2f}</title></circle>'
        for x, y, k, value in dots
    ]
    return _svg(label, [*lines, *marks, *_axes("1", str(len(values)), "1")])


def _share(value: float) -> float:
    return max(0.0, min(1.0, value))


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - 4)


def _axes(first: str, last: str, top: str) -> list[str]:
    return [
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH}" y1="{_y(0):.1f}" y2="{_y(0):.1f}"/>',
        f'<text x="{LEFT}" y="{HEIGHT - 2}">{escape(first)}</text>',
        f'<text x="{WIDTH}" y="{HEIGHT - 2}" text-anchor="end">{escape(last)}</text>',
        f'<text x="{LEFT - 4}" y="12" text-anchor="end">{escape(top)}</text>',
    ]


def _svg(label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'
    )
