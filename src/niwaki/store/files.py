"""Whole files or none: written beside their place, synced, then moved over it in one step."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path

from safetensors import SafetensorError

from ..core.errors import StoreError

WRITING = "writing"
_TEMPORARY = re.compile(r"\.(.+)\.\d+\.tmp")


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; Windows has no handle on folders and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _why(path: Path, folder: Path, size: int, error: Exception) -> str:
    free = "unknown"
    with contextlib.suppress(OSError):
        free = f"{shutil.disk_usage(folder).free:,}"
    reason = getattr(error, "strerror", None) or error
    return (
        f"cannot write {path}: {reason} ({size:,} bytes needed, {free} bytes free there); "
        "free some space or choose another folder. What was there before is untouched"
    )


def write_file(path: Path, data: bytes) -> None:
    """Put a file in its place in one step: afterwards it holds ``data``, or what it held before.

    The bytes go to a temporary file in the same folder, which is synced to the disk and then renamed. The folder is
    made if it does not exist. A kill leaves at most a file ``.NAME.PID.tmp`` behind.

    Args:
        path: the file.
        data: all of its contents.

    Raises:
        StoreError: the folder cannot be written, or the disk is full; the temporary file is removed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_file(Path(folder) / "note.txt", b"kept")
    ...     [(file.name, file.read_bytes()) for file in Path(folder).iterdir()]
    [('note.txt', b'kept')]
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(_why(path, path.parent, len(data), error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_empty(folder: Path, *, overwrite: bool) -> None:
    """Check that a folder may be written to.

    Args:
        folder: the folder; it need not exist.
        overwrite: whether it may hold something.

    Raises:
        StoreError: it holds something.
    """
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise StoreError(f"the folder {folder} is not empty; choose another one, or say overwrite=True")


@contextlib.contextmanager
def beside(folder: Path, size: int) -> Generator[Path]:
    """A temporary folder inside another, for writers that want a path; it is gone afterwards with all that is in it.

    What is finished moves out of it with `settle`. A kill leaves at most a folder ``.writing.PID.tmp`` behind.

    Args:
        folder: where the files shall lie in the end; made if it does not exist.
        size: about how many bytes will be written.

    Yields:
        The temporary folder.

    Raises:
        StoreError: the folder cannot be written, or the disk is full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     with beside(Path(name), size=4) as temporary:
    ...         _ = (temporary / "note.txt").write_text("kept")
    ...         settle(temporary / "note.txt", Path(name) / "note.txt")
    ...     [(file.name, file.read_text()) for file in Path(name).iterdir()]
    [('note.txt', 'kept')]
    """
    temporary = folder / f".{WRITING}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        yield temporary
    except (OSError, SafetensorError) as error:
        # safetensors reports a full disk with an error of its own.
        raise StoreError(_why(folder, folder, size, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def settle(temporary: Path, path: Path) -> None:
    """Move a finished file to its place in one step, on the disk for good.

    Args:
        temporary: the file, on the same disk.
        path: its place; what is there is replaced.
    """
    if temporary.parent != path.parent:
        # safetensors makes files that only their owner may read; the folder was made as anything new is.
        temporary.chmod(temporary.parent.stat().st_mode & 0o666)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def sweep(folder: Path, names: str) -> None:
    """Delete what killed processes left half-written; only while no other process writes there.

    What cannot be deleted costs space and nothing else, so it is left.

    Args:
        folder: where.
        names: a pattern of the files' names, as they are when finished; `WRITING` stands for folders of `beside`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = (Path(name) / ".note.txt.4711.tmp").write_text("hal")
    ...     sweep(Path(name), "note.txt")
    ...     list(Path(name).iterdir())
    []
    """
    for path in folder.iterdir():
        found = _TEMPORARY.fullmatch(path.name)
        if found and re.fullmatch(names, found[1]):
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
