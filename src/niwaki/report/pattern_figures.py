"""The figures of the page about patterns."""

from __future__ import annotations

import math
from functools import partial

from .charts.axes import Axis
from .charts.cloud import CloudChart, Level, Mark, draw_cloud
from .charts.lattice import LatticeChart, Node, draw_lattice
from .charts.svg import shortened
from .document import Figure, Group, Key, drawn, point_keys
from .pattern_facts import Found, PatternFacts
from .readable import count, plain, times

_FOR, _AGAINST = 0, 1
_MOST_NODES, _TOP, _NAMED = 40, 300, 6


def tone(found: Found) -> int:
    """Green for patterns that go with the class, orange for those that go against it."""
    return _FOR if found.odds_ratio >= 1 else _AGAINST


def pattern_keys(facts: PatternFacts) -> list[Key]:
    """The legend of both."""
    return point_keys([(f"more often {facts.positive}", _FOR, 0), ("less often", _AGAINST, 0)])


def _words(found: Found) -> str:
    held = f"{count(found.cases)} of {count(found.support)} samples"
    return f"{found.words}: odds ratio {found.ratio_words}, p {found.p_words}, {held}"


def volcano_group(facts: PatternFacts) -> Group:
    """Odds ratio against p-value; of very many patterns the surest, and one for each place of the others."""
    some = [*facts.patterns[:_TOP], *facts.others]
    strongest = max((abs(_log(found)) for found in some if math.isfinite(_log(found))), default=1.0)
    highest = max(found.strength for found in some)
    places: dict[tuple[int, float], Mark] = {}
    for at, found in enumerate(some):
        x = max(-strongest - 1, min(strongest + 1, _log(found)))
        key = (at, -1.0) if at < _TOP else (round(x * 30 / strongest), round(found.strength * 60 / highest))
        name = shortened(found.words, 210, 11) if at < _NAMED else ""
        places.setdefault(key, Mark(x, found.strength, _words(found), tone(found), name=name))
    marks = list(places.values())
    chart = CloudChart(
        "Volcano plot",
        f"{count(facts.count)} patterns by odds ratio and p-value, {count(len(marks))} of them drawn.",
        marks,
        Axis("odds ratio, on a scale of doublings", _ratio),
        Axis("p-value, as minus its power of ten", plain),
        [Level(-math.log10(facts.level), "level")] if facts.level > 0 else [],
    )
    caption = f"Every pattern above the dashed line, p = {plain(facts.level)}, is significant."
    if len(marks) < facts.count:
        caption += f" {count(len(marks))} of {count(facts.count)} are drawn: the surest, and one for each place."
    drawings = drawn(partial(draw_cloud, chart), "volcano-figure", half=False)
    return Group("", [Figure("volcano-figure", drawings, caption, pattern_keys(facts))])


def _log(found: Found) -> float:
    if found.odds_ratio <= 0:
        return -math.inf
    return math.log2(found.odds_ratio)


def _ratio(value: float) -> str:
    return times(2.0**value) if value >= 0 else f"1/{plain(2.0**-value)}"


def lattice_group(facts: PatternFacts) -> Group:
    """The surest patterns and which of them extend which."""
    some = facts.patterns[:_MOST_NODES]
    most = max(found.support for found in some)
    nodes = [
        Node(frozenset(found.items), str(at), f"{at}. {_words(found)}", found.support / most, tone(found))
        for at, found in enumerate(some, 1)
    ]
    chart = LatticeChart("Pattern lattice", f"The {len(nodes)} surest patterns by their number of items.", nodes)
    caption = "The larger a disc, the more samples hold the pattern."
    if facts.count > len(some):
        caption = f"The {len(some)} surest of {count(facts.count)} patterns. {caption}"
    drawings = drawn(partial(draw_lattice, chart), "lattice-figure", half=False)
    return Group("", [Figure("lattice-figure", drawings, caption, pattern_keys(facts))])


def inflation_group(facts: PatternFacts) -> Group:
    """Quantiles of the p-values of all testable patterns, with the strata and without."""
    marks = [
        Mark(e, o, f"{quantiles.name}: expected {plain(e)}, observed {plain(o)}", tone=at, mark=at)
        for at, quantiles in enumerate(facts.quantiles)
        for e, o in zip(quantiles.expected, quantiles.observed, strict=True)
    ]
    chart = CloudChart(
        "Inflation plot",
        "Quantiles of the p-values against those expected if nothing were there.",
        marks,
        Axis("expected, as minus the power of ten", plain, low=0.0),
        Axis("observed", plain, low=0.0),
        diagonal=True,
    )
    words = [f"{quantiles.name}: inflation {plain(quantiles.inflation)}" for quantiles in facts.quantiles]
    keys = point_keys([(name, at, at) for at, name in enumerate(words)])
    caption = (
        "P-values of the testable patterns. Inflation is their median statistic over that expected. "
        "Patterns share samples, so that even without a confounder the curve may leave the line."
    )
    drawings = drawn(partial(draw_cloud, chart), "inflation-figure", half=False)
    return Group("", [Figure("inflation-figure", drawings, caption, keys)])
