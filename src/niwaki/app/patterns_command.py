"""``niwaki patterns``: which combinations of features go along with a label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shell import Debug, Json, Quiet, command, console, errors, option, say
from .watch import end, told

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..report.pattern_facts import PatternFacts

_SHOWN = 20


def patterns(
    data: Annotated[Path, typer.Argument(help="CSV, Parquet, or transactions with a file of labels.")],
    *,
    label: Annotated[str, option("The column of the label; or a file of labels, for transactions.")],
    covariate: Annotated[list[str] | None, option("The column, or file, of a covariate; may be repeated.")] = None,
    bins: Annotated[
        list[str] | None, option("Cut numbers into so many bins (4), or one column: age=5.", "--bin")
    ] = None,
    positive: Annotated[str | None, option("The label of class 1, where that is not clear.")] = None,
    missing: Annotated[str, typer.Option(help="A missing value is no item (off), an item, or an error.")] = "off",
    alpha: Annotated[float, typer.Option(help="The chance of any false finding at all.")] = 0.05,
    rule: Annotated[str, typer.Option(help="How the threshold is found: exact, grid or reference.")] = "exact",
    max_size: Annotated[int | None, option("The most items of a pattern.")] = None,
    min_support: Annotated[int, typer.Option(min=1, help="The fewest samples that hold it.")] = 1,
    permutations: Annotated[int, typer.Option(min=0, help="Shuffle labels so often for the threshold.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffles.")] = 0,
    workers: Annotated[int, typer.Option(help="How many share the search; -1 for all cores.")] = 1,
    two_passes: Annotated[bool, typer.Option("--two-passes", help="Search twice, in less memory.")] = False,
    only: Annotated[list[str] | None, option("A column to make items of; may be repeated. All if none.")] = None,
    drop: Annotated[list[str] | None, option("A column to leave out; may be repeated.")] = None,
    names: Annotated[str | None, option("Names of the columns, with commas, if the file has none.")] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="The file has no names: they are 1, 2, 3 ...")] = False,
    out: Annotated[Path | None, option("Folder for report.html, patterns.csv and result.json.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find the combinations of features that go along with a label, given a covariate."""
    given = dict(locals())
    with errors(debug):
        facts, result = _found(**given)
        say(result, lambda: _show(facts, result, console()), as_json, quiet)
        end(facts.complete, "every pattern listed is proven")


_SETTINGS = ("alpha", "rule", "max_size", "min_support", "permutations", "seed", "workers", "missing", "positive")


def _found(data: Path, *, label: str, covariate: list[str] | None, **given: Any) -> tuple[PatternFacts, dict[str, Any]]:
    from ..patterns import SignificantPatterns
    from .pattern_data import bins_from, read_data
    from .pattern_results import pattern_facts, save_patterns

    columns: dict[str, Any] = {"drop": given["drop"] or (), "only": given["only"] or ()}
    columns |= {"names": given["names"] and given["names"].split(","), "header": not given["no_header"]}
    read = read_data(data, label, covariate or (), **columns)
    bins, bins_of = bins_from(given["bins"] or ())
    settings = {name: given[name] for name in _SETTINGS}
    settings |= {"bins": bins, "bins_of": bins_of, "passes": "two" if given["two_passes"] else "one"}
    with told(quiet=given["quiet"]) as progress:
        fitted = SignificantPatterns(**settings, progress=progress).fit(read.features, read.labels, read.groups)
    facts = pattern_facts(fitted, read, data.name, command())
    return facts, save_patterns(fitted, read, facts, given["out"])


def _show(facts: PatternFacts, result: dict[str, Any], to: Console) -> None:
    within = f", within {len(facts.strata)} strata of {facts.covariate}" if facts.covariate else ""
    lines = [f"{facts.samples:,} samples, {facts.items:,} items{within}"]
    to.print(*lines, highlight=False, markup=False)
    if facts.patterns:
        to.print(_table(facts))
    else:
        to.print("no pattern is significant" + ("" if facts.complete else " so far"))
    lines = []
    if facts.count > _SHOWN:
        lines.append(f"the first {_SHOWN} of {facts.count:,} patterns")
    lines.append(
        f"level {facts.level:.3g} for each p-value: the chance of any false finding is at most {facts.alpha:g}"
    )
    if facts.complete and facts.quantiles:
        inflation = ", ".join(f"{quantiles.inflation:.3g} {quantiles.name}" for quantiles in facts.quantiles)
        lines.append(f"{facts.testable:,} testable patterns; inflation {inflation}")
    lines += [f"note: {note}" for note in facts.notes]
    where = result["files"].get("report")
    lines.append(f"the report is in {where}" if where else "--out DIR writes a report and the results as files")
    for line in lines:
        to.print(line, markup=False, highlight=False)


def _table(facts: PatternFacts) -> Table:
    from rich.table import Table
    from rich.text import Text

    is_adjusted = facts.patterns[0].adjusted is not None
    table = Table(title=Text(f"{facts.count:,} significant patterns: {facts.positive}"))
    columns = ["pattern", "odds ratio", "p", "adjusted p" if is_adjusted else "q", "samples", facts.positive]
    for column in columns:
        table.add_column(Text(column), justify="left" if column == "pattern" else "right")
    for found in facts.patterns[:_SHOWN]:
        ratio = f"{found.ratio_words} ({found.range_words})" if found.range_words else found.ratio_words
        last = found.adjusted if is_adjusted else found.q
        words = [found.words, ratio, found.p_words, "" if last is None else f"{last:.2g}"]
        table.add_row(*map(Text, [*words, f"{found.support:,}", f"{found.cases:,}"]))
    return table
