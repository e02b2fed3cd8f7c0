"""``niwaki causes``: which series act on which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shell import Debug, Json, Quiet, command, console, errors, option, say
from .watch import counted, end

if TYPE_CHECKING:
    from rich.console import Console

    from ..causality import CausalNetwork, Evaluation

_SHOWN = 20


def causes(
    series: Annotated[Path, typer.Argument(help="A CSV or Parquet file, a column per series.", show_default=False)],
    *,
    method: Annotated[str, typer.Option(help="iee, granger, te, ccm or ee.")] = "iee",
    order: Annotated[int | None, option("Delays of the past (1; 2 for ccm).")] = None,
    lag: Annotated[int, typer.Option(min=1, help="Steps between delays.")] = 1,
    k: Annotated[int | None, option("Which neighbour sets the radius of an entropy (2; 4 for te and ee).")] = None,
    neighbours: Annotated[int | None, option("States in a neighbourhood of iee (10).")] = None,
    theiler: Annotated[int | None, option("Steps around each state without neighbours (order x lag).")] = None,
    standardise: Annotated[str, typer.Option(help="zscore, minmax, rank or none, for each series.")] = "zscore",
    surrogates: Annotated[int, typer.Option(min=0, help="Surrogates of each cause for p-values; 0 for none.")] = 99,
    surrogate: Annotated[str, typer.Option(help="How they are made: shift or iaaft.")] = "shift",
    min_shift: Annotated[int | None, option("Least shift of a copy (ten times theiler, and one).")] = None,
    correction: Annotated[str, typer.Option(help="For the number of pairs: fdr or max.")] = "fdr",
    alpha: Annotated[float, typer.Option(help="Level of the test.")] = 0.05,
    truth: Annotated[Path | None, option("True edges: two columns, cause and effect, or a matrix of 0 and 1.")] = None,
    only: Annotated[
        list[str] | None, option("A column to take; may be repeated. All columns of numbers if none.")
    ] = None,
    drop: Annotated[list[str] | None, option("A column to leave out; may be repeated.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="A series fills a row, whose first cell is its name.")] = False,
    no_header: Annotated[bool, typer.Option("--no-header", help="The first line holds values, not names.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the surrogates.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    out: Annotated[Path | None, option("Folder for report.html, edges.csv, scores.csv and result.json.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rank which series act on which, test it, and draw the network."""
    given = dict(locals())
    with errors(debug):
        network, judged, result = _found(**given)
        say(result, lambda: _show(network, judged, result, console()), as_json, quiet)
        end(network.complete_, "every score listed is final")


_OF_INDEX = ("order", "lag", "k", "neighbours", "theiler")
_OF_NETWORK = ("standardise", "surrogates", "surrogate", "min_shift", "correction", "alpha", "seed")


def _found(
    series: Path, *, method: str, truth: Path | None, out: Path | None, **given: Any
) -> tuple[CausalNetwork, Evaluation | None, dict[str, Any]]:
    from ..causality import CausalNetwork, evaluate
    from .causal_results import cause_facts, save_causes
    from .causal_series import read_series, read_truth

    chosen = {"drop": given["drop"] or (), "only": given["only"] or ()}
    found = read_series(series, **chosen, in_rows=given["rows"], header=not given["no_header"])
    true = None if truth is None else read_truth(truth, found.table.names)
    index = _index(method, {name: given[name] for name in _OF_INDEX})
    network = CausalNetwork(index, n_jobs=given["workers"], **{name: given[name] for name in _OF_NETWORK})
    with counted(quiet=given["quiet"]) as progress:
        try:
            network.fit(dict(zip(found.table.names, found.table.series, strict=True)), progress=progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("interrupted: no pair was scored yet, so nothing is listed or written") from None
    judged = evaluate(network.scores_, true) if true is not None and network.complete_ else None
    facts = cause_facts(network, found, series.name, command(), truth=true, judged=judged)
    return network, judged, save_causes(facts, out)


def _index(method: str, settings: dict[str, int | None]) -> Any:
    # The index of that name, with the settings that were given.
    from dataclasses import fields

    from .. import causality

    names = {
        "iee": causality.InterventionalEntropy,
        "granger": causality.Granger,
        "te": causality.TransferEntropy,
        "ccm": causality.CrossMapping,
        "ee": causality.EmbeddingEntropy,
    }
    if method not in names:
        raise causality.CausalityError(f"the method {method!r} is unknown; choose from {', '.join(names)}")
    kind = names[method]
    known = {field.name for field in fields(kind)}
    given = {name: value for name, value in settings.items() if value is not None}
    for name in given:
        if name not in known and not (name == "lag" and given[name] == 1):
            raise causality.CausalityError(f"{method} has no setting {name}; leave out --{name}")
    return kind(**{name: value for name, value in given.items() if name in known})


def _show(network: CausalNetwork, judged: Evaluation | None, result: dict[str, Any], to: Console) -> None:
    from rich.table import Table

    tested = network.surrogates > 0
    columns = ["cause", "effect", "score", *(["p", f"adjusted ({network.correction})", ""] if tested else [])]
    to.print(f"{result['method']}; {result['length']:,} time points", highlight=False)
    so_far = "" if network.complete_ else " so far"
    table = Table(title=f"{len(network.edges_):,} ordered pairs of {len(network.names_)} series{so_far}")
    for column in columns:
        table.add_column(column, justify="left" if column in {"cause", "effect", ""} else "right")
    for edge in network.edges_[:_SHOWN]:
        adjusted = "" if edge.significant is None else f"{edge.q:.3g}"
        test = [f"{edge.p:.3g}", adjusted, "significant" if edge.significant else ""] if tested else []
        table.add_row(edge.source, edge.target, f"{edge.score:.4f}", *test)
    to.print(table)
    if len(network.edges_) > _SHOWN:
        to.print(f"the first {_SHOWN} of {len(network.edges_):,} pairs", highlight=False)
    if judged is not None:
        to.print(
            f"against the truth: AUROC {judged.auroc:.3f} (0.5 for blind guessing), AUPR {judged.aupr:.3f} "
            f"({judged.prevalence:.3f} for blind guessing)",
            highlight=False,
        )
    for note in result["notes"]:
        to.print(f"note: {note}", markup=False, highlight=False)
    where = result["files"].get("report")
    to.print(f"the report is in {where}" if where else "--out DIR writes a report and the results as files")
