"""The chart of a study's scores as SVG, in black and white: each part's trials, and the limit."""

from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 40
_MOST_TICKS = 7


def score_chart(
    scores: NDArray[np.float64],
    is_defective: NDArray[np.bool_],
    limits: dict[str, float],
    zone: tuple[float, float],
) -> str:
    """Draw the scores of all trials, part by part in the order of their means.

    Good parts are open circles, defective ones filled; a line joins the trials of a part. Limits
    are dashed, the grey zone is shaded.

    Args:
        scores: float `[P, T]`.
        is_defective: bool `[P]`.
        limits: scores by name.
        zone: its ends; NaN where there is none.

    >>> chart = score_chart(np.array([[1.0, 1.1], [2.0, 2.2]]), np.array([False, True]),
    ...                     {"threshold": 1.5}, (1.1, 2.0))
    >>> chart.count("<circle"), "threshold" in chart  # four trials, two in the legend
    (6, True)
    """
    order = np.argsort(scores.mean(1), kind="stable")
    low, high = _range([*scores.ravel(), *limits.values()])
    inner = _WIDTH - _LEFT - _RIGHT

    def x(rank: float) -> float:
        return _LEFT + inner * (rank + 0.5) / len(scores)

    def y(score: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (score - low) / (high - low)

    marks = []
    if np.isfinite(zone).all() and zone[1] > zone[0]:
        marks.append(
            f'<rect class="zone" x="{_LEFT}" y="{y(zone[1]):.1f}" width="{inner}" '
            f'height="{y(zone[0]) - y(zone[1]):.1f}"/>'
        )
    for tick in _ticks(low, high):
        marks.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" '
            f'y2="{y(tick):.1f}"/><text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" '
            f'text-anchor="end">{tick:.5g}</text>'
        )
    for name, limit in limits.items():
        below = 13 if limit < max(limits.values()) else -5  # close limits' labels stay apart
        marks.append(
            f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(limit):.1f}" '
            f'y2="{y(limit):.1f}"/><text x="{_LEFT + 6}" y="{y(limit) + below:.1f}">'
            f"{escape(name)} {limit:.4g}</text>"
        )
    for rank, i in enumerate(order):
        ends = y(scores[i].min()), y(scores[i].max())
        marks.append(
            f'<line class="part" x1="{x(rank):.1f}" x2="{x(rank):.1f}" '
            f'y1="{ends[0]:.1f}" y2="{ends[1]:.1f}"/>'
        )
        kind = "bad" if is_defective[i] else "good"
        marks += [
            f'<circle class="{kind}" cx="{x(rank):.1f}" cy="{y(s):.1f}" r="3.2"/>'
            for s in scores[i]
        ]
    middle = _LEFT + inner / 2
    marks.append(
        f'<text transform="translate(14 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">score'
        "</text>"
        f'<text x="{middle}" y="{_HEIGHT - 20}" text-anchor="middle">parts, by mean score</text>'
        f'<circle class="good" cx="{middle - 92}" cy="{_HEIGHT - 7}" r="3.2"/>'
        f'<text x="{middle - 84}" y="{_HEIGHT - 3}">good</text>'
        f'<circle class="bad" cx="{middle - 36}" cy="{_HEIGHT - 7}" r="3.2"/>'
        f'<text x="{middle - 28}" y="{_HEIGHT - 3}">defective by the reference</text>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Scores by part">'
        f"{''.join(marks)}</svg>"
    )


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in a range: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10((high - low) / _MOST_TICKS))
    step = next(s * power for s in (1, 2, 5, 10, 20) if (high - low) / (s * power) <= _MOST_TICKS)
    return [float(i * step) for i in range(int(np.ceil(low / step)), int(high // step) + 1)]
