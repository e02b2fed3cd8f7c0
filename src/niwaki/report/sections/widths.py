"""The widths of a network before and after a cut, group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..charts.axes import Axis
from ..charts.rows import RowChart, Value, draw_rows
from ..document import Figure, Table, cells, drawn, point_keys
from ..readable import count, share

_MOST_ROWS = 120


def widths_figure(groups: Sequence[Mapping[str, Any]], ident: str, heading: str = "") -> Figure:
    """Units of each group, before and after.

    Args:
        groups: at least one, each with ``name``, ``kind``, ``units`` and ``kept``.
        ident: of the figure.
        heading: stands above it.

    Returns:
        The figure.
    """
    shown = groups[:_MOST_ROWS]
    rows = [(g["name"], [_mark("before", g["units"], 0), _mark("after", g["kept"], 1)]) for g in shown]
    top = max(g["units"] for g in shown)
    chart = RowChart("Widths", "Units of each group before and after.", rows, Axis("units", low=0.0, high=float(top)))
    caption = "Units of each group, before and after."
    if len(groups) > len(shown):
        caption += f" The first {_MOST_ROWS} of {len(groups)} groups; the table has all."
    lines = [
        cells(g["name"], g["kind"], count(g["units"]), count(g["kept"]), share(g["kept"] / g["units"])) for g in groups
    ]
    table = Table("All groups", ["group", "kind", "before", "after", "density"], lines, is_long=True)
    keys = point_keys([("before", 0, 0), ("after", 1, 0)])
    return Figure(ident, drawn(partial(draw_rows, chart), ident, half=False), caption, keys, table, heading)


def _mark(name: str, value: int, tone: int) -> Value:
    return Value(name, float(value), float(value), float(value), tone, 0)
