"""Pictures: digits, numpy files, folders."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import AddressError
from .addresses import needed
from .data import Data, Pairs, balanced, held_out, statistics

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
Channelwise = float | Sequence[float] | None


def _scale(x: Tensor, mean: Channelwise, std: Channelwise) -> tuple[Tensor, Tensor]:
    # As given, on the scale from 0 to 1 that papers use, or those of the training pictures.
    own = statistics(x)
    given = [None if value is None else torch.tensor(value, dtype=torch.float32).reshape(-1) for value in (mean, std)]
    for value in given:
        if value is not None and len(value) not in {1, x.shape[1]}:
            raise ValueError(f"mean and std need one value or {x.shape[1]}, one for each channel, not {len(value)}")
    first, second = (usual if value is None else 255 * value for value, usual in zip(given, own, strict=True))
    return first, second


def _taken(pairs: Pairs, index: Tensor) -> Pairs:
    return pairs[0][index], pairs[1][index]


def digits(_: str, *, valid: int | None = None) -> Data:
    """scikit-learn's bundled digits: 8 x 8 pixels of 0 to 16; a fifth is the test part, always the same.

    Args:
        _: nothing follows the scheme.
        valid: how many are held out of the training part for decisions; a tenth if not given.

    Returns:
        The data.
    """
    bunch = needed("sklearn.datasets", "data", "digits").load_digits()
    x = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
    y = torch.from_numpy(bunch.target.astype(np.int64))
    rest, test = held_out(len(x), len(x) // 5, "digits")
    stay, out = held_out(len(rest), valid, "digits")
    train = _taken((x, y), rest[stay])
    mean, std = statistics(train[0])
    names = tuple(map(str, range(10)))
    return Data(train, _taken((x, y), rest[out]), _taken((x, y), test), names, mean, std)


def _decoded(file: Any, part: str, text: str) -> Pairs:
    """The layout of concatenated lossless WebP sheets, each a column of square pictures."""
    image = needed("PIL.Image", "data", text)
    blob, offsets = file[f"{part}_webp"], file[f"{part}_offsets"]
    sheets = []
    for begin, end in zip(offsets[:-1], offsets[1:], strict=True):
        sheet = np.asarray(image.open(io.BytesIO(blob[begin:end].tobytes())).convert("RGB"))
        side = sheet.shape[1]
        sheets.append(sheet.reshape(-1, side, side, 3))
    pixels = np.ascontiguousarray(np.concatenate(sheets).transpose(0, 3, 1, 2))
    return torch.from_numpy(pixels), torch.from_numpy(file[f"{part}_labels"].astype(np.int64))


def _plain(file: Any, part: str) -> Pairs:
    x = file[f"x_{part}"]
    x = x[:, None] if x.ndim == 3 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return torch.from_numpy(x), torch.from_numpy(file[f"y_{part}"].astype(np.int64).reshape(-1))


def _npz_parts(path: str, text: str) -> tuple[Pairs, Pairs, tuple[str, ...] | None]:
    try:
        with np.load(Path(path).expanduser(), allow_pickle=False) as file:
            if {"x_train", "y_train", "x_test", "y_test"} <= set(file.files):
                return _plain(file, "train"), _plain(file, "test"), None
            if {"train_webp", "test_webp"} <= set(file.files):
                names = tuple(map(str, file["classes"])) if "classes" in file.files else None
                return _decoded(file, "train", text), _decoded(file, "test", text), names
            found = ", ".join(file.files[:8])
    except FileNotFoundError as error:
        raise AddressError(f"{text!r}: there is no file {path}; check the path") from error
    except (zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
        raise AddressError(f"{text!r}: {path} cannot be read as a numpy file of pictures ({error})") from error
    raise AddressError(
        f"{text!r}: {path} holds {found}; expected x_train, y_train, x_test, y_test, or train_webp, train_offsets, "
        "train_labels and the same for test"
    )


def npz(
    path: str,
    *,
    limit: int | None = None,
    valid: int | None = None,
    augment: bool | None = None,
    mean: Channelwise = None,
    std: Channelwise = None,
) -> Data:
    """Pictures in a numpy file, laid out as MNIST and Fashion-MNIST usually are, or as concatenated WebP sheets.

    Args:
        path: the file.
        limit: how many training pictures to use, the first of every class; all if not given.
        valid: how many are held out of the training part for decisions; a tenth, at most 5,000, if not given. They are
            the same ones for every ``limit``.
        augment: vary the training pictures by shifts of up to 4 pixels and mirroring; colour pictures only, if not
            given.
        mean: per channel, on the scale from 0 to 1; of the training pictures if not given.
        std: likewise.

    Returns:
        The data.
    """
    text = f"npz:{path}"
    train, test, names = _npz_parts(path, text)
    stay, out = held_out(len(train[0]), valid, text)
    chosen = stay[balanced(train[1][stay], limit, text)]
    kept = _taken(train, chosen)
    vary = train[0].shape[1] == 3 if augment is None else augment
    classes = names or tuple(map(str, range(1 + int(train[1].max()))))
    scale = _scale(kept[0], mean, std)
    return Data(kept, _taken(train, out), test, classes, *scale, crop=4 if vary else 0, flip=vary)


def _one_folder(folder: Path, classes: Sequence[str], size: int | None, text: str) -> Pairs:
    image = needed("PIL.Image", "data", text)
    pixels, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir()) if (folder / name).is_dir() else []:
            if path.suffix.lower() not in _SUFFIXES:
                continue
            try:
                picture = image.open(path).convert("RGB")
            except OSError as error:
                raise AddressError(f"{text!r}: {path} is no picture that can be read ({error})") from error
            pixels.append(np.asarray(picture if size is None else picture.resize((size, size))))
            labels.append(label)
    if not pixels:
        raise AddressError(f"{text!r}: no pictures in {folder}/CLASS/; known endings: {', '.join(sorted(_SUFFIXES))}")
    shapes = {array.shape for array in pixels}
    if len(shapes) > 1:
        seen = ", ".join(f"{w} x {h}" for h, w, _ in sorted(shapes)[:3])
        raise AddressError(f"{text!r}: the pictures in {folder} differ in size ({seen}); add ?size=32 to resize them")
    x = torch.from_numpy(np.ascontiguousarray(np.stack(pixels).transpose(0, 3, 1, 2)))
    return x, torch.tensor(labels)


def imagefolder(path: str, *, size: int | None = None, valid: int | None = None, augment: bool = True) -> Data:
    """Pictures in one folder per class.

    With ``DIR/train`` and ``DIR/test`` these are the parts; otherwise a fifth of ``DIR/CLASS`` is the test part, always
    the same.

    Args:
        path: the folder.
        size: resize to so many pixels on either side.
        valid: how many are held out of the training part for decisions; a tenth if not given.
        augment: vary the training pictures by shifts of up to an eighth of their size and mirroring.

    Returns:
        The data.

    Raises:
        AddressError: no such folder, no pictures, or pictures of several sizes.
    """
    text, folder = f"imagefolder:{path}", Path(path).expanduser()
    if not folder.is_dir():
        raise AddressError(f"{text!r}: there is no folder {path}; check the path")
    split = (folder / "train").is_dir() and (folder / "test").is_dir()
    root = folder / "train" if split else folder
    classes = sorted(p.name for p in root.iterdir() if p.is_dir())
    train = _one_folder(root, classes, size, text)
    if split:
        test = _one_folder(folder / "test", classes, size, text)
    else:
        stay, out = held_out(len(train[0]), max(1, len(train[0]) // 5), text)
        train, test = _taken(train, stay), _taken(train, out)
    stay, out = held_out(len(train[0]), valid, text)
    kept = _taken(train, stay)
    crop = kept[0].shape[-1] // 8 if augment else 0
    return Data(kept, _taken(train, out), test, tuple(classes), *statistics(kept[0]), crop=crop, flip=augment)
