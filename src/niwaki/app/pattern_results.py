"""Significant patterns as data: for the page, as JSON and CSV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..patterns import SignificantPatterns
from ..patterns.table import as_json, plain, write_text
from ..report.pattern_facts import Found, PatternFacts, Quantiles, Stratum
from ..report.patterns_page import write_patterns_page
from .pattern_data import PatternData

_RULES = {
    "exact": "The threshold is the exact one (LAMP)",
    "grid": "The threshold is the largest on a grid that keeps the bound",
    "reference": "The threshold is that of the reference program, whose bound may exceed the level asked",
}

# What the page is given of very many patterns.
_SUREST, _OTHERS = 500, 4000


def _strength(statistics: Any) -> Any:
    # Minus the decimal logarithm of the p-value, also where the p-value itself is too small for a number.
    from scipy.special import log_ndtr

    return -(math.log(2) + log_ndtr(-np.sqrt(np.maximum(statistics, 0.0)))) / math.log(10)


def pattern_facts(fitted: SignificantPatterns, data: PatternData, title: str, command: str) -> PatternFacts:
    """What the page is made from.

    Args:
        fitted: after `fit`.
        data: what was searched.
        title: what the data are called.
        command: how this was made.

    Returns:
        Plain data.
    """
    found = fitted.findings_
    surest = list(range(min(_SUREST, len(found))))
    others = np.unique(np.linspace(len(surest), len(found), _OTHERS, endpoint=False).astype(int)).tolist()
    sizes = zip(fitted.strata_, found.strata_sizes, found.strata_labels, strict=True)
    search = found.search
    way = f"Labels were shuffled {search.permutations:,} times within the strata (Westfall and Young)."
    return PatternFacts(
        title=title,
        positive=data.positive(str(fitted.classes_[1])),
        covariate=data.covariate,
        samples=found.samples,
        items=fitted.n_features_in_,
        strata=[Stratum(name, size, cases) for name, size, cases in sizes],
        alpha=search.alpha,
        level=found.level,
        testable=found.testable,
        complete=found.complete,
        patterns=_patterns(fitted, surest),
        count=len(found),
        others=_patterns(fitted, others) if len(found) > len(surest) else (),
        way=way if search.permutations else f"{_RULES[search.rule]}.",
        quantiles=_quantiles(fitted, data) if found.complete and found.testable else (),
        notes=fitted.notes_,
        left_out=fitted.left_out_,
        command=command,
    )


def _patterns(fitted: SignificantPatterns, chosen: list[int]) -> list[Found]:
    table = fitted.results_.columns
    strengths = _strength(fitted.findings_.statistic[chosen]).tolist()
    return [
        Found(
            tuple(table["items"][at]), table["samples"][at], table["cases"][at], table["p"][at], strength,
            table["odds_ratio"][at], table["low"][at], table["high"][at], table["q"][at],
            table["adjusted"][at] if "adjusted" in table else None,
        )
        for at, strength in zip(chosen, strengths, strict=True)
    ]  # fmt: skip


def _quantiles(fitted: SignificantPatterns, data: PatternData) -> tuple[Quantiles, ...]:
    found = fitted.findings_
    expected, within, pooled = found.quantiles
    x = (-np.log10(expected)).tolist()
    if not data.covariate:
        return (Quantiles("without a covariate", x, _strength(within).tolist(), found.inflation),)
    return (
        Quantiles(f"within {data.covariate}", x, _strength(within).tolist(), found.inflation),
        Quantiles("without the covariate", x, _strength(pooled).tolist(), found.inflation_pooled),
    )


def save_patterns(
    fitted: SignificantPatterns, data: PatternData, facts: PatternFacts, out: Path | None
) -> dict[str, Any]:
    """The result as plain data, written into a folder if one is given.

    Args:
        fitted: after `fit`.
        data: what was searched.
        facts: for the page.
        out: the folder; files of these names in it are replaced.

    Returns:
        What ``--json`` prints.
    """
    names = {"report": "report.html", "patterns": "patterns.csv", "result": "result.json"}
    files = {} if out is None else {name: str(out / file) for name, file in names.items()}
    result: dict[str, Any] = plain(
        {"data": facts.title, "label": facts.positive, "covariate": data.covariate or None, "files": files}
    )
    result |= fitted.summary()
    if out is not None:
        write_text(out / names["patterns"], fitted.results_.to_csv())
        write_text(out / names["result"], as_json(result))
        write_patterns_page(facts, out / names["report"])
    return result
