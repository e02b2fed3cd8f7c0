"""``niwaki prune``: a smaller model in one shot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .shell import Debug, Graph, Ignore, Json, Quiet, command, errors, option, say


def prune(
    model: Annotated[str, typer.Argument(help="Address: zoo:resnet20, timm:NAME, ...; or a folder by train or prune.")],
    *,
    data: Annotated[str | None, option("Address: digits, npz:FILE, ...; without data, weights alone decide.")] = None,
    units: Annotated[str, option("channels (default), heads, all of both, states; weights, 4x4, 2:4.")] = "channels",
    ignore: Ignore = None,
    graph: Graph = False,
    criterion: Annotated[str | None, option("Its name: magnitude; for channels with data, group_fisher.")] = None,
    density: Annotated[float | None, option("Share that stays (0.5, or that of an N:M pattern).")] = None,
    latency: Annotated[float | None, option("In place of it: the share of the dense latency that may stay.")] = None,
    macs: Annotated[float | None, option("Likewise of its multiplications; several may be given together.")] = None,
    parameters: Annotated[float | None, option("Likewise of its parameters.")] = None,
    min_share: Annotated[float, typer.Option(help="The least share of every layer's units that stays.")] = 0.0,
    backend: Annotated[
        str | None, option("What is timed: eager, compile or onnxruntime; if named, in any case.")
    ] = None,
    table: Annotated[Path | None, option("A table of latencies, in place of measuring one.")] = None,
    save_table: Annotated[Path | None, option("Where to write the table.")] = None,
    latency_batch: Annotated[int, typer.Option(help="Inputs at a time when models are timed.")] = 1,
    share_of: Annotated[str, typer.Option(help="What it is a share of: units or parameters.")] = "units",
    allocate: Annotated[str, typer.Option(help="global ranks all units together; uniform cuts all alike.")] = "global",
    normalise: Annotated[str, typer.Option(help="Scores before ranking: none, l2, mean, max, sum, zscore.")] = "none",
    batches: Annotated[int, typer.Option(help="Batches that the criterion sees.")] = 8,
    batch: Annotated[int, typer.Option(help="Samples in a batch.")] = 64,
    reestimate: Annotated[int, typer.Option(help="Batches to measure batch norms anew; 0 leaves them.")] = 8,
    finetune: Annotated[int, typer.Option(help="Optimizer steps afterwards.")] = 0,
    lr: Annotated[float, typer.Option(help="Their learning rate at the start.")] = 0.01,
    save: Annotated[Path | None, option("Folder for the smaller model and its report.")] = None,
    onnx: Annotated[Path | None, option("Also write ONNX, checked against onnxruntime.")] = None,
    report: Annotated[Path | None, option("The HTML page; SAVE/report.html if it is saved.")] = None,
    size: Annotated[str | None, option("Size of one input, such as 3x32x32, without data.", "--input")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    threads: Annotated[int | None, option("CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cut channels, heads or states in one shot, or put zeros for weights: score, rank, prove, mend, save."""
    _run(dict(locals()), (save, onnx, report), overwrite, (as_json, quiet, debug))


_ASKED = {"model", "data", "units", "ignore", "criterion", "density", "share_of", "allocate", "normalise", "batches",
          "batch", "reestimate", "finetune", "lr", "graph", "size", "seed", "threads", "device", "latency", "macs",
          "parameters", "backend", "table", "save_table", "latency_batch", "min_share"}  # fmt: skip


def _run(
    given: dict[str, Any],
    places: tuple[Path | None, Path | None, Path | None],
    overwrite: bool,
    shown: tuple[bool, bool, bool],
) -> None:
    as_json, quiet, debug = shown
    with errors(debug):
        from .one_shot import prune_and_write

        given = {name: given[name] for name in _ASKED} | {"ignore": given["ignore"] or ()}
        given |= {name: given[name] and str(given[name]) for name in ("table", "save_table")}
        result = prune_and_write(given, places, command(), overwrite=overwrite, quiet=quiet or as_json)
        say(result, lambda: typer.echo(_summary(result)), as_json, quiet)


def _budget_words(one: dict[str, Any]) -> str:
    reached = one["reached"] / one["dense"]
    return f"{one['unit']} {reached:.3f} of the dense model's (asked {one['asked']:g})"


def latency_words(found: dict[str, Any]) -> str:
    """Dense and smaller latency in one line; what is no gain is called so.

    Args:
        found: the ``latency`` of a result.

    Returns:
        The line.
    """
    dense, small = found["dense"], found["small"]
    asked = "" if found["asked"] is None else f"; asked {found['asked']:g}"
    if small["predicted"] is not None:
        asked += f"; predicted {small['predicted'] / dense['predicted']:.2f}"
    words = f"dense {1e3 * dense['measured']:.3g} ms -> {1e3 * small['measured']:.3g} ms ({small['ratio']:.2f}{asked})"
    words += f", 95 % interval {small['low']:.2f} to {small['high']:.2f}, {found['backend']}"
    if small["high"] < 1:
        return words
    restless = "no certain gain here: the machine was restless, so time it again with niwaki bench"
    return f"{words}: {'no gain here' if found['calm'] else restless}"


def sizes_words(file: dict[str, Any]) -> str:
    """How large a file is, and how large the dense model's would be.

    Args:
        file: the ``file`` of a result.

    Returns:
        The words.
    """
    from ..report.readable import size

    return f"{size(file['bytes'])}, {size(file['dense_bytes'])} dense".replace("\N{NO-BREAK SPACE}", " ")


def _summary(result: dict[str, Any]) -> str:
    from ..report.readable import counted

    (before, after), (old, new) = result["parameters"], result["macs"]
    lines = [
        f"units       {result['units'][1]:,} of {result['units'][0]:,} stay",
        f"parameters  {before:,} -> {after:,} ({after / before:.1%})",
    ]
    if result["zeros"]:
        left_out = "the file leaves them out, and " if "file" in result else ""
        lines.append(f"zeros       {result['zeros']:,}: {left_out}they save time only where they are skipped")
    else:
        lines.append(f"MACs        {old:,} -> {new:,} ({new / max(old, 1):.1%})")
    lines += [f"budget      {_budget_words(one)}" for one in result.get("budget", []) if one["cost"] != "latency"]
    if "latency" in result:
        lines.append(f"latency     {latency_words(result['latency'])}")
        lines += [f"note        {words}" for words in result["latency"]["notes"]]
    lines += [f"note        {words}" for words in result["notes"]]
    if result["dense"]["accuracy"] is not None:
        names = {"cut": "after the cut", "norms": "norms measured anew", "finetuned": "fine-tuned"}
        steps = [f"{names[name]} {found['accuracy']:.2%}" for name, found in result["steps"].items()]
        lines.append(f"accuracy    dense {result['dense']['accuracy']:.2%}; {'; '.join(steps)}")
    lines.append(f"proof       {result['verified']['words']}")
    if result["untouched"]:
        found = result["untouched"].items()
        why = next((pair for pair in found if not pair[1].startswith("all units of")), next(iter(found)))
        lines.append(f"untouched   {counted(len(found), 'tensor')}, such as {why[0]}: {why[1]}")
    for name in ("saved", "report"):
        if name in result:
            lines.append(f"{name:11s} {result[name]}")
    if "onnx" in result:
        lines.append(
            f"onnx        {result['onnx']['file']} (onnxruntime differs by {result['onnx']['difference']:.1e})"
        )
    if result["zeros"] and "file" in result:
        lines.append(f"file        {sizes_words(result['file'])}")
    if "saved" in result and ("latency" not in result or result["zeros"]):
        skipping = " --backend sparse" if result["zeros"] else ""
        lines.append(f"faster?     niwaki bench {result['request']['model']} {result['saved']}{skipping}")
    return "\n".join(lines)
