"""A page read back: its elements, tables, and the data behind a drawing's pixels."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Node:
    """An element of the page."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Node]:
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child

    @property
    def text(self) -> str:
        """All text inside, with plain spaces."""
        words = "".join(child if isinstance(child, str) else child.text for child in self.children)
        return words.replace("\N{NO-BREAK SPACE}", " ")

    @property
    def classes(self) -> set[str]:
        """Its classes."""
        return set(self.attributes.get("class", "").split())

    def all(self, tag: str, *classes: str) -> list[Node]:
        """Every element inside with this tag and all these classes."""
        return [node for node in self if node.tag == tag and set(classes) <= node.classes]

    def one(self, tag: str, *classes: str, **attributes: str) -> Node:
        """The only such element."""
        (found,) = [n for n in self.all(tag, *classes) if attributes.items() <= n.attributes.items()]
        return found

    def number(self, name: str) -> float:
        """An attribute as a number."""
        return float(self.attributes[name])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Node:
    """Read a page; every element must be closed in its place."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]


def figure_called(page: Node, heading: str, section: str | None = None) -> Node:
    """The figure under a heading."""
    where = page.one("section", id=section) if section else page
    (found,) = [f for f in where.all("figure") if any(n.tag in {"h3", "h4"} and n.text == heading for n in f)]
    return found


def table_called(page: Node, caption: str) -> Node:
    """The table with a caption."""
    (found,) = [t for t in page.all("table") if any(c.text == caption for c in t.all("caption"))]
    return found


def words_of(cell: Node) -> tuple[str, str]:
    """A cell's words, and the smaller ones below them."""
    below = "".join(node.text for node in cell.all("span", "below"))
    return cell.text.removesuffix(below), below


def rows_of(table: Node) -> dict[str, list[tuple[str, str]]]:
    """The cells of a table by the name of their row."""
    body = table.one("tbody")
    return {words_of(row.one("th"))[0]: [words_of(cell) for cell in row.all("td")] for row in body.all("tr")}


def inverse(svg: Node, axis: str, *, log: bool = False) -> Callable[[float], float]:
    """From pixels back to data, from two ticks of an axis."""
    ticks = svg.all("text", "tick", axis)
    # The labels of the vertical axis stand 4 pixels below their lines; the others say where their line is.
    at = [t.number("data-at") if axis == "x" else t.number("y") - 4 for t in ticks]
    values = [math.log(t.number("data-value")) if log else t.number("data-value") for t in ticks]
    slope = (values[-1] - values[0]) / (at[-1] - at[0])

    def back(pixel: float) -> float:
        value = values[0] + slope * (pixel - at[0])
        return math.exp(value) if log else value

    return back


def points(path: str) -> list[tuple[float, float]]:
    """The points of a path of straight lines."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    """What a run wrote down, of one kind."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    return [line for line in lines if line["kind"] == kind]


def result(folder: Path) -> dict[str, Any]:
    """A run's result."""
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found
