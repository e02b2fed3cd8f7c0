"""Checkpoints: one safetensors file and one JSON file that vouches for it; no pickle anywhere.

The tensors are written first, under a name that holds their digest; then ``checkpoint.json`` is replaced in one step;
only then are older tensor files deleted. Whatever moment a process dies at, the folder holds one whole checkpoint.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from ..core.errors import StoreError
from .encode import decode, encode
from .files import sweep, write_file
from .fingerprint import describe, digest_of
from .signed import Format, read_signed, read_tensors, signed

HEADER = "checkpoint.json"
_FORMAT = Format(
    "niwaki-checkpoint",
    1,
    "checkpoint",
    missing="check the folder, or start anew without resuming",
    damaged="take another copy of it, or start the run anew",
)
TENSOR_FILES = r"tensors-[0-9a-f]{16}\.safetensors"


def _delete_older(folder: Path, keep: str) -> None:
    for path in folder.iterdir():
        if path.name != keep and re.fullmatch(TENSOR_FILES, path.name):
            # A file that cannot be deleted costs space and nothing else; the next save tries again.
            with contextlib.suppress(OSError):
                path.unlink()
    sweep(folder, rf"{TENSOR_FILES}|{re.escape(HEADER)}")


def sweep_checkpoint(folder: Path) -> None:
    """Delete what killed processes left beside a checkpoint; a damaged one gives a `StoreError`.

    Args:
        folder: the checkpoint's folder; no other process may be writing to it.
    """
    _delete_older(folder, read_signed(_FORMAT, folder / HEADER)["tensors"]["file"])


def save_checkpoint(folder: str | Path, state: object, *, kind: str = "state", model: nn.Module | None = None) -> None:
    """Store nested data in a folder, atomically.

    What cannot be stored, and a folder that cannot be written, give a `StoreError`, and the earlier checkpoint is
    untouched.

    Args:
        folder: the folder; made if it does not exist. An earlier checkpoint in it is replaced. Only one process may
            write to a folder.
        state: nested dictionaries, lists and tuples of tensors, numbers, strings and None.
        kind: what this is; `load_checkpoint` can insist on it.
        model: the model it belongs to; names, shapes and dtypes of its state are kept for `check_fingerprint`.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(folder, {"step": 3, "w": torch.ones(2), "betas": (0.9, 0.99)})
    ...     load_checkpoint(folder)
    {'step': 3, 'w': tensor([1., 1.]), 'betas': (0.9, 0.99)}
    """
    folder = Path(folder)
    structure, tensors = encode(state)
    data = safetensors.torch.save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    name = f"tensors-{digest[:16]}.safetensors"
    described = None if model is None else describe(model)
    header: dict[str, Any] = {
        "kind": kind,
        "fingerprint": None if described is None else digest_of(described),
        "model": described,
        "tensors": {"file": name, "sha256": digest, "bytes": len(data)},
        "structure": structure,
    }
    write_file(folder / name, data)
    write_file(folder / HEADER, signed(_FORMAT, header))
    _delete_older(folder, name)


def read_checkpoint(folder: Path, kind: str | None) -> tuple[dict[str, Any], Any]:
    """The header and the data of a checkpoint, all of it verified.

    Args:
        folder: the checkpoint's folder.
        kind: the kind it must have been saved as; any, if None.

    Returns:
        The header, and the nested data.

    Raises:
        StoreError: missing, damaged, edited, foreign, of another format or version, or of another kind.
    """
    header = read_signed(_FORMAT, folder / HEADER)
    if kind is not None and header["kind"] != kind:
        raise StoreError(
            f"{folder / HEADER} holds a checkpoint of kind {header['kind']!r}, not {kind!r}; check the folder"
        )
    about = header["tensors"]
    tensors = read_tensors(_FORMAT, folder / about["file"], about, HEADER)
    return header, decode(header["structure"], tensors)


def load_checkpoint(folder: str | Path, *, kind: str | None = None) -> Any:
    """Read back what `save_checkpoint` stored.

    Everything is read and verified before anything is returned: a file that is missing, truncated, edited, foreign, of
    another version or of another kind gives a `StoreError`.

    Args:
        folder: the checkpoint's folder.
        kind: the kind it must have been saved as; any, if not given.

    Returns:
        The nested data. Tensors are on the CPU; integers, tuples and keys are what they were.
    """
    return read_checkpoint(Path(folder), kind)[1]
