"""The page about significant patterns: volcano, lattice, inflation, table."""

from __future__ import annotations

from pathlib import Path

from .document import Cell, Section, Table, cells
from .pattern_facts import Found, PatternFacts
from .pattern_figures import inflation_group, lattice_group, volcano_group
from .readable import count, counted, listed, percent, plain
from .sections.headline import Headline, Tile
from .sheet import sheet, write_sheet

_SHOWN, _FOLDED = 25, 475


def write_patterns_page(facts: PatternFacts, path: Path) -> Path:
    """Write the page.

    Args:
        facts: what was found.
        path: the file.

    Returns:
        The file.
    """
    write_sheet(path, patterns_page(facts))
    return path


def patterns_page(facts: PatternFacts) -> str:
    """The page as text.

    Args:
        facts: what was found.

    Returns:
        HTML.
    """
    return sheet(_headline(facts), [_table(facts), _volcano(facts), _lattice(facts), _inflation(facts), _data(facts)])


def _headline(facts: PatternFacts) -> Headline:
    found = facts.count
    so_far = "" if facts.complete else " so far"
    if found:
        title = f"{counted(found, 'combination')} of features {'goes' if found == 1 else 'go'} with {facts.positive}"
    else:
        title = f"No combination of features goes with {facts.positive}"
    within = f" in {counted(len(facts.strata), 'stratum').replace('stratums', 'strata')} of {facts.covariate}"
    lead = f"{facts.title}: all combinations of {counted(facts.items, 'item')} in {counted(facts.samples, 'sample')}"
    lead += within if facts.covariate else ""
    lead += f". The chance that anything listed here is there by accident is at most {percent(facts.alpha, 0)}."
    if not facts.complete:
        lead += " The search was stopped before its end: what is listed is proven, but it is not all there is."
    tiles = [
        Tile(
            "Significant patterns", count(found), "proven so far" if so_far else f"of {count(facts.testable)} testable"
        )
    ]
    tiles.append(Tile("Level", plain(facts.level), f"for each p-value, for {percent(facts.alpha, 0)} in all"))
    if found:
        best = facts.patterns[0]
        tiles.append(Tile("Smallest p-value", best.p_words, best.words))
        tiles.append(Tile("Its odds ratio", best.ratio_words, best.range_words))
    for quantile in facts.quantiles:
        tiles.append(Tile("Inflation", plain(quantile.inflation), quantile.name))
    return Headline(title + so_far, lead, tuple(tiles))


def _row(at: int, found: Found, facts: PatternFacts) -> list[Cell]:
    last = [] if found.adjusted is None else [Cell(plain(found.adjusted))]
    return [
        Cell(f"{at}. {found.words}"),
        Cell(found.ratio_words, found.range_words),
        Cell(found.p_words),
        Cell(plain(found.q) if found.q is None or found.q > 0 else "0"),
        *last,
        Cell(count(found.support), percent(found.support / facts.samples)),
        Cell(count(found.cases), percent(found.cases / max(1, found.support))),
    ]


def _table(facts: PatternFacts) -> Section:
    names = "found", "Patterns", "What was found"
    if not facts.patterns:
        why = (
            "No pattern is significant"
            + ("" if facts.complete else " so far")
            + f" at a level of {plain(facts.level)}."
        )
        return Section(*names, missing=why)
    adjusted = facts.patterns[0].adjusted is not None
    columns = ["pattern", "odds ratio", "p", "q", *(["adjusted p"] if adjusted else []), "samples", facts.positive]
    rows = [_row(at, found, facts) for at, found in enumerate(facts.patterns[: _SHOWN + _FOLDED], 1)]
    tables = [Table("", columns, rows[:_SHOWN])]
    if len(rows) > _SHOWN:
        tables.append(Table(f"Patterns {_SHOWN + 1} to {len(rows)}", columns, rows[_SHOWN:], is_long=True))
    notes = [
        f"Samples hold all items of the pattern; the last column counts those of them where {facts.positive}. "
        "Odds ratios are those of Mantel and Haenszel over the strata, with 95 % intervals; q is the share of false "
        "findings if everything up to this line were reported."
    ]
    if facts.count > len(rows):
        notes.append(f"{count(facts.count - len(rows))} more are in the file of results.")
    return Section(*names, lead="By p-value, smallest first.", tables=tables, notes=notes)


def _volcano(facts: PatternFacts) -> Section:
    names = "volcano", "Volcano", "How strong and how sure"
    if not facts.patterns:
        return Section(*names, missing="There is nothing to draw.")
    lead = "Each point is a pattern: to the right it goes with the class, to the left against it; higher is surer."
    return Section(*names, lead=lead, groups=[volcano_group(facts)])


def _lattice(facts: PatternFacts) -> Section:
    names = "lattice", "Lattice", "Which contain which"
    if not facts.patterns:
        return Section(*names, missing="There is nothing to draw.")
    lead = "A line leads from a pattern to those that extend it. The numbers are those of the table."
    return Section(*names, lead=lead, groups=[lattice_group(facts)])


def _inflation(facts: PatternFacts) -> Section:
    names = "inflation", "Inflation", "With and without the covariate"
    if not facts.quantiles:
        return Section(*names, missing="The search was stopped before its p-values were all known.")
    lead = (
        "On the dashed line, p-values are as expected if nothing were there; a curve far above warns of a confounder."
    )
    return Section(*names, lead=lead, groups=[inflation_group(facts)])


def _data(facts: PatternFacts) -> Section:
    rows = [
        [Cell(s.name), *cells(count(s.samples), count(s.cases), percent(s.cases / max(1, s.samples)))]
        for s in facts.strata
    ]
    strata = Table(f"Strata of {facts.covariate}", ["stratum", "samples", facts.positive, "share"], rows)
    reasons: dict[str, list[str]] = {}
    for name, why in facts.left_out.items():
        reasons.setdefault(why, []).append(name)
    notes = [f"No item: {listed(some)} {why}." for why, some in reasons.items()]
    return Section(
        "data", "Data", "What it was found in", lead=facts.way, tables=[strata] if facts.covariate else [],
        notes=[*notes, *(f"{note}." for note in facts.notes)],
        commands=[("Made by", facts.command)] if facts.command else [],
    )  # fmt: skip
