"""Text as a sequence of characters."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import AddressError
from .data import Data, Pairs


def _windows(codes: Tensor, length: int) -> Pairs:
    """Stretches side by side; the label of a character is the one that follows it."""
    count = (len(codes) - 1) // length
    x = codes[: count * length].reshape(count, length)
    y = codes[1 : count * length + 1].reshape(count, length)
    return x.clone(), y.clone()


def text_file(path: str, *, window: int = 64) -> Data:
    """Character language modelling: the last tenth is the test part, the twentieth before it is held out.

    Args:
        path: a text in UTF-8, plain or ``.gz``.
        window: characters in one sample.

    Returns:
        The data: inputs and labels ``[n, window]``; the classes are the characters.

    Raises:
        AddressError: the file is missing, unreadable or too short.
    """
    address = f"text:{path}"
    try:
        raw = Path(path).expanduser().read_bytes()
        text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode("utf-8")
    except FileNotFoundError as error:
        raise AddressError(f"{address!r}: there is no file {path}; check the path") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise AddressError(f"{address!r}: {path} cannot be read as text in UTF-8 ({error})") from error
    if window < 1 or len(text) < 20 * (window + 1):
        raise AddressError(
            f"{address!r}: {len(text)} characters are too few for windows of {window}; give a text of at least "
            f"{20 * (max(window, 1) + 1)}, or a smaller window="
        )
    characters = sorted(set(text))
    code = {character: number for number, character in enumerate(characters)}
    codes = torch.tensor([code[character] for character in text])
    first, second = int(0.85 * len(codes)), int(0.9 * len(codes))
    parts = [_windows(part, window) for part in (codes[:first], codes[first:second], codes[second:])]
    return Data(parts[0], parts[1], parts[2], tuple(characters))
