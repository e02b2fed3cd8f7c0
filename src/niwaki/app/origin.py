"""What a folder's model was made from, so that the folder alone says how to make it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from ..core.errors import StoreError
from .data import Data
from .folder import ORIGIN, read_json, write_json


@dataclass(frozen=True)
class Origin:
    """The dense model behind a folder.

    Args:
        model: its address.
        classes: how many its data had; None without data.
        channels: those of its pictures.
        size: of one input, where inputs are numbers and not tokens.
        start: the folder whose weights were trained on; None for those of the address.
    """

    model: str
    classes: int | None = None
    channels: int | None = None
    size: tuple[int, ...] | None = None
    start: str | None = None

    @property
    def hints(self) -> dict[str, int | None]:
        """What the address does not say of the data."""
        return {"classes": self.classes, "channels": self.channels}


def origin_of(text: str, data: Data | None, example: Tensor | None) -> Origin:
    """The origin of what is about to be made from a model.

    Args:
        text: the model, an address or a folder that says its own origin.
        data: seen on the way.
        example: inputs, a batch of them.

    Returns:
        The origin.
    """
    known = read_origin(Path(text))
    size = tuple(example.shape[1:]) if example is not None and example.is_floating_point() else None
    if known is not None:
        return replace(known, size=size or known.size, start=str(Path(text).resolve()))
    classes, channels = (None, None) if data is None else (len(data.classes), data.channels)
    return Origin(text, classes, channels, size)


def write_origin(folder: Path, origin: Origin) -> None:
    """Write it down."""
    write_json(folder / ORIGIN, asdict(origin))


def read_origin(folder: Path) -> Origin | None:
    """What a folder says of its origin; None where it says nothing.

    Args:
        folder: of a run, or of a saved model.

    Returns:
        The origin.

    Raises:
        StoreError: the file is damaged.
    """
    if not (folder / ORIGIN).is_file():
        return None
    found = read_json(folder / ORIGIN)
    try:
        size = found.pop("size")
        origin = Origin(**found, size=None if size is None else tuple(map(int, size)))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder / ORIGIN} is damaged: {error}; make the folder anew") from error
    return origin


def recorded_size(texts: Sequence[str]) -> str | None:
    """The size of one input, such as ``1x8x8``, that the first of these folders to know it tells."""
    known = (read_origin(Path(text)) for text in texts)
    size = next((origin.size for origin in known if origin is not None and origin.size), None)
    return None if size is None else "x".join(map(str, size))
