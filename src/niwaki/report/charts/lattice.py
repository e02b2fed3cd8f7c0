"""Which pattern contains which: a level per number of items, a line from each to those it extends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .lines import tone_class
from .svg import Frame, drawing, path, tag, text, title

_ROW = 66.0
_LARGEST, _SMALLEST = 15.0, 4.0
_SWEEPS = 8


@dataclass(frozen=True)
class Node:
    """One pattern: its items, the label inside, what it says when pointed at, and a weight from 0 to 1."""

    items: frozenset[str]
    label: str
    words: str
    weight: float
    tone: int | None = 0


@dataclass(frozen=True)
class LatticeChart:
    """Patterns, each with another set of items."""

    title: str
    description: str
    nodes: Sequence[Node]


def covers(nodes: Sequence[Node]) -> list[tuple[int, int]]:
    """Pairs ``(smaller, larger)`` where the larger contains the smaller and nothing drawn lies between them.

    >>> def node(items):
    ...     return Node(frozenset(items), "", "", 1.0)
    >>> covers([node("a"), node("ab"), node("abc"), node("c")])
    [(0, 1), (1, 2), (3, 2)]
    """
    below = [[i for i, small in enumerate(nodes) if small.items < large.items] for large in nodes]
    return [
        (i, j)
        for j in range(len(nodes))
        for i in below[j]
        if not any(nodes[i].items < nodes[k].items for k in below[j])
    ]


def draw_lattice(chart: LatticeChart, frame: Frame, ident: str) -> str:
    """Draw a lattice.

    Args:
        chart: what to draw, at least one pattern.
        frame: how wide; the height follows from the levels.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    links = covers(chart.nodes)
    rows = _rows(chart.nodes, links)
    most = max(len(row) for _, row in rows)
    frame = replace(frame, left=64 if frame.width > 500 else 48, right=10, top=8, bottom=8)
    frame = replace(frame, height=frame.top + _ROW * len(rows) + frame.bottom)
    left, top, right, _ = frame.inner
    largest = max(_SMALLEST, min(_LARGEST, (right - left) / most * 0.46))
    place = {}
    parts = []
    for at, (size, row) in enumerate(rows):
        y = top + _ROW * (at + 0.5)
        parts.append(tag("text", text(f"{size} item{'' if size == 1 else 's'}"), x=2, y=y + 4, class_="tick"))
        for order, node in enumerate(row):
            place[node] = left + (right - left) * (order + 0.5) / len(row), y
    for i, j in links:
        tones = {chart.nodes[i].tone, chart.nodes[j].tone}
        look = tone_class(chart.nodes[j].tone if len(tones) == 1 else None)
        parts.append(tag("path", d=path([place[i], place[j]]), class_=f"link {look}", data_link=f"{i} {j}"))
    parts += [_circle(node, place[at], largest) for at, node in enumerate(chart.nodes)]
    return drawing(frame, ident, chart.title, chart.description, parts)


def _rows(nodes: Sequence[Node], links: Sequence[tuple[int, int]]) -> list[tuple[int, list[int]]]:
    """Nodes by their number of items; within a row in the order that keeps lines short."""
    sizes = sorted({len(node.items) for node in nodes})
    rows = [[at for at, node in enumerate(nodes) if len(node.items) == size] for size in sizes]
    near: dict[int, list[int]] = {at: [] for at in range(len(nodes))}
    for i, j in links:
        near[i].append(j)
        near[j].append(i)
    for _ in range(_SWEEPS):
        where = {node: (order + 0.5) / len(row) for row in rows for order, node in enumerate(row)}
        for row in rows:
            mean = {node: sum(where[n] for n in near[node]) / len(near[node]) for node in row if near[node]}
            row.sort(key=lambda node: (mean.get(node, where[node]), node))  # noqa: B023  # used before it changes
            where |= {node: (order + 0.5) / len(row) for order, node in enumerate(row)}
    return list(zip(sizes, rows, strict=True))


def _circle(node: Node, place: tuple[float, float], largest: float) -> str:
    radius = max(_SMALLEST, largest * (0.6 + 0.4 * node.weight**0.5))
    x, y = place
    drawn = tag("circle", title(node.words), cx=x, cy=y, r=radius, class_=f"node {tone_class(node.tone)}")
    if radius < 8:
        return drawn
    return drawn + tag("text", text(node.label), x=x, y=y + 3.5, class_="inside tight on")
