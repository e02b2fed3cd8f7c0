"""Models by address, or from what was saved: a smaller model's folder, a program."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..core.errors import AddressError
from ..store import load, load_program
from .models import load_model


def _is_program(path: Path) -> bool:
    return path.is_file() and path.suffix == ".pt2" or (path / "program.pt2").is_file()


def _is_saved(path: Path) -> bool:
    return (path / "plan.json").is_file()


def open_model(text: str, *, dense: str | None = None) -> nn.Module:
    """The model at an address, in a folder that `save` wrote, or in a program that `save_program` wrote.

    Args:
        text: an address, a folder, or a ``.pt2`` file.
        dense: address of the dense model, whose code a folder that `save` wrote needs.

    Returns:
        The model.

    Raises:
        AddressError: a folder without a saved model, or a saved model without the address of its dense one.
    """
    path = Path(text)
    if _is_program(path):
        return load_program(path)
    if _is_saved(path):
        if dense is None:
            raise AddressError(
                f"{text!r} holds a smaller model, which is built from the dense model's code; give the dense model's "
                "address, such as --dense zoo:resnet20"
            )
        return load(load_model(dense), path)
    if path.is_dir():
        raise AddressError(
            f"the folder {text!r} holds no model: neither plan.json, which nw.save writes, nor program.pt2, which "
            "nw.save_program writes"
        )
    if ":" not in text:
        raise AddressError(f"{text!r} is no folder that is there, and no address of a model, such as zoo:resnet20")
    return load_model(text)


def is_address(text: str) -> bool:
    """Whether a model is given by its address, and not by what was saved."""
    return not Path(text).exists()
