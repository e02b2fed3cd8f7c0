"""How a run shows where it stands: live on a terminal, in plain lines elsewhere, or not at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Shown(Protocol):
    """What a run talks to; used in a ``with``."""

    def begin(self, label: str, steps: int, done: int) -> None:
        """A run of so many steps begins, or goes on after ``done`` of them."""
        ...

    def step(self, done: int, facts: Mapping[str, str] | None = None) -> None:
        """A step is done; sometimes there are facts to show: stage, density, loss, accuracy."""
        ...

    def note(self, text: str) -> None:
        """Something that whoever runs this must hear of; said even where no progress is shown."""
        ...

    def __enter__(self) -> Shown: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows no progress; what is worth a line goes to a console, if there is one."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console

    def begin(self, label: str, steps: int, done: int) -> None:
        """Show nothing."""

    def step(self, done: int, facts: Mapping[str, str] | None = None) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Say it, if there is someone to say it to."""
        if self._console is not None:
            _line(self._console, text)

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Plain:
    """A line at the beginning and then about every tenth of the run, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._facts: dict[str, str] = {}
        self._label, self._steps, self._first, self._shown, self._since = "", 1, 0, 0, 0.0

    def begin(self, label: str, steps: int, done: int) -> None:
        """Say what begins."""
        self._label, self._steps, self._first, self._facts = label, steps, done, {}
        self._shown, self._since = done * 10 // steps, time.monotonic()
        _line(self._console, f"{label}: {steps} steps" + (f", going on after {done}" if done else ""))

    def step(self, done: int, facts: Mapping[str, str] | None = None) -> None:
        """Say where it stands, at every tenth."""
        self._facts.update(facts or {})
        tenth = done * 10 // self._steps
        if tenth > self._shown:
            self._shown = tenth
            left = (time.monotonic() - self._since) / (done - self._first) * (self._steps - done)
            said = [f"{name} {value}" for name, value in self._facts.items()]
            parts = [f"{self._label}: step {done} of {self._steps}", *said, f"{_clock(left)} left"]
            _line(self._console, ", ".join(parts))

    def note(self, text: str) -> None:
        """Say it."""
        _line(self._console, text)

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""


class Live:
    """One moving bar per run, with stage, density, loss, accuracy and the time left."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            expand=True,
        )
        self._task = self._bars.add_task("", visible=False, facts="")
        self._facts: dict[str, str] = {}

    def begin(self, label: str, steps: int, done: int) -> None:
        """A new bar."""
        self._facts = {}
        self._task = self._bars.add_task(label, total=steps, completed=done, facts="")

    def step(self, done: int, facts: Mapping[str, str] | None = None) -> None:
        """Move the bar."""
        if facts:
            self._facts.update(facts)
            said = "  ".join(f"[dim]{name}[/dim] {value}" for name, value in self._facts.items())
            self._bars.update(self._task, completed=done, facts=said)
        else:
            self._bars.update(self._task, completed=done)

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False)

    def __enter__(self) -> Live:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they stand."""
        self._bars.stop()


def shown(*, quiet: bool) -> Shown:
    """What suits the place: notes alone if quiet, bars on a terminal, else plain lines; always on standard error."""
    console = Console(stderr=True)
    if quiet:
        return Silent(console)
    return Live(console) if console.is_terminal else Plain(console)
