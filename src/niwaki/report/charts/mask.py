"""A field of a thousand dots, as many of them filled as weights are left."""

from __future__ import annotations

import numpy as np

from .svg import Frame, drawing, figure, tag

_ACROSS, _DOWN = 40, 25
_STEP = 9.0
DOTS = _ACROSS * _DOWN


def filled_dots(density: float) -> int:
    """How many of the thousand dots are filled: rounded, but never none for something nor all for less than all.

    >>> filled_dots(0.05), filled_dots(0.0001), filled_dots(0.9999), filled_dots(1.0)
    (50, 1, 999, 1000)
    """
    if density <= 0 or density >= 1:
        return DOTS if density >= 1 else 0
    return min(DOTS - 1, max(1, round(density * DOTS)))


def draw_mask(density: float, description: str) -> str:
    """Draw the field; which dots are filled is arbitrary, the same every time.

    Args:
        density: the share that is left.
        description: what it shows.

    Returns:
        The SVG.
    """
    left = np.zeros(DOTS, dtype=bool)
    left[np.random.default_rng(4).permutation(DOTS)[: filled_dots(density)]] = True
    at = [((i % _ACROSS + 0.5) * _STEP, (i // _ACROSS + 0.5) * _STEP) for i in range(DOTS)]
    # A stroke of no length with round ends is a dot: six characters instead of a circle element.
    gone = "".join(f"M{figure(x)} {figure(y)}h0" for (x, y), stays in zip(at, left, strict=True) if not stays)
    here = "".join(f"M{figure(x)} {figure(y)}h0" for (x, y), stays in zip(at, left, strict=True) if stays)
    parts = [tag("path", d=gone or None, class_="gone"), tag("path", d=here or None, class_="here")]
    return drawing(Frame("mask", _ACROSS * _STEP, _DOWN * _STEP), "mask", "What is left", description, parts)
