"""``niwaki audit``: who is harmed by compression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .pattern_data import bins_from
from .shell import Debug, Json, Quiet, command, console, errors, option, say
from .watch import end, told

if TYPE_CHECKING:
    from rich.console import Console

    from ..report.subgroups import Audit

_SHOWN = 20


def audit(
    data: Annotated[Path, typer.Argument(help="CSV or Parquet: a row per example, with attributes and predictions.")],
    *,
    label: Annotated[str, option("The column of the true class.")],
    before: Annotated[str, option("The column of the dense model's prediction.")],
    after: Annotated[str, option("The column of the compressed model's prediction.")],
    covariate: Annotated[list[str] | None, option("What is held fixed (the class); may be repeated.")] = None,
    among: Annotated[str, typer.Option(help="Compare the examples that were right before (right), or all.")] = "right",
    bins: Annotated[list[str] | None, option("Cut numbers into so many bins (4).", "--bin")] = None,
    missing: Annotated[str, typer.Option(help="A missing value is no item (off), an item, or an error.")] = "off",
    alpha: Annotated[float, typer.Option(help="The chance of any false finding at all.")] = 0.05,
    max_size: Annotated[int, typer.Option(min=1, help="The most attributes of a subgroup.")] = 3,
    min_support: Annotated[int | None, option("The fewest examples of a subgroup (one loss expected).")] = None,
    permutations: Annotated[int, typer.Option(min=0, help="Shuffle so often for the threshold; 0: not.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffles.")] = 0,
    workers: Annotated[int, typer.Option(help="How many share the search; -1 for all cores.")] = 1,
    only: Annotated[list[str] | None, option("An attribute to take; may be repeated. All columns if none.")] = None,
    drop: Annotated[list[str] | None, option("A column to leave out; may be repeated.")] = None,
    out: Annotated[Path | None, option("Folder for report.html, subgroups.csv and result.json.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find the subgroups of examples that a compressed model loses more often than others."""
    given = dict(locals())
    with errors(debug):
        found, result = _found(**given)
        say(result, lambda: _show(found, result, console()), as_json, quiet)
        end(found.complete, "every subgroup listed is proven")


_SETTINGS = ("among", "alpha", "max_size", "min_support", "permutations", "seed", "workers", "missing")


def _found(data: Path, *, label: str, before: str, after: str, **given: Any) -> tuple[Audit, dict[str, Any]]:
    from ..patterns import PatternError
    from ..patterns.read import read_table
    from ..report.subgroups import audit as audited

    columns = read_table(data)
    covariates, drop, only = (given[name] or [] for name in ("covariate", "drop", "only"))
    roles = [label, before, after]
    for name in [*roles, *covariates, *drop, *only]:
        if name not in columns:
            raise PatternError(f"{data} has no column {name!r}; it has {', '.join(columns)}")
    taken = [name for name in only or columns if name not in {*roles, *covariates, *drop}]
    bins, chosen = bins_from(given["bins"] or ())
    if chosen:
        raise PatternError("niwaki audit cuts all attributes alike; give --bin a number alone")
    how = {name: given[name] for name in _SETTINGS} | {"bins": bins}
    strata = {name: columns[name] for name in covariates} or None
    attributes = {name: columns[name] for name in taken}
    with told(quiet=given["quiet"]) as progress:
        found = audited(attributes, *_classes(columns, roles), strata=strata, progress=progress, **how)
    return found, _saved(found, data.name, given["out"])


def _classes(columns: dict[str, list[Any]], roles: list[str]) -> list[Any]:
    # As numbers if all of them are, so that 3 and 3.0 are one class; else as words.
    from ..patterns import PatternError
    from ..patterns.encode import understood

    read = [understood(columns[name]) for name in roles]
    for name, column in zip(roles, read, strict=True):
        if not column.present.all():
            raise PatternError(
                f"the column {name!r} has {int((~column.present).sum())} empty cells; leave those rows out"
            )
    if all(column.kind != "category" for column in read):
        return [column.values.astype(float) for column in read]
    return [[str(value) for value in columns[name]] for name in roles]


def _saved(found: Audit, title: str, out: Path | None) -> dict[str, Any]:
    from ..patterns.table import Table, as_json, plain, write_text
    from ..report.subgroups_page import write_audit_page

    names = {"report": "report.html", "subgroups": "subgroups.csv", "result": "result.json"}
    rows = [vars(one) | {"rate": one.rate} for one in found.subgroups]
    result: dict[str, Any] = plain({"data": title} | vars(found) | {"subgroups": rows})
    result["files"] = {} if out is None else {name: str(out / file) for name, file in names.items()}
    if out is not None:
        kept = ["attributes", "examples", "lost", "rate", "elsewhere", "odds_ratio", "low", "high", "p", "adjusted",
                "gained", "accuracy_before", "accuracy_after", "indices"]  # fmt: skip
        table = {name: [row[name] for row in result["subgroups"]] for name in kept}
        write_text(out / names["subgroups"], Table(table).to_csv())
        write_text(out / names["result"], as_json(result))
        write_audit_page(found, out / names["report"], title=title, command=command())
    return result


def _show(found: Audit, result: dict[str, Any], to: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from ..report.pattern_facts import range_words, ratio_words

    lines = [
        f"accuracy {found.accuracy_before:.2%} before, {found.accuracy_after:.2%} after; {found.lost:,} of "
        f"{found.examples:,} examples lost, {found.gained:,} gained"
    ]
    to.print(*lines, markup=False, highlight=False)
    table = Table(title=f"{len(found.subgroups):,} subgroups are lost more often")
    for column in ("subgroup", "lost", "of", "share", "elsewhere", "odds ratio", "p in all"):
        table.add_column(column, justify="left" if column == "subgroup" else "right")
    for one in found.subgroups[:_SHOWN]:
        ratio = " ".join([ratio_words(one.odds_ratio), range_words(one.low, one.high)])
        last = one.p if one.adjusted is None else one.adjusted
        words = [f"{one.lost:,}", f"{one.examples:,}", f"{one.rate:.1%}", f"{one.elsewhere:.1%}", ratio, f"{last:.2g}"]
        table.add_row(*map(Text, [" & ".join(one.attributes), *words]))
    if found.subgroups:
        to.print(table)
    else:
        to.print("no subgroup is lost significantly more often" + ("" if found.complete else " so far"))
    lines = [f"level {found.level:.3g} for each p-value: the chance of any false finding is at most {found.alpha:g}"]
    if len(found.subgroups) > _SHOWN:
        lines.insert(0, f"the first {_SHOWN} of {len(found.subgroups):,} subgroups")
    lines += [f"note: {note}" for note in found.notes]
    where = result["files"].get("report")
    lines.append(f"the report is in {where}" if where else "--out DIR writes a report and the results as files")
    for line in lines:
        to.print(line, markup=False, highlight=False)
