"""One step of an optimizer whose class calls its parent's: torch calls the hooks of both, and it is one step."""

from __future__ import annotations

from types import FrameType


class Outermost:
    """Knows the outer call of a step from those inside it.

    torch wraps ``step`` class by class. A class of the user's own that calls ``super().step()`` runs the hooks twice as
    soon as an optimizer of the parent's class has been made anywhere in the process. A counter would be off for good
    after a step that raises, since what runs after it does not run then; so the call itself is remembered.
    """

    def __init__(self) -> None:
        self._call: FrameType | None = None

    def opens(self, call: FrameType | None) -> bool:
        """Before an update: whether no other call of the step is under way.

        Args:
            call: the frame that runs the hook.
        """
        above = call
        while above is not None and above is not self._call:
            above = above.f_back
        if above is not None and above is not call:
            return False
        self._call = call
        return True

    def closes(self, call: FrameType | None) -> bool:
        """After an update: whether this is the call that opened.

        Args:
            call: the frame that runs the hook.
        """
        if call is not self._call:
            return False
        self._call = None
        return True
