"""A causal network as data: for the page, as JSON and CSV."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ..causality import CausalNetwork, Evaluation
from ..causality.evaluation import as_truth
from ..patterns.table import Table, as_json, plain, write_text
from ..report.cause_facts import CauseFacts, Judged, RankedEdge
from ..report.causes_page import write_causes_page
from .causal_series import Series

_METHODS = {
    "InterventionalEntropy": "interventional embedding entropy",
    "Granger": "Granger causality",
    "TransferEntropy": "transfer entropy",
    "CrossMapping": "convergent cross mapping",
    "EmbeddingEntropy": "embedding entropy",
}
_WAYS = {"shift": "shifted copies", "iaaft": "iterated amplitude-adjusted Fourier surrogates"}
_CORRECTIONS = {
    "fdr": "adjusted for all pairs by Benjamini and Hochberg",
    "max": "adjusted for all pairs by the largest score of each surrogate",
}


def cause_facts(
    network: CausalNetwork,
    series: Series,
    title: str,
    command: str,
    *,
    truth: Any = None,
    judged: Evaluation | None = None,
) -> CauseFacts:
    """What the page is made from.

    Args:
        network: after `fit`.
        series: what it was fitted to.
        title: what the data are called.
        command: how this was made.
        truth: true edges, as `evaluate` takes them.
        judged: how well the scores rank them.

    Returns:
        Plain data.
    """
    names = network.names_
    true = None if truth is None else as_truth(truth, names)
    place = {name: at for at, name in enumerate(names)}
    edges = [
        RankedEdge(
            edge.source,
            edge.target,
            edge.score,
            None if math.isnan(edge.p) else edge.p,
            None if math.isnan(edge.q) else edge.q,
            edge.significant,
            None if true is None else bool(true[place[edge.source], place[edge.target]]),
        )
        for edge in network.edges_
    ]
    return CauseFacts(
        title=title,
        names=names,
        values=network.scores_.values,
        edges=edges,
        length=series.table.length,
        method=f"{_method(network)}, series rescaled by {network.standardise}",
        alpha=network.alpha,
        test=_test(network),
        judged=None if judged is None else Judged(judged.auroc, judged.aupr, judged.edges, judged.pairs),
        notes=(*series.notes, *network.notes_),
        command=command,
        complete=network.complete_,
    )


def _method(network: CausalNetwork) -> str:
    index: Any = network.scores_.method
    settings = [f"{f.name} {getattr(index, f.name)}" for f in fields(index)] if is_dataclass(index) else []
    given = [words for words in settings if not words.endswith((" None", " False", " True"))]
    return f"{_METHODS.get(type(index).__name__, type(index).__name__)} ({', '.join(given)})"


def _test(network: CausalNetwork) -> str:
    if not network.surrogates:
        return ""
    made = f"{network.surrogates} {_WAYS[network.surrogate]} of each cause"
    return f"P-values from {made}, {_CORRECTIONS[network.correction]}"


def save_causes(facts: CauseFacts, out: Path | None) -> dict[str, Any]:
    """The result as plain data, written into a folder if one is given.

    Args:
        facts: what was computed.
        out: the folder; files of these names in it are replaced.

    Returns:
        What ``--json`` prints.
    """
    names = ("report.html", "edges.csv", "scores.csv", "result.json")
    files = {} if out is None else {Path(name).stem: str(out / name) for name in names}
    result: dict[str, Any] = {
        "data": facts.title,
        "complete": facts.complete,
        "method": facts.method,
        "test": facts.test,
        "alpha": facts.alpha,
        "length": facts.length,
        "names": list(facts.names),
        "scores": facts.values,
        "edges": [vars(edge) for edge in facts.edges],
        "truth": None if facts.judged is None else vars(facts.judged),
        "notes": list(facts.notes),
        "files": files,
    }
    result = plain(result)
    if out is not None:
        columns = {name: [row[name] for row in result["edges"]] for name in vars(facts.edges[0])}
        write_text(out / "edges.csv", Table(columns).to_csv())
        matrix = {"cause": list(facts.names)}
        matrix |= {name: [row[at] for row in result["scores"]] for at, name in enumerate(facts.names)}
        write_text(out / "scores.csv", Table(matrix).to_csv())
        write_text(out / "result.json", as_json(result))
        write_causes_page(facts, out / "report.html")
    return result
