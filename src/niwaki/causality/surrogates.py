"""Copies of a cause that keep its own dynamics and lose what it has to do with the effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from .blocks import Indices
from .embedding import check_counts
from .errors import CausalityError
from .frame import Floats

Surrogate = Literal["shift", "iaaft"]
_ROUNDS = 100


def _shifts(length: int, count: int, least: int, seed: int) -> Indices:
    """Different circular shifts, each at least ``least`` away from none.

    Raises:
        CausalityError: if there are not as many.
    """
    available = length - 2 * least + 1
    if available < count:
        raise CausalityError(
            f"{count} surrogates need as many different shifts, but {length} time points with shifts of at least "
            f"{least} leave {max(available, 0)}; ask for fewer, lower min_shift, or give surrogate='iaaft'"
        )
    return np.random.default_rng(seed).permutation(np.arange(least, least + available))[:count]


def _iaaft(column: Floats, order: Indices) -> Floats:
    """A series with the same values and nearly the same spectrum, begun from a permutation of the values."""
    amplitude = np.abs(np.fft.rfft(column))
    ascending = np.sort(column)
    found = column[order]
    for _ in range(_ROUNDS):
        spectrum = np.fft.rfft(found)
        size = np.abs(spectrum)
        phase = np.divide(spectrum, size, out=np.ones_like(spectrum), where=size > 0)
        shaped = np.fft.irfft(amplitude * phase, n=len(column))
        renewed = np.empty_like(found)
        renewed[np.argsort(shaped, kind="stable")] = ascending
        if (renewed == found).all():
            break
        found = renewed
    return np.asarray(found)


def surrogate_maker(
    length: int, kind: Surrogate, count: int, min_shift: int, seed: int
) -> Callable[[Floats, int], Floats]:
    """A function of a series ``[T, d]`` and a number below ``count``: that surrogate of it.

    All series are treated alike by the same number: shifted by the same amount, or begun from the same permutation, so
    that what causes have in common stays.

    Args:
        length: time points.
        kind: ``"shift"``, the series turned round by at least ``min_shift`` steps; or ``"iaaft"``, iterated amplitude
            adjusted Fourier surrogates (Schreiber and Schmitz 1996), for series too short to shift.
        count: how many.
        min_shift: the least shift.
        seed: of the random numbers.

    Raises:
        CausalityError: if the kind is unknown or there are not as many different shifts.
    """
    check_counts(surrogates=(count, 1), min_shift=(min_shift, 1), seed=(seed, 0))
    if kind not in get_args(Surrogate):
        raise CausalityError(f"surrogate={kind!r} is unknown; choose from {', '.join(get_args(Surrogate))}")
    if kind == "shift":
        shifts = _shifts(length, count, min_shift, seed)
        return lambda series, number: np.roll(series, int(shifts[number]), axis=0)

    def made(series: Floats, number: int) -> Floats:
        order = np.random.default_rng([seed, number]).permutation(length)
        return np.stack([_iaaft(column, order) for column in series.T], axis=1)

    return made
