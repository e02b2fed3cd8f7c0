"""The page of an audit, and its section for other pages."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .charts.axes import Axis
from .charts.rows import RowChart, Value, draw_rows
from .document import Cell, Figure, Group, Section, Table, drawn, point_keys
from .pattern_facts import range_words, ratio_words
from .readable import count, counted, listed, percent, plain, points, share
from .sections.headline import Headline, Tile
from .sheet import sheet, write_sheet
from .subgroups import Audit, Subgroup

_DRAWN, _LISTED, _EXAMPLES = 20, 200, 12
_INSIDE, _ELSEWHERE = 1, None


def write_audit_page(found: Audit, path: Path, *, title: str = "", command: str = "") -> Path:
    """Write the page of an audit.

    Args:
        found: the audit.
        path: the file.
        title: what the data are called.
        command: how this was made.

    Returns:
        The file.
    """
    write_sheet(path, audit_page(found, title=title, command=command))
    return path


def audit_page(found: Audit, *, title: str = "", command: str = "") -> str:
    """The page as text.

    Args:
        found: the audit.
        title: what the data are called.
        command: how this was made.

    Returns:
        HTML.
    """
    return sheet(_headline(found, title), [harm_section(found), _how(found, command)])


def _headline(found: Audit, title: str) -> Headline:
    number = len(found.subgroups)
    words = (
        f"Compression harms {counted(number, 'subgroup')} more than others" if number else "No subgroup is harmed more"
    )
    so_far = "" if found.complete else " The search was stopped before its end: there may be more."
    lead = (
        f"{title + ': ' if title else ''}{counted(found.lost, 'example')} of {count(found.examples)} were right before "
        "and are wrong after. The chance that any subgroup here is listed by accident is at most "
        f"{percent(found.alpha, 0)}."
    )
    change = points(found.accuracy_after - found.accuracy_before)
    tiles = (
        Tile("Accuracy before", percent(found.accuracy_before)),
        Tile("Accuracy after", percent(found.accuracy_after), change),
        Tile("Lost", count(found.lost), "right before, wrong after"),
        Tile("Gained", count(found.gained), "wrong before, right after"),
    )
    return Headline(words, lead + so_far, tiles)


def harm_section(found: Audit) -> Section:
    """Who is harmed: a picture and a table.

    Args:
        found: the audit.

    Returns:
        The section, for any page.
    """
    names = "harm", "Who is harmed", "Who is harmed by compression"
    if not found.subgroups:
        return Section(*names, missing="No subgroup is lost significantly more often than the others of its stratum.")
    lead = "Subgroups whose examples were right before and are wrong after, more often than others; the surest first."
    rows = [_row(at, one) for at, one in enumerate(found.subgroups[:_LISTED], 1)]
    is_shuffled = found.subgroups[0].adjusted is not None
    columns = [
        "subgroup",
        "lost",
        "elsewhere",
        "odds ratio",
        "p in all" if is_shuffled else "p",
        "accuracy before",
        "after",
        "gained",
    ]
    tables = [Table("", columns, rows[:_DRAWN])]
    if len(rows) > _DRAWN:
        tables.append(Table(f"Subgroups {_DRAWN + 1} to {len(rows)}", columns, rows[_DRAWN:], is_long=True))
    notes = [
        "Odds ratios are those of Mantel and Haenszel within the strata, with 95 % intervals; shares and accuracies "
        "are over all strata together. Accuracies count every example of the subgroup."
    ]
    best = found.subgroups[0]
    some = listed([str(at) for at in best.indices[:_EXAMPLES].tolist()], most=_EXAMPLES)
    if is_shuffled:
        notes.append("P in all: how often shuffled losses gave any subgroup as clear as this one.")
    notes.append(f"Examples lost from the first subgroup, by their positions: {some}.")
    return Section(*names, lead=lead, groups=[Group("", [_figure(found)])], tables=tables, notes=notes)


def _row(at: int, one: Subgroup) -> list[Cell]:
    return [
        Cell(f"{at}. {' & '.join(one.attributes)}"),
        Cell(share(one.rate), f"{count(one.lost)} of {count(one.examples)}"),
        Cell(share(one.elsewhere)),
        Cell(ratio_words(one.odds_ratio), range_words(one.low, one.high)),
        Cell(plain(one.p if one.adjusted is None else one.adjusted)),
        Cell(percent(one.accuracy_before)),
        Cell(percent(one.accuracy_after), points(one.accuracy_after - one.accuracy_before)),
        Cell(count(one.gained)),
    ]


def _figure(found: Audit) -> Figure:
    rows = [
        (
            f"{at}. {' & '.join(one.attributes)}",
            [
                Value("elsewhere", one.elsewhere, one.elsewhere, one.elsewhere, _ELSEWHERE, 1),
                Value("in the subgroup", one.rate, one.rate, one.rate, _INSIDE, 0),
            ],
        )
        for at, one in enumerate(found.subgroups[:_DRAWN], 1)
    ]
    chart = RowChart("Share lost", "In each subgroup and elsewhere.", rows, Axis("share lost", share, low=0.0))
    keys = point_keys([("in the subgroup", _INSIDE, 0), ("elsewhere", _ELSEWHERE, 1)])
    drawings = drawn(partial(draw_rows, chart), "harm-figure", half=False)
    return Figure("harm-figure", drawings, "The share of examples that were right before and are wrong after.", keys)


def _how(found: Audit, command: str) -> Section:
    shown = listed(list(found.strata), most=12)
    number = f"{len(found.strata)} {'stratum' if len(found.strata) == 1 else 'strata'}"
    notes = [f"{count(found.tested)} examples were compared within {number}: {shown}."]
    if found.spared:
        notes.append(f"{counted(found.spared, 'subgroup')} lost significantly fewer examples than others.")
    notes += [f"{note}." for note in found.notes]
    commands = [("Made by", command)] if command else []
    lead = f"All combinations of attributes were tested at a level of {plain(found.level)} each."
    return Section("how", "How", "How it was sought", lead=lead, notes=notes, commands=commands)
