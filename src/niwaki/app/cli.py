"""The commands. What they need is imported inside them, so that ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .audit_command import audit
from .bench_command import bench
from .causes_command import causes
from .patterns_command import patterns
from .predict_command import predict
from .prune_command import latency_words, prune, sizes_words
from .shell import Debug, Graph, Ignore, Json, Quiet
from .shell import command as _command
from .shell import console as _console
from .shell import errors as _errors
from .shell import option as _option
from .shell import say as _say

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find what matters in a network and remove the rest. Exit codes: 0 done, 1 an error that says what to do, "
    "2 a wrong command line, 130 interrupted.",
)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run left in the folder.")]
ChannelsLast = Annotated[bool | None, _option("Pictures and convolutions in this layout.", "--channels-last")]
Units = Annotated[
    str, typer.Option(help="weights, blocks as 4x4, patterns as 2:4, channels, heads, all of both, states.")
]

Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]
Switches = Annotated[list[str] | None, _option("A switch of the method, as H=150; again and again.", "--set")]


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        typer.echo(f"niwaki {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the runs and the report.")] = Path("niwaki-demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each method.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of each run.")] = 1200,
    density: Annotated[float, typer.Option(help="Share of the weights that stays.")] = 0.05,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a small network on handwritten digits, dense and sparse, and write a report."""
    with _errors(debug):
        from ..report import write_report
        from . import demo as demonstration
        from .progress import shown

        with shown(quiet=quiet) as progress:
            found = demonstration.run_demo(
                out, progress, seeds=seeds, steps=steps, density=density, overwrite=overwrite
            )
        report = out / "report.html"
        write_report([Path(folder) for folder in found["runs"]], report)
        _say({**found, "report": str(report)}, lambda: demonstration.show(found, report, _console()), as_json, quiet)


@app.command()
def train(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    model: Annotated[str | None, _option("Address: zoo:resnet20, timm:NAME, ...; or a folder by train, prune.")] = None,
    data: Annotated[str | None, _option("Address: digits, npz:FILE, imagefolder:DIR, text:FILE, ...")] = None,
    method: Annotated[str | None, _option("dense, static, set, rigl, gmp, acdc, iee (default), halp, smcp.")] = None,
    units: Annotated[str | None, _option("weights, for a budget channels; 4x4, 2:4, heads, all, states.")] = None,
    ignore: Ignore = None,
    density: Annotated[float | None, _option("Share of the units that stays (0.1, or that of an N:M pattern).")] = None,
    latency: Annotated[float | None, _option("In place of it: the share of the dense latency that may stay.")] = None,
    macs: Annotated[float | None, _option("Likewise of its multiplications; several may be given together.")] = None,
    parameters: Annotated[float | None, _option("Likewise of its parameters.")] = None,
    min_share: Annotated[float | None, _option("The least share of every layer's units that stays (0).")] = None,
    backend: Annotated[str | None, _option("What is timed: eager (default), compile or onnxruntime.")] = None,
    table: Annotated[str | None, _option("File of a table of latencies, in place of measuring one.")] = None,
    latency_batch: Annotated[int | None, _option("Inputs at a time when models are timed (1).")] = None,
    steps: Annotated[int | None, _option("Length in optimizer steps.")] = None,
    epochs: Annotated[float | None, _option("Length in passes over the training part.")] = None,
    batch: Annotated[int | None, _option("Samples in a step (128).")] = None,
    lr: Annotated[float | None, _option("Learning rate at the start (0.1).")] = None,
    momentum: Annotated[float | None, _option("Of SGD (0.9).")] = None,
    weight_decay: Annotated[float | None, _option("On all parameters (0.0005).")] = None,
    optimizer: Annotated[str | None, _option("sgd (default) or adamw.")] = None,
    schedule: Annotated[str | None, _option("Of the learning rate: cosine (default) or constant.")] = None,
    seed: Annotated[int | None, _option("Of everything random (0).")] = None,
    threads: Annotated[int | None, _option("CPU threads.")] = None,
    device: Annotated[str | None, _option("auto (default), cpu, cuda, cuda:1.")] = None,
    precision: Annotated[str | None, _option("fp32 (default) or bf16 autocast.")] = None,
    channels_last: ChannelsLast = None,
    checkpoint_every: Annotated[int | None, _option("Steps between checkpoints (a twentieth of the run).")] = None,
    switches: Switches = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model with a method, and write a run folder: settings, metrics, checkpoint, result, report."""
    with _errors(debug):
        result = _trained(dict(locals()), switches, out, _command(), resume=resume, overwrite=overwrite, quiet=quiet)
        _say({"out": str(out), **result}, lambda: typer.echo(_summary(result, out)), as_json, quiet)


def _trained(asked: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    from .training import train_command

    given = {name: value for name, value in asked.items() if name not in _NOT_SETTINGS and value is not None}
    return train_command(given, *args, **kwargs)


_NOT_SETTINGS = {"out", "switches", "resume", "overwrite", "as_json", "quiet", "debug"}


def _left(result: dict[str, Any]) -> str:
    weights = f"{result['weights_kept']:,} of {result['weights_total']:,}"
    if "units" not in result:
        return f"{weights} weights"
    return f"{result['units'][1]:,} of {result['units'][0]:,} units, {weights} parameters"


def _summary(result: dict[str, Any], out: Path) -> str:
    lines = []
    if "latency" in result:
        lines = [f"latency  {latency_words(result['latency'])}", f"proof    {result['small']['verified']['words']}"]
    lines += [f"note     {words}" for words in result.get("notes", [])]
    if "file" in result:
        lines.append(f"model    {out / result['file']['folder']}: a file of {sizes_words(result['file'])}")
    cost = "unknown" if result["dense_runs"] is None else f"{result['dense_runs']:.2f} x that of dense training"
    found = (
        f"test accuracy {result['accuracy']:.2%} at density {result['density']:.2%} "
        f"({_left(result)}); training cost {cost}; "
        f"{result['seconds']:.0f} s; the run is in {out}"
    )
    return "\n".join([found, *lines])


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="Address, such as zoo:resnet20; or a folder by train or prune.")],
    *,
    density: Annotated[float | None, typer.Option(help="Show what would stay at this density.")] = None,
    allocator: Annotated[str, typer.Option(help="How it is shared out: erk, er, uniform, rows, global.")] = "erk",
    size: Annotated[str | None, typer.Option("--input", help="Size of one input, such as 3x32x32.")] = None,
    units: Units = "weights",
    ignore: Ignore = None,
    graph: Graph = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the layers of a model, what they cost, and what would stay of them."""
    with _errors(debug):
        from .inspection import inspect_model, show
        from .structures import KINDS, inspect_structure, show_structure

        if units in KINDS:
            structure = inspect_structure(model, units=units, size=size, graph=graph, ignore=ignore or ())
            _say(structure, lambda: show_structure(structure, _console()), as_json, quiet)
            return
        found = inspect_model(model, density=density, allocator=allocator, size=size, units=units, ignore=ignore or ())
        _say(found, lambda: show(found, _console()), as_json, quiet)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    *,
    out: Annotated[Path | None, typer.Option(help="The HTML file; RUN/report.html for one run.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write one self-contained HTML page about one run or several."""
    with _errors(debug):
        from ..report import write_report

        target = out or (runs[0] / "report.html" if len(runs) == 1 else Path("report.html"))
        write_report(runs, target)
        result = {"report": str(target), "runs": [str(run) for run in runs]}
        _say(result, lambda: typer.echo(f"the report is in {target}"), as_json, quiet)


app.command()(predict)
app.command()(audit)
app.command()(patterns)
app.command()(causes)
app.command()(bench)
app.command()(prune)
