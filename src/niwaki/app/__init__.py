"""The command line."""

__all__ = ["main"]


def main() -> None:
    """Run the command ``niwaki``."""
    from .cli import app  # typer and rich only where the command line is used

    app(prog_name="niwaki")
