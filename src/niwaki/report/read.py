"""Run folders, read as they are: finished, still running, or killed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.errors import StoreError, said
from .pruned import as_config, as_result, is_pruned

Record = Mapping[str, Any]
_KINDS = ("train", "eval", "move")


@dataclass(frozen=True, eq=False)
class Run:
    """What one run folder holds.

    ``result`` and ``ledger`` are ``None`` as long as the run has not written them. ``notes`` says in plain words what
    is not as it should be.
    """

    folder: Path
    name: str
    config: Record
    versions: Record
    train: tuple[Record, ...]
    evals: tuple[Record, ...]
    moves: tuple[Record, ...]
    ledger: Record | None
    result: Record | None
    notes: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return self.result is not None

    @property
    def steps(self) -> int:
        """Steps the run was to take, or has taken if that was not written down."""
        return int(number(self.config, "steps") or self.last_step)

    @property
    def last_step(self) -> int:
        """The last step that was written down."""
        last = [records[-1]["step"] for records in (self.train, self.evals, self.moves) if records]
        return int(max(last, default=0))


def number(record: Record | None, key: str) -> float | None:
    """One number of a record.

    Args:
        record: the record, or ``None`` where a run has none.
        key: the name of the number.

    Returns:
        The number; ``None`` where it is missing, not a number, or not finite.

    >>> number({"loss": 0.5}, "loss"), number({"loss": float("nan")}, "loss"), number(None, "loss")
    (0.5, None, None)
    """
    value = None if record is None else record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def text(record: Record, key: str, otherwise: str = "unknown") -> str:
    """One word of a record, or ``otherwise`` where it is missing."""
    value = record.get(key)
    return otherwise if value is None or value == "" else str(value)


def read_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Read several run folders; one that is named twice is read once.

    Args:
        folders: the folders.

    Returns:
        The runs in the order given, each with a name of its own.

    Raises:
        StoreError: no folder was given.
    """
    if not folders:
        raise StoreError("there are no runs to report on; name at least one run folder, as `niwaki train` writes it")
    unique = list({Path(folder).resolve(): Path(folder) for folder in folders})
    names = _short_names(unique)
    return tuple(read_run(folder, name=names[folder]) for folder in unique)


def _short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """The shortest ends of the paths that tell the folders apart."""
    names: dict[Path, str] = {}
    for folder in folders:
        for depth in range(1, len(folder.parts) + 1):
            name = "/".join(folder.parts[-depth:])
            if all(other == folder or "/".join(other.parts[-depth:]) != name for other in folders):
                break
        names[folder] = name
    return names


def read_run(folder: Path, *, name: str | None = None) -> Run:
    """Read one run folder, or one that ``niwaki prune`` wrote.

    A last line of ``metrics.jsonl`` that was cut off by a kill is left out and noted. Where a resumed run wrote some
    steps twice, the later lines count.

    Args:
        folder: the folder.
        name: what to call the run (the folder's name).

    Returns:
        The run.

    Raises:
        StoreError: the folder or one of its files is missing or damaged.
    """
    if not folder.is_dir():
        raise StoreError(
            f"{folder} is not a run folder; give the folder itself, as `niwaki train` wrote it, with its config.json"
        )
    if not (folder / "config.json").exists():
        cut = _read_json(folder / "result.json", needed=False)
        if cut is not None and is_pruned(cut):
            return _read_cut(folder, name or folder.name, cut)
    config = _check_config(folder / "config.json", _read_json(folder / "config.json", needed=True) or {})
    result = _read_json(folder / "result.json", needed=False)
    # A run that wrote its result has written its ledger before.
    ledger = _read_json(folder / "ledger.json", needed=result is not None)
    versions = _read_json(folder / "versions.json", needed=True) or {}
    records, notes = _read_metrics(folder / "metrics.jsonl")
    train, evals, moves = (tuple(records[kind]) for kind in _KINDS)
    run = Run(folder, name or folder.name, config, versions, train, evals, moves, ledger, result, tuple(notes))
    return replace(run, notes=(*_state(run), *run.notes))


def _read_cut(folder: Path, name: str, cut: Record) -> Run:
    try:
        config, result = _check_config(folder / "result.json", as_config(cut)), as_result(cut)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise StoreError(f"{folder / 'result.json'} is damaged ({said(error)}); prune this model again") from error
    versions = cut.get("versions")
    return Run(folder, name, config, versions if isinstance(versions, dict) else {}, (), (), (), None, result)


def _state(run: Run) -> list[str]:
    notes = []
    if run.result is None:
        notes.append(f"still running or stopped: it stands at step {run.last_step:,} of {run.steps:,}")
    lost = next((r["step"] for r in run.train if "loss" in r and number(r, "loss") is None), None)
    if lost is not None:
        notes.append(f"its loss was not a finite number at step {lost:,}; such points are not drawn")
    return notes


def _read_json(path: Path, *, needed: bool) -> Record | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if not needed:
            return None
        raise StoreError(
            f"{path} is missing; give a folder that `niwaki train` wrote, or bring the file back from a copy"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}; check who may read it") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}); bring it back from a copy, or train this run again") from error
    if not isinstance(found, dict):
        raise StoreError(
            f"{path} is damaged (it holds a {type(found).__name__}, not an object); bring it back from a copy, "
            "or train this run again"
        )
    return found


def _check_config(path: Path, config: Record) -> Record:
    if not isinstance(config.get("method"), str):
        raise StoreError(f'{path} does not say which method ran; it needs a "method", as in {{"method": "iee"}}')
    for key in ("density", "steps", "seed"):
        if config.get(key) is not None and number(config, key) is None:
            raise StoreError(f"{path}: {key!r} should be a number, not {config[key]!r}; put it right by hand")
    return config


def _read_metrics(path: Path) -> tuple[dict[str, list[Record]], list[str]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(
            f"{path} is missing: without it there is nothing to draw; wait until the run has begun, "
            "or bring the file back from a copy"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}; check who may read it") from error
    records: dict[str, list[Record]] = {kind: [] for kind in _KINDS}
    lines = data.split(b"\n")
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _check_record(json.loads(line))
        except ValueError as error:
            if at == len(lines):  # no newline follows: the writer was stopped in the middle
                return records, ["the last line of its metrics was cut off, and is left out"]
            raise StoreError(
                f"{path} is damaged at line {at} ({error}); delete that line, or bring the file back from a copy"
            ) from error
        same = records.get(record["kind"])
        if same is not None:
            # A run that was resumed from a checkpoint tells the steps since then once more.
            while same and same[-1]["step"] >= record["step"]:
                same.pop()
            same.append(record)
    return records, []


def _check_record(record: object) -> Record:
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        raise ValueError('not an object with a "kind"')
    if number(record, "step") is None:
        raise ValueError('no number under "step"')
    return record
