"""What all commands share: common options, how a result is said, and how errors end."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; warnings are shown.")]
Graph = Annotated[
    bool,
    typer.Option("--graph", help="Also what the model's own code cannot lose; the result is a graph of operators."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(help="A layer, tensor or pattern to leave whole: fc, 'layer4.*'; once for each."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_ERRORS = {
    "niwaki.core.errors": "NiwakiError",
    "niwaki.patterns.errors": "PatternError",
    "niwaki.causality.errors": "CausalityError",
}


def option(text: str, *names: str) -> Any:
    """An option without a default of its own."""
    return typer.Option(*names, help=text, show_default=False)


def _known() -> tuple[type[BaseException], ...]:
    # A part that is not loaded has raised nothing: to look for its errors must not load it, nor torch with it.
    return tuple(getattr(sys.modules[part], name) for part, name in _ERRORS.items() if part in sys.modules)


@contextmanager
def errors(debug: bool) -> Generator[None, None, None]:
    """Errors that a user can cause become one line and exit code 1, an interrupt becomes exit code 130.

    Args:
        debug: let errors through, with their traceback.

    Raises:
        Exit: with the code.
    """
    try:
        yield
    except _known() as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as stop:
        typer.echo(str(stop) or "interrupted", err=True)
        raise typer.Exit(130) from stop


def console() -> Console:
    """Where tables are printed."""
    from rich.console import Console

    found = Console()
    # A pipe has no width; a table must not be cut to the 80 columns of no terminal.
    return found if found.is_terminal else Console(width=160)


def say(result: dict[str, Any], in_words: Callable[[], object], as_json: bool, quiet: bool) -> None:
    """Print a result as JSON, in words, or not at all."""
    if as_json:
        typer.echo(json.dumps(result))
    elif not quiet:
        in_words()


def command() -> str:
    """The command line as it was given."""
    return shlex.join(["niwaki", *sys.argv[1:]])
