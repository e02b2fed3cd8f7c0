"""What every causal index has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .embedding import Standardise, check_counts, check_length, standardised, window
from .errors import CausalityError
from .frame import Floats, as_series, is_constant


class Index(Protocol):
    """A causal index: a frozen dataclass of settings that can score causes against an effect."""

    @property
    def window(self) -> int:
        """Steps of time within which states are not independent."""
        ...

    def check(self, length: int) -> None:
        """Raises an error where series of this length do not go with the settings."""
        ...

    def prepare(self, effect: Floats) -> Callable[[Sequence[Floats]], Floats]:
        """What gives the scores of any causes ``[T, d]`` against this effect ``[T, d]``, the shared work done once."""
        ...


def score_pair(index: Index, x: Any, y: Any, standardise: Standardise) -> float:
    """The score of one cause and one effect by any index.

    Raises:
        CausalityError: if the series differ in length.
    """
    cause, effect = as_series(x, "x"), as_series(y, "y")
    if len(cause) != len(effect):
        raise CausalityError(f"x has {len(cause)} time points, y has {len(effect)}; cut them to the same times")
    index.check(len(effect))
    cause, effect = standardised(cause, standardise), standardised(effect, standardise)
    if is_constant(cause) or is_constant(effect):
        return 0.0  # nothing acts, or nothing answers
    return float(index.prepare(effect)([cause])[0])


def neighbours_of(vectors: Floats, width: int) -> int:
    """How many neighbours surround a state in a simplex: one more than it has coordinates.

    Args:
        vectors: delay vectors ``[n, d]``.
        width: half width of the time window.

    Raises:
        CausalityError: if a vector variable has more components than the series has neighbours for.
    """
    count, left = int(vectors.shape[1]) + 1, max(len(vectors) - 2 * width - 1, 0)
    if count > left:
        raise CausalityError(
            f"{vectors.shape[1]} coordinates take {count} neighbours, but the series leaves {left}; give longer "
            "series, or fewer components or delays"
        )
    return count


def check_delays(order: int, lag: int, theiler: int | None, length: int, least: int) -> None:
    """Whether ``least`` neighbours are left to every state of a series outside its time window.

    Raises an error of `embedding` where a setting will not do or the series is too short.
    """
    check_counts(order=(order, 1), lag=(lag, 1))
    width = window(order, lag, theiler)
    check_length(length, order * lag + 2 * width + 1 + least, f"{least} neighbours outside a window of {width}")
