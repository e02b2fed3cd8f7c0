"""How long to search before looking up."""

from __future__ import annotations

import time

# Rounds of tiny branches are quick for any budget, and slices of fewer patterns are mostly travel.
_LEAST_AT_ONCE, _MOST_AT_ONCE = 16, 1 << 22
# Seconds: whoever watches the progress, or stops the search, waits no longer where slices travel.
_LONGEST = 4.0
# Several times a second someone is told how far it is.
_USUAL, _USUAL_TURN = 0.1, 0.2


class Budget:
    """How many patterns a slice may visit so that it takes about so many seconds."""

    def __init__(self, first: int, seconds: float = _USUAL) -> None:
        self.patterns = first
        self._seconds = seconds
        self._since = time.perf_counter()

    def adapt(self) -> None:
        """Double or halve the budget by how long the last slice took."""
        now = time.perf_counter()
        spent, self._since = now - self._since, now
        if spent < self._seconds / 2:
            self.patterns = min(2 * self.patterns, _MOST_AT_ONCE)
        elif spent > 2 * self._seconds:
            self.patterns = max(_LEAST_AT_ONCE, self.patterns // 2)


class Turn:
    """How long workers search before they hand back what they found.

    Turns are short at first, so that there is something for all, and grow to a fifth of a second; where the way to
    other processes or machines and back takes long, to four times that, at most some seconds. A worker that had nothing
    left to do makes the next turn shorter.
    """

    def __init__(self, first: float) -> None:
        self.seconds = first
        self._since = time.perf_counter()

    def adapt(self, worked: list[float]) -> None:
        """Choose the length of the next turn.

        Args:
            worked: seconds that each worker searched in the last one.
        """
        now = time.perf_counter()
        way, self._since = now - self._since - max(worked), now
        longest = min(max(_USUAL_TURN, 4 * way), _LONGEST)
        if min(worked) < self.seconds / 2:
            self.seconds /= 2
        else:
            self.seconds *= 2
        self.seconds = min(max(self.seconds, longest / 16), longest)
