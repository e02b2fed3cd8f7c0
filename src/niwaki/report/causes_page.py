"""The page about causes: network, score matrix, ranked edges."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .cause_facts import CauseFacts, RankedEdge
from .charts.axes import Axis
from .charts.heat import LEVELS
from .charts.matrix import MatrixChart, draw_matrix, limits
from .charts.network import Arrow, NetworkChart, draw_network
from .charts.rows import RowChart, Value, draw_rows
from .document import Cell, Figure, Group, Key, Section, Table, cells, drawn, heat_keys, point_keys
from .readable import count, counted, percent, plain
from .sections.headline import Headline, Tile
from .sheet import sheet, write_sheet

_TRUE, _FALSE = 0, 1
_BARS, _ROWS = 25, 400


def write_causes_page(facts: CauseFacts, path: Path) -> Path:
    """Write the page.

    Args:
        facts: what was computed.
        path: the file.

    Returns:
        The file.
    """
    write_sheet(path, causes_page(facts))
    return path


def causes_page(facts: CauseFacts) -> str:
    """The page as text.

    Args:
        facts: what was computed.

    Returns:
        HTML.
    """
    return sheet(_headline(facts), [_network(facts), _matrix(facts), _ranking(facts), _limits(facts)])


def _headline(facts: CauseFacts) -> Headline:
    best = facts.edges[0]
    found = len(facts.drawn)
    if facts.test:
        title = f"{counted(found, 'edge')} of {len(facts.edges):,} between {counted(len(facts.names), 'variable')}"
    else:
        title = f"{best.words} scores highest"
    points, variables = counted(facts.length, "time point"), counted(len(facts.names), "variable")
    test = (
        f"{facts.test}." if facts.test else "Scores are ranked, not tested: surrogates tell which are more than noise."
    )
    lead = f"{facts.title}: {points} of {variables}, {facts.method}. {test}"
    if not facts.complete:
        title += " so far"
        lead += " The scoring was stopped before its end: every score here is final, but pairs are missing."
    tiles = [Tile("Highest score", plain(best.score), best.words)]
    if facts.test:
        tiles.append(Tile("Significant edges", count(found), f"of {count(len(facts.edges))} pairs"))
    if facts.judged:
        share = facts.judged.edges / facts.judged.pairs
        tiles.append(Tile("AUROC", plain(facts.judged.auroc), "0.5 for blind guessing"))
        tiles.append(Tile("AUPR", plain(facts.judged.aupr), f"{plain(share)} for blind guessing"))
    return Headline(title, lead, tuple(tiles))


def _tone(edge: RankedEdge) -> int:
    return _FALSE if edge.true is False else _TRUE


def _words(edge: RankedEdge) -> str:
    test = "" if edge.p is None or edge.q is None else f", p {plain(edge.p)}, adjusted {plain(edge.q)}"
    return f"{edge.words}: {plain(edge.score)}{test}" + ("" if edge.true is None else f", {_truth(edge)}")


def _truth(edge: RankedEdge) -> str:
    return "a true edge" if edge.true else "no true edge"


def _network(facts: CauseFacts) -> Section:
    names = "network", "Network", "Who acts on whom"
    place = {name: at for at, name in enumerate(facts.names)}
    if not facts.drawn:
        return Section(*names, missing=f"No edge is significant{'' if facts.complete else ' so far'}.")
    scores = [edge.score for edge in facts.drawn]
    low, span = min(scores), (max(scores) - min(scores)) or 1.0
    arrows = [
        Arrow(place[e.source], place[e.target], _words(e), 0.15 + 0.85 * (e.score - low) / span, _tone(e))
        for e in facts.drawn
    ]
    chosen = "significant edges" if facts.test else "edges with the highest scores"
    chart = NetworkChart("Network", f"The {len(arrows)} {chosen} as arrows.", facts.names, arrows)
    caption = f"The {chosen}; a thicker arrow is a higher score."
    if facts.judged:
        found = sum(edge.true is True for edge in facts.drawn)
        caption += f" {found} of the {facts.judged.edges} true edges are among these {len(arrows)}."
    drawings = drawn(partial(draw_network, chart), "network-figure", half=False)
    return Section(*names, groups=[Group("", [Figure("network-figure", drawings, caption, _keys(facts))])])


def _keys(facts: CauseFacts) -> list[Key]:
    return point_keys([("true edge", _TRUE, 0), ("no true edge", _FALSE, 0)]) if facts.judged else []


def _matrix(facts: CauseFacts) -> Section:
    place = {name: at for at, name in enumerate(facts.names)}
    marked = [(place[e.source], place[e.target]) for e in facts.edges if (e.true if facts.judged else e.significant)]
    chart = MatrixChart("Score matrix", "Scores of all ordered pairs.", facts.names, facts.values, marked)
    low, high = limits(facts.values)
    frames = "true edges" if facts.judged else "significant edges"
    caption = "The stronger the colour, the higher the score." + (f" Framed: {frames}." if marked else "")
    drawings = drawn(partial(draw_matrix, chart), "matrix-figure", half=False)
    figure = Figure("matrix-figure", drawings, caption, heat_keys(plain(low), plain(high), LEVELS))
    return Section("matrix", "Scores", "All pairs", groups=[Group("", [figure])])


def _ranking(facts: CauseFacts) -> Section:
    top = facts.edges[:_BARS]
    rows = [(e.words, [Value("score", e.score, e.score, e.score, _tone(e))]) for e in top]
    lowest = min(0.0, *(e.score for e in top)) if len(top) > 1 else min(0.0, top[0].score)
    chart = RowChart("Ranked edges", f"The {len(top)} highest scores.", rows, Axis("score", plain, low=lowest))
    caption = f"The {len(top)} highest scores of {count(len(facts.edges))}."
    figure = Figure(
        "ranking-figure", drawn(partial(draw_rows, chart), "ranking-figure", half=False), caption, _keys(facts)
    )
    columns = ["edge", "score", *(["p", "adjusted p"] if facts.test else []), *(["truth"] if facts.judged else [])]
    table = Table(f"The first {min(_ROWS, len(facts.edges))} edges", columns, _rows(facts), is_long=True)
    return Section("ranking", "Ranking", "Edges by score", groups=[Group("", [figure])], tables=[table])


def _rows(facts: CauseFacts) -> list[list[Cell]]:
    rows = []
    for at, edge in enumerate(facts.edges[:_ROWS], 1):
        row = [Cell(f"{at}. {edge.words}", look="best" if edge.significant else ""), Cell(plain(edge.score))]
        row += cells(plain(edge.p), plain(edge.q)) if facts.test else []
        row += cells("unknown" if edge.true is None else "edge" if edge.true else "none") if facts.judged else []
        rows.append(row)
    return rows


def _limits(facts: CauseFacts) -> Section:
    lead = "A score says that the past of one series bears on another, given this index. It is no experiment."
    level = [f"Edges are called significant at {percent(facts.alpha, 0)}."] if facts.test else []
    notes = [*level, *(f"{note}." for note in facts.notes)]
    commands = [("Made by", facts.command)] if facts.command else []
    return Section("limits", "Limits", "What limits the conclusions", lead=lead, notes=notes, commands=commands)
