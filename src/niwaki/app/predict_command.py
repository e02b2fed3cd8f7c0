"""``niwaki predict``: what models say to each example, as a table for an audit."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from .shell import Debug, Json, Quiet, errors, option, say


def predict(
    models: Annotated[
        list[str], typer.Argument(help="Folders by train or prune, addresses, .pt2 programs.", show_default=False)
    ],
    *,
    data: Annotated[str, option("Address: digits, npz:FILE, ...")],
    out: Annotated[Path, option("The CSV file.")],
    part: Annotated[str, typer.Option(help="Which examples: test, valid or train.")] = "test",
    threads: Annotated[int | None, option("CPU threads; as many as torch takes by itself.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write what models predict for each example, and its class and attributes: the table that `niwaki audit` reads."""
    with errors(debug):
        from .predictions import predict as predicted

        found = predicted(models, data, out, part=part, threads=threads, device=device, overwrite=overwrite)
        say(found, lambda: typer.echo(_summary(found)), as_json, quiet)


def _summary(found: dict[str, Any]) -> str:
    lines = [f"{name}: {share:.2%} of {found['examples']:,} right" for name, share in found["accuracy"].items()]
    lines.append(f"the table is in {found['out']}")
    names = list(found["accuracy"])
    if len(names) > 1 and found["attributes"]:
        columns = ["--label", "class", "--before", names[0], "--after", names[1]]
        others = [word for name in names[2:] for word in ("--drop", name)]
        lines.append(f"who is harmed? {shlex.join(['niwaki', 'audit', found['out'], *columns, *others])}")
    return "\n".join(lines)
