"""Small drawings made on the server, as coordinates for SVG: they are there without scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: The box of a sparkline; it is stretched to its cell.
SPARK_WIDTH, SPARK_HEIGHT = 100, 20


def points(places: Iterable[tuple[float, float]]) -> str:
    """`x,y x,y …` for a `polyline` or `polygon`."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def spark(values: Sequence[float]) -> str:
    """A line over the box from its left to its right, as high as the highest value; empty for nothing."""
    top = max(values, default=0)
    if top <= 0:
        return ""
    known = values if len(values) > 1 else [values[0], values[0]]
    step = SPARK_WIDTH / (len(known) - 1)
    return points(
        (place * step, SPARK_HEIGHT - 1 - value / top * (SPARK_HEIGHT - 2)) for place, value in enumerate(known)
    )
