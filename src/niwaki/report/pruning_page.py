"""The page about one cut: widths before and after, accuracy step by step, and what stayed whole, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .document import Cell, Group, Namer, Section, Table, cells, sentence
from .latencies import latency_of
from .readable import compact, count, counted, listed, moment, percent, plain, points, share, size, spoken
from .sections.headline import Headline, Tile
from .sections.latency import latency_section
from .sections.widths import densities_figure, widths_figure
from .sheet import sheet, write_sheet

_STEPS = {"cut": "after the cut", "norms": "norms measured anew", "finetuned": "fine-tuned"}
_COSTS = {"latency": "predicted latency", "macs": "MACs", "parameters": "parameters"}


def write_pruning_page(result: Mapping[str, Any], command: str, path: Path) -> Path:
    """Write the page.

    Args:
        result: what ``niwaki prune`` found.
        command: how it was called.
        path: the file.

    Returns:
        The file.
    """
    write_sheet(path, pruning_page(result, command))
    return path


def pruning_page(result: Mapping[str, Any], command: str) -> str:
    """The page as text.

    Args:
        result: what ``niwaki prune`` found.
        command: how it was called.

    Returns:
        HTML.
    """
    sections = [
        _widths(result),
        _layers(result),
        _latency(result),
        _quality(result),
        _proof(result),
        _untouched(result),
        _again(command),
    ]
    return sheet(_headline(result), [section for section in sections if section is not None])


def _last(result: Mapping[str, Any]) -> float | None:
    found: float | None = list(result["steps"].values())[-1]["accuracy"]
    return found


def _headline(result: Mapping[str, Any]) -> Headline:
    (before, after), (old, new), asked = result["parameters"], result["macs"], result["request"]
    # Options of an address, such as a file of weights, say little and are long.
    title = f"{asked['model'].partition('?')[0]} with {share(after / before)} of its parameters"
    kind = "units" if asked["units"] == "all" else asked["units"]
    shares = [(asked["density"], asked["share_of"])]
    if result.get("budget"):
        shares = [(one["asked"], _COSTS[one["cost"]]) for one in result["budget"]]
    lead = (
        f"{count(result['units'][1])} of {count(result['units'][0])} {kind} stay, "
        f"chosen by {spoken(asked['criterion'])}; "
        f"asked for {listed([f'{share(some)} of the {words}' for some, words in shares])}."
    )
    tiles = [Tile("Parameters", compact(after), f"of {compact(before)}")]
    if not result.get("zeros"):
        tiles.append(Tile("MACs", compact(new), f"of {compact(old)}"))
    elif "file" in result:
        tiles.append(Tile("File", size(result["file"]["bytes"]), f"of {size(result['file']['dense_bytes'])}"))
    latency = latency_of(result)
    if latency is not None and latency.small.measured is not None:
        tiles.append(Tile("Latency", moment(latency.small.measured), f"of {moment(latency.dense.measured)}"))
    dense, now = result["dense"]["accuracy"], _last(result)
    if dense is not None and now is not None:
        tiles.append(Tile("Accuracy", percent(now), f"{percent(dense)} before, {points(now - dense)}"))
    proven = result["verified"]["same"]
    tiles.append(
        Tile("Proof", "equal" if proven else "differs", f"by at most {plain(result['verified']['difference'])}")
    )
    return Headline(title, lead, tuple(tiles))


def _widths(result: Mapping[str, Any]) -> Section:
    zeros = result.get("zeros")
    names = "widths", "Densities" if zeros else "Widths", "What stays of each group"
    if not result["groups"]:
        return Section(*names, missing="No group of units was found; the reasons stand below.")
    if not zeros:
        return Section(*names, groups=[Group("", [widths_figure(result["groups"], "widths-figure")])])
    lead = (
        f"{count(zeros)} numbers are zero. They have their places still: files can leave them out, and computing takes "
        "as long as before, unless zeros are skipped."
    )
    return Section(*names, lead=lead, groups=[Group("", [densities_figure(result["groups"], "densities-figure")])])


def _latency(result: Mapping[str, Any]) -> Section | None:
    found = latency_of(result)
    return None if found is None else latency_section(found, Namer())


def _layers(result: Mapping[str, Any]) -> Section:
    kept = [g["kept"] / g["units"] for g in result["groups"]] or [1.0]
    lead = (
        f"{counted(len(result['groups']), 'group')}; the thinnest keeps {share(min(kept))}, the fullest "
        f"{share(max(kept))} of its units."
    )
    table = Table("Asked and reached", ["", "asked", "reached"], _asked_rows(result))
    notes = [f"{sentence(note)}." for note in result.get("notes") or []]
    return Section("asked", "Asked and reached", "Asked and reached", lead=lead, tables=[table], notes=notes)


def _asked_rows(result: Mapping[str, Any]) -> list[list[Cell]]:
    if result.get("budget"):
        return [
            cells(f"{_COSTS[one['cost']]}, of the dense", share(one["asked"]), share(one["reached"] / one["dense"]))
            for one in result["budget"]
        ]
    share_of = result["request"]["share_of"]
    return [
        cells("density", share(result["request"]["density"]), share(_reached(result))),
        cells("a share of", share_of, share_of),
    ]


def _reached(result: Mapping[str, Any]) -> float:
    before, after = result["parameters"] if result["request"]["share_of"] == "parameters" else result["units"]
    return float(after / before)


def _quality(result: Mapping[str, Any]) -> Section:
    names = "accuracy", "Accuracy", "What it is worth"
    if result["dense"]["accuracy"] is None:
        return Section(*names, missing="No data were given, so nothing was evaluated.")
    rows = [("dense", result["dense"]), *((_STEPS[name], found) for name, found in result["steps"].items())]
    table = Table(
        "On the test part",
        ["", "accuracy", "loss"],
        [cells(name, percent(found["accuracy"], 2), plain(found["loss"])) for name, found in rows],
    )
    return Section(*names, tables=[table])


def _proof(result: Mapping[str, Any]) -> Section:
    verified = result["verified"]
    other = "one with zeros" if result.get("zeros") else "smaller one"
    return Section("proof", "Proof", f"The masked model and the {other}", lead=f"{sentence(verified['words'])}.")


def _untouched(result: Mapping[str, Any]) -> Section | None:
    if not result["untouched"]:
        return None
    reasons: dict[str, list[str]] = {}
    for name, why in result["untouched"].items():
        reasons.setdefault(why, []).append(name)
    rows = [[Cell(why), Cell(count(len(names))), Cell(", ".join(names[:6]) + (" ..." if len(names) > 6 else ""))]
            for why, names in reasons.items()]  # fmt: skip
    table = Table("Tensors that stay whole", ["reason", "tensors", "such as"], rows, is_long=len(rows) > 12)
    return Section("untouched", "Untouched", "What stays whole, and why", tables=[table])


def _again(command: str) -> Section:
    return Section("again", "Reproduce", "How to do it again", commands=[("", command)])
