"""What every causal index has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .frame import Floats


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
