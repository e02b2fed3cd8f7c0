"""The work behind ``niwaki train``, once the command line is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import TrainError
from .budgets import NAMES
from .folder import REPORT
from .methods import parse_switches
from .progress import shown
from .run import resume as go_on
from .run import train
from .settings import Settings


def train_command(
    given: Mapping[str, Any],
    switches: Sequence[str] | None,
    out: Path,
    command: str,
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Begin or resume a run, and write its report.

    Args:
        given: the settings that the command line names.
        switches: of the method, as typed; None if there are none.
        out: the run folder.
        command: the command line, for the record.
        resume: go on with the run in the folder.
        overwrite: replace it.
        quiet: show no progress.

    Returns:
        What ``result.json`` holds.

    Raises:
        TrainError: settings are missing or contradict each other.
    """
    if resume and overwrite:
        raise TrainError("--resume goes on with a run and --overwrite replaces it; give one of them")
    settings = dict(given) if switches is None else {**given, "switches": parse_switches(switches)}
    with shown(quiet=quiet) as progress:
        if resume:
            result = go_on(out, settings, progress=progress, command=command)
        else:
            if any(name in settings for name in NAMES):
                settings = {
                    "units": "channels",
                    **settings,
                }  # what costs are for: single zeros cost as much as any weight
            missing = [f"--{name}" for name in ("model", "data") if name not in settings]
            if missing:
                raise TrainError(f"{' and '.join(missing)} must be given for a new run, such as zoo:mlp and digits")
            result = train(Settings(**settings), out, overwrite=overwrite, progress=progress, command=command)
    from ..report import write_report  # after the hours of training, not before them

    write_report([out], out / REPORT)
    return result
