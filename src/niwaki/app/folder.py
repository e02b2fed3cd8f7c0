"""The folder of a run: which files it has, how they are begun, continued and replaced."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ..core.errors import StoreError
from ..store import write_file
from ..store.checkpoint import HEADER, TENSOR_FILES, sweep_checkpoint
from ..store.files import WRITING, sweep
from ..store.small import PLAN, TENSORS

CONFIG, VERSIONS, METRICS = "config.json", "versions.json", "metrics.jsonl"
LEDGER, RESULT, REPORT = "ledger.json", "result.json", "report.html"
TABLE, SMALL, ORIGIN = "table.json", "small", "origin.json"
_OWN = (CONFIG, VERSIONS, METRICS, LEDGER, RESULT, REPORT, TABLE, ORIGIN, HEADER)
_SWEPT = (*(name for name in _OWN if name != REPORT), PLAN, TENSORS, WRITING)  # anyone may be writing a report just now


def read_json(path: Path) -> dict[str, Any]:
    """One of a run's JSON files.

    Args:
        path: the file.

    Returns:
        Its contents.

    Raises:
        StoreError: it is missing, or no JSON object.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"cannot read {path} ({error.strerror}); is this the folder of a run?") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}; restore it, or start the run anew") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path} is damaged: it holds no JSON object; restore it, or start the run anew")
    return found


def _plain(value: Any) -> Any:
    """Numbers that JSON cannot hold become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def write_json(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a JSON file in one step."""
    write_file(path, json.dumps(_plain(contents), indent=2, allow_nan=False).encode() + b"\n")


def open_folder(out: Path, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Look whether a run may begin or go on in a folder.

    Args:
        out: the folder.
        resume: go on with the run in it, if there is one.
        overwrite: allow a new run to replace the one in it (`clear_folder`).

    Returns:
        The configuration of the run that is to go on; ``None`` for a new run.

    Raises:
        StoreError: the folder is in use, is no folder, or has no run to go on with.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file; name a folder for the run")
    # Hidden files do not count: a kill may have left a temporary one.
    there = [path.name for path in out.iterdir() if not path.name.startswith(".")] if out.exists() else []
    if not there:
        return None
    if resume:
        if CONFIG not in there:
            raise StoreError(f"there is no run in {out} to go on with ({CONFIG} is missing); check the folder")
        return read_json(out / CONFIG)
    if not overwrite:
        raise StoreError(
            f"{out} is not empty; add --resume to go on with the run in it, --overwrite to replace it, "
            "or name another folder"
        )
    return None


@contextmanager
def held(out: Path) -> Generator[None, None, None]:
    """Keep other processes from writing the same run; a `StoreError` if one does already. A killed one lets go of it.

    Args:
        out: the folder; it is made if it does not exist.
    """
    place = _locked(out)
    try:
        yield
    finally:
        if place is not None:
            os.close(place)


def _locked(out: Path) -> int | None:
    """The folder, opened and locked; ``None`` where the system knows no such locks, or writing will fail anyway.

    Raises:
        StoreError: another process holds it.
    """
    try:
        fcntl = importlib.import_module("fcntl")
        out.mkdir(parents=True, exist_ok=True)
        place = os.open(out, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(place)
        raise StoreError(
            f"another process is writing the run in {out}; let it come to its end, stop it, or name another folder"
        ) from error
    except OSError:
        os.close(place)
        return None
    return place


def _sweep(out: Path) -> None:
    for folder in (out, out / SMALL):
        if folder.is_dir():
            sweep(folder, "|".join([*(re.escape(name) for name in _SWEPT), TENSOR_FILES]))


def sweep_folder(out: Path) -> None:
    """Delete what a killed process left half-written; a damaged checkpoint gives a `StoreError`.

    Args:
        out: the run folder; no other process may be writing to it.
    """
    _sweep(out)
    if (out / HEADER).exists():
        sweep_checkpoint(out)


def clear_folder(out: Path) -> None:
    """Delete the files of a run; other files stay."""
    if not out.exists():
        return
    (out / CONFIG).unlink(missing_ok=True)  # first: after a kill, nobody takes what is left for a run
    _sweep(out)
    for path in out.iterdir():
        if path.name in _OWN or re.fullmatch(TENSOR_FILES, path.name):
            path.unlink()
        elif path.name == SMALL and (path / PLAN).exists():
            _clear_model(path)


def _clear_model(folder: Path) -> None:
    for name in (PLAN, TENSORS, ORIGIN):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # what is not ours stays, and the folder with it
        folder.rmdir()


class Metrics:
    """Writes ``metrics.jsonl``, one JSON object a line; use it in a ``with``.

    Args:
        path: the file.
        lines: how many lines to keep of what is there: those that a checkpoint knows of.

    Raises:
        StoreError: there are fewer.
    """

    def __init__(self, path: Path, lines: int = 0) -> None:
        kept = path.read_bytes().splitlines(keepends=True)[:lines] if lines and path.exists() else []
        if len(kept) < lines or any(not line.endswith(b"\n") for line in kept):
            raise StoreError(
                f"{path} has {len(kept)} lines, the checkpoint was made after {lines}; "
                "restore it, or start the run anew with --overwrite"
            )
        self.path, self.lines = path, lines
        write_file(path, b"".join(kept))
        self._file = path.open("a", buffering=1, encoding="utf-8")  # a reader sees whole lines at once

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a record; one that cannot be written gives a `StoreError`."""
        with self._writing():
            self._file.write(json.dumps(_plain(record), allow_nan=False) + "\n")
        self.lines += 1

    def sync(self) -> None:
        """Make sure that everything written is on the disk, or give a `StoreError`."""
        with self._writing():
            self._file.flush()
            os.fsync(self._file.fileno())

    @contextmanager
    def _writing(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror}; free some space and resume") from error

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._writing():
                self._file.close()
        except StoreError:
            if error is None:  # else the first failure is the one to tell
                raise
