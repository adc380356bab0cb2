"""Plots as SVG: how scores are spread, and whether slow answers are better."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

BINS = 20
MOST_DOTS = 1500
WIDTH, HEIGHT = 260, 90
LEFT, BOTTOM = 30, 14


def histogram(values: Sequence[float], threshold: float | None, *, label: str) -> str:
    """Give a histogram of values from 0 to 1 in 20 bins, with a line at the threshold.

    Args:
        values: The values.
        threshold: Least value that is no breach; None without.
        label: What it shows, for those who cannot see it.
    """
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value * BINS))] += 1
    most = max(counts, default=0) or 1
    step = (WIDTH - LEFT) / BINS
    bars = [
        f'<rect class="bar" x="{LEFT + n * step + 0.5:.1f}" y="{_y(count / most):.1f}" '
        f'width="{step - 1:.1f}" height="{_y(0) - _y(count / most):.1f}"/>'
        for n, count in enumerate(counts)
        if count
    ]
    bound = "" if threshold is None else _upright(LEFT + threshold * (WIDTH - LEFT))
    return _svg(label, [*bars, bound, *_axes("0", "1", f"{most:,}")])


def scatter(points: Sequence[tuple[float, float]], *, label: str) -> str:
    """Give points of seconds (x) and a value from 0 to 1 (y); of very many every n-th.

    Args:
        points: Seconds and value.
        label: What it shows, for those who cannot see it.
    """
    longest = max((seconds for seconds, _ in points), default=0.0) or 1.0
    shown = points[:: -(-len(points) // MOST_DOTS) or 1]
    dots = [
        f'<circle class="dot" cx="{LEFT + seconds / longest * (WIDTH - LEFT - 3):.1f}" '
        f'cy="{_y(value):.1f}" r="2"/>'
        for seconds, value in shown
    ]
    return _svg(label, [*dots, *_axes("0", f"{longest:.3g} s", "1")])


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - 4)


def _upright(x: float) -> str:
    return f'<line class="bound" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{_y(0):.1f}"/>'


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
