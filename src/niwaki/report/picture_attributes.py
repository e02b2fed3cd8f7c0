"""What can be said of a picture without a network: brightness, contrast, edges, colour; and how sure a model was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BATCH = 1024
_COLOURS = ("red", "green", "blue")


def picture_attributes(pictures: Any) -> dict[str, NDArray[Any]]:
    """Attributes of pictures for an `audit`.

    Brightness is the mean, contrast the standard deviation, edges the mean step between neighbouring pixels, each over
    the whole picture; of pictures in colour also each colour's mean less the brightness, and the colour that leads.

    Args:
        pictures: ``[n, height, width]``, ``[n, 1, height, width]`` or ``[n, 3, height, width]``; bytes or numbers.

    Returns:
        One value for each picture, by name.

    Raises:
        ValueError: the shape is no stack of pictures.

    >>> flat, striped = np.zeros((4, 4)), np.tile([0, 1], (4, 2))
    >>> found = picture_attributes(np.stack([flat, striped]))
    >>> found["contrast"].tolist(), found["edges"].tolist()
    ([0.0, 0.5], [0.0, 0.5])
    """
    stack = np.asarray(pictures)
    if stack.ndim == 3:
        stack = stack[:, None]
    if stack.ndim != 4 or stack.shape[1] not in (1, 3) or min(stack.shape[2:]) < 2:
        raise ValueError(f"pictures have shape {stack.shape}; give [n, height, width] or [n, 1 or 3, height, width]")
    parts = [_measured(stack[at : at + _BATCH].astype(np.float64)) for at in range(0, len(stack), _BATCH)]
    found: dict[str, NDArray[Any]] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if stack.shape[1] == 3:
        shades = np.stack([found[name] for name in _COLOURS])
        found["colour"] = np.array(_COLOURS)[shades.argmax(axis=0)]
    return found


def _measured(stack: Floats) -> dict[str, Floats]:
    grey = stack.mean(axis=1)
    across, down = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2)), np.abs(np.diff(grey, axis=1)).mean(axis=(1, 2))
    brightness = grey.mean(axis=(1, 2))
    found = {"brightness": brightness, "contrast": grey.std(axis=(1, 2)), "edges": (across + down) / 2}
    if stack.shape[1] == 3:
        found |= {name: stack[:, at].mean(axis=(1, 2)) - brightness for at, name in enumerate(_COLOURS)}
    return found


def confusability(scores: Any) -> Floats:
    """How near the second class comes to the first: one minus the difference of their probabilities.

    Args:
        scores: of a model, before the softmax, ``[n, classes]``.

    Returns:
        From 0 (sure) to 1 (undecided), ``[n]``.

    >>> confusability([[0.0, 0.0, -99.0], [99.0, 0.0, 0.0]]).round(3).tolist()
    [1.0, 0.0]
    """
    values = np.asarray(scores, dtype=np.float64)
    shares = np.exp(values - values.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    top = np.sort(shares, axis=1)
    return np.asarray(1 - (top[:, -1] - top[:, -2]))
