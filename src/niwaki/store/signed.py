"""JSON files that vouch for themselves, and tensor files that they vouch for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..core.errors import StoreError


@dataclass(frozen=True)
class Format:
    """A kind of file: its name and version inside, what to call it, and what helps if it is missing or damaged."""

    name: str
    version: int
    noun: str
    missing: str
    damaged: str


def _checksum(contents: Mapping[str, Any]) -> str:
    body = {key: value for key, value in contents.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(body, allow_nan=False).encode()).hexdigest()


def signed(form: Format, contents: Mapping[str, Any]) -> bytes:
    """The bytes of a JSON file that names its format and version and ends with a checksum of all it says."""
    whole: dict[str, Any] = {"format": form.name, "version": form.version, **contents}
    whole["checksum"] = _checksum(whole)
    return json.dumps(whole, allow_nan=False).encode()


def damaged(form: Format, path: Path, what: str) -> str:
    """What to say of a file that was changed since it was written."""
    return f"{path} is damaged or was edited: {what}; {form.damaged}"


@contextmanager
def opened(form: Format, path: Path) -> Generator[BufferedReader]:
    """A file for reading.

    Args:
        form: what it should be.
        path: where it should be.

    Yields:
        The open file.

    Raises:
        StoreError: missing, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"no {form.noun} in {path.parent}: {path.name} is missing; {form.missing}") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}; check its permissions") from error


def parsed(form: Format, path: Path, data: bytes) -> dict[str, Any]:
    """The checked contents of what `signed` made.

    Args:
        form: what it should be.
        path: where it was read.
        data: the bytes.

    Returns:
        The contents, with format, version and checksum.

    Raises:
        StoreError: damaged, edited, or of another format or version.
    """
    try:
        contents = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(damaged(form, path, f"it is not JSON ({str(error)[:100]})")) from error
    if not isinstance(contents, dict) or contents.get("format") != form.name:
        found = contents.get("format") if isinstance(contents, dict) else type(contents).__name__
        raise StoreError(f"{path} is no niwaki {form.noun} (its format is {str(found)[:40]!r}); check the folder")
    if contents.get("version") != form.version:
        raise StoreError(
            f"{path} has format version {str(contents.get('version'))[:40]}, this niwaki reads {form.version}; "
            "load it with the niwaki that wrote it"
        )
    try:
        matches = contents.get("checksum") == _checksum(contents)
    except (ValueError, RecursionError) as error:
        raise StoreError(damaged(form, path, str(error)[:100])) from error
    if not matches:
        raise StoreError(damaged(form, path, "its checksum does not match its contents"))
    return contents


def read_signed(form: Format, path: Path) -> dict[str, Any]:
    """The checked contents of a file that holds what `signed` made."""
    with opened(form, path) as file:
        data = file.read()
    return parsed(form, path, data)


def read_tensors(form: Format, path: Path, about: Mapping[str, Any], voucher: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, if it is the one that was written.

    Args:
        form: what it belongs to.
        path: the file.
        about: its ``bytes`` and ``sha256`` as they were written down.
        voucher: the file that says so.

    Returns:
        The tensors by name, on the CPU, in memory of their own.

    Raises:
        StoreError: missing, damaged or edited.
    """
    # In pieces and one by one: a large model is never in memory twice.
    with opened(form, path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != about["bytes"]:
            raise StoreError(damaged(form, path, f"it has {size:,} bytes, {about['bytes']:,} were written"))
        if hashlib.file_digest(file, "sha256").hexdigest() != about["sha256"]:
            raise StoreError(damaged(form, path, f"its checksum does not match the one in {voucher}"))
    try:
        with safe_open(path, "pt") as inside:
            return {name: inside.get_tensor(name).clone() for name in inside.keys()}
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise StoreError(damaged(form, path, f"it is no safetensors file ({str(error)[:100]})")) from error
