"""``niwaki bench``: which of several models is faster here."""

from __future__ import annotations

from typing import Annotated

import typer

from .shell import Debug, Json, Quiet, console, errors, option, say


def bench(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: addresses, folders of runs or of saved models, .pt2 programs.", show_default=False
        ),
    ],
    *,
    dense: Annotated[str | None, option("Address of the dense model behind a folder that does not say it.")] = None,
    size: Annotated[str | None, option("Size of one input, such as 3x32x32.", "--input")] = None,
    batch: Annotated[int, typer.Option(help="Inputs at a time.")] = 1,
    threads: Annotated[int | None, option("CPU threads; as many as torch takes by itself.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each model is timed.")] = 30,
    warmup: Annotated[int, typer.Option(help="Rounds before that, not timed.")] = 5,
    backend: Annotated[str, typer.Option(help="What runs them: eager, compile, onnxruntime, or sparse.")] = "eager",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, auto.")] = "cpu",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure models in turns on this machine, compare them with the first, and say plainly where there is no gain."""
    with errors(debug):
        from . import bench as benchmark

        found = benchmark.bench_models(
            models,
            dense=dense,
            size=size,
            batch=batch,
            threads=threads,
            rounds=rounds,
            warmup=warmup,
            device=device,
            backend=backend,
        )
        say(found, lambda: benchmark.show(found, console()), as_json, quiet)
