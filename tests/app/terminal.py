"""What a command shows on a terminal."""

from __future__ import annotations

import os
import select


def shown_on(terminal: int, words: bytes | None = None) -> bytes:
    """What a terminal shows until it shows certain words, or nobody writes on it any more.

    It is to be read while the command runs: a terminal that nobody reads holds up those who write on it.
    """
    shown = b""
    while words is None or words not in shown:
        ready, _, _ = select.select([terminal], [], [], 120)
        assert ready, f"nothing more came after {shown.decode()}"
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how a terminal ends on Linux
            part = b""
        if not part:
            break
        shown += part
    return shown
