"""Models by address, or from what was saved: a run, a smaller model's folder, a program."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..core.errors import AddressError
from ..store import load, load_program
from ..store.training import load_weights
from .addresses import parse
from .folder import CONFIG, ORIGIN, RESULT, SMALL
from .models import load_model
from .origin import read_origin


def is_program(path: Path) -> bool:
    """Whether a file or folder holds a program, which computes what a model does in evaluation and nothing else."""
    return path.is_file() and path.suffix == ".pt2" or (path / "program.pt2").is_file()


def _is_saved(path: Path) -> bool:
    return (path / "plan.json").is_file()


def _is_run(path: Path) -> bool:
    return (path / CONFIG).is_file()


def _saved(path: Path, dense: str | None) -> nn.Module:
    origin = read_origin(path)
    if dense is not None:
        return load(load_model(dense), path)
    if origin is None:
        raise AddressError(
            f"{str(path)!r} holds a smaller model, which is built from the dense model's code, and does not say which "
            "that is, as folders by niwaki prune and niwaki train do; give the dense model's address to niwaki bench, "
            "such as --dense zoo:resnet20"
        )
    return load(load_model(origin.model, **origin.hints), path)


def _trained(path: Path) -> nn.Module:
    if not (path / RESULT).is_file():
        raise AddressError(
            f"the run in {str(path)!r} has not ended, so it delivers no model yet; go on with it: niwaki train --out "
            f"{path} --resume"
        )
    if _is_saved(path / SMALL):
        return _saved(path / SMALL, None)
    origin = read_origin(path)
    if origin is None:
        raise AddressError(f"the run in {str(path)!r} does not say what its model was made from: {ORIGIN} is missing")
    model = open_model(origin.start) if origin.start is not None else load_model(origin.model, **origin.hints)
    load_weights(path, model)
    return model


def open_model(
    text: str, *, dense: str | None = None, classes: int | None = None, channels: int | None = None
) -> nn.Module:
    """The model at an address, or in a folder or file that niwaki wrote.

    Args:
        text: an address, the folder of a run that has ended, a folder that `save` wrote, or a ``.pt2`` program.
        dense: address of the dense model, for a folder that does not say what it was made from.
        classes: for an address, as in `load_model`.
        channels: likewise.

    Returns:
        The model.

    Raises:
        AddressError: a folder without a model, or one that cannot be built from what is known.
    """
    path = Path(text)
    if is_program(path):
        return load_program(path)
    if _is_saved(path):
        return _saved(path, dense)
    if _is_run(path):
        return _trained(path)
    if path.is_dir():
        raise AddressError(
            f"the folder {text!r} holds no model: neither plan.json, which nw.save writes, nor program.pt2, which "
            "nw.save_program writes, nor config.json of a run"
        )
    if ":" not in text:
        raise AddressError(
            f"{text!r} is no folder that is there, and no address of a model, such as zoo:resnet20: that begins with a "
            "scheme and a colon"
        )
    return load_model(text, classes=classes, channels=channels)


def is_trained(text: str) -> bool:
    """Whether a model comes with weights that were trained, as far as its address or folder tells."""
    if not is_address(text):
        return True
    address = parse(text)
    return address.scheme == "hf" or any(bool(address.options.get(option)) for option in ("weights", "pretrained"))


def is_address(text: str) -> bool:
    """Whether a model is given by its address, and not by what was saved."""
    return not Path(text).exists()
