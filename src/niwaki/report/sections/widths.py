"""What a cut leaves of a network, group by group: widths before and after, or the shares that are not zero."""

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
    keys = point_keys([("before", 0, 0), ("after", 1, 0)])
    caption = "Units of each group, before and after." + _cut_short(groups)
    return Figure(ident, drawn(partial(draw_rows, chart), ident, half=False), caption, keys, _table(groups), heading)


def densities_figure(groups: Sequence[Mapping[str, Any]], ident: str) -> Figure:
    """The share of each group's units that stays: groups of weights differ too much in size to show their counts.

    Args:
        groups: at least one, each with ``name``, ``kind``, ``units`` and ``kept``.
        ident: of the figure.

    Returns:
        The figure.
    """
    rows = [(g["name"], [_mark("density", g["kept"] / g["units"], 0)]) for g in groups[:_MOST_ROWS]]
    axis = Axis("share that stays", share, low=0.0, high=1.0)
    chart = RowChart("Densities", "The share of each group's units that stays.", rows, axis)
    caption = "The share of each group's units that stays." + _cut_short(groups)
    return Figure(ident, drawn(partial(draw_rows, chart), ident, half=False), caption, numbers=_table(groups))


def _cut_short(groups: Sequence[Mapping[str, Any]]) -> str:
    more = len(groups) > _MOST_ROWS
    return f" The first {_MOST_ROWS} of {len(groups)} groups; the table has all." if more else ""


def _table(groups: Sequence[Mapping[str, Any]]) -> Table:
    lines = [
        cells(g["name"], g["kind"], count(g["units"]), count(g["kept"]), share(g["kept"] / g["units"])) for g in groups
    ]
    return Table("All groups", ["group", "kind", "before", "after", "density"], lines, is_long=True)


def _mark(name: str, value: float, tone: int) -> Value:
    return Value(name, float(value), float(value), float(value), tone, 0)
