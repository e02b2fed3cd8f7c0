"""A whole training run in one checkpoint: model, optimizer, sparsifier, schedules, random numbers."""

from __future__ import annotations

import copy
import random
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..core.errors import StoreError, said
from ..core.names import ABOARD, bare_model, plain_name
from .checkpoint import HEADER, read_checkpoint, save_checkpoint
from .fingerprint import check_fingerprint, plain_state

_KIND = "training"


class Stateful(Protocol):
    """What can give its state and take it back."""

    def state_dict(self) -> Any:
        """Nested data of tensors and scalars."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take it back."""
        ...


def _random_states() -> dict[str, Any]:
    numpy_state: dict[str, Any] = dict(np.random.get_state(legacy=False))  # noqa: NPY002 - the global state is what a user may use
    numpy_state["state"] = {
        key: torch.from_numpy(value.astype(np.int64)) if isinstance(value, np.ndarray) else value
        for key, value in numpy_state["state"].items()
    }
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
        "numpy": numpy_state,
        "python": random.getstate(),
    }


def _set_random_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available():
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)
    if torch.backends.mps.is_available():
        for state in states.get("mps", ()):  # older checkpoints have none
            torch.mps.set_rng_state(state)
    numpy_state = dict(states["numpy"])
    numpy_state["state"] = {
        key: value.numpy().astype(np.uint32) if isinstance(value, torch.Tensor) else value
        for key, value in numpy_state["state"].items()
    }
    np.random.set_state(numpy_state)  # noqa: NPY002 - as above
    random.setstate(states["python"])


def _shapes(optimizer: torch.optim.Optimizer) -> list[list[list[int]]]:
    return [[list(parameter.shape) for parameter in group["params"]] for group in optimizer.param_groups]


def _state_of(optimizer: torch.optim.Optimizer, sparsifier: Mapping[str, Any] | None) -> dict[str, Any]:
    state = optimizer.state_dict()
    aboard = [one["sizes"] for one in state.get(ABOARD, ())]
    if sparsifier is not None and aboard == [sparsifier.get("sizes")]:
        del state[ABOARD]  # what is stored by itself need not be there twice
    return state


def save_training(
    folder: str | Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    sparsifier: Stateful | None = None,
    scheduler: Stateful | None = None,
    scaler: Stateful | None = None,
    extra: object = None,
) -> None:
    """Store everything a training run needs to go on as if it had never stopped.

    The states of the global random generators (torch on every device, numpy, Python) are part of it. Under several
    processes let one of them save. What cannot be stored or written gives a `StoreError`, and the earlier checkpoint is
    untouched.

    Args:
        folder: where; an earlier checkpoint there is replaced.
        model: the model; wrappers do not matter.
        optimizer: the optimizer.
        sparsifier: the sparsifier that hangs on it.
        scheduler: a learning-rate scheduler.
        scaler: a gradient scaler.
        extra: nested data of your own, such as the step and the generators of the data.
    """
    others = {"sparsifier": sparsifier, "scheduler": scheduler, "scaler": scaler}
    states = {name: None if thing is None else thing.state_dict() for name, thing in others.items()}
    state = {
        "model": plain_state(model),
        "optimizer": {
            "class": type(optimizer).__name__,
            "shapes": _shapes(optimizer),
            "state": _state_of(optimizer, states["sparsifier"]),
        },
        **states,
        "random": _random_states(),
        "extra": extra,
    }
    save_checkpoint(folder, state, kind=_KIND, model=model)


def _check_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any], where: str) -> None:
    name = type(optimizer).__name__
    if saved["class"] != name:
        raise StoreError(
            f"{where} holds the state of {saved['class']}, not of {name}; make the optimizer as it was, or start anew"
        )
    there, here = saved["shapes"], _shapes(optimizer)
    if there != here:
        counts = [f"{[len(group) for group in side]} parameters per group" for side in (there, here)]
        detail = f"{counts[0]} there, {counts[1]} here"
        if counts[0] == counts[1]:
            first = next((a, b) for a, b in zip(sum(there, []), sum(here, []), strict=True) if a != b)
            detail = f"a parameter of shape {first[0]} there and {first[1]} here"
        raise StoreError(
            f"{where} belongs to an optimizer over other parameters: {detail}; give it the same parameters "
            "in the same order and groups"
        )


def _check_presence(state: Mapping[str, Any], others: Mapping[str, Stateful | None], where: str) -> None:
    for name, thing in others.items():
        if (state[name] is None) != (thing is None):
            raise StoreError(
                f"{where} was saved with{'out' if state[name] is None else ''} a {name}; "
                f"load it with {name}={'None' if state[name] is None else '...'} too"
            )


def _put_back(things: Mapping[str, Stateful], before: Mapping[str, Any], error: BaseException) -> None:
    for name, thing in things.items():
        try:
            thing.load_state_dict(before[name])
        except Exception as second:
            # What refuses its own state has refused the new one at the door too; the others must still be put back.
            error.add_note(f"the {name} could not be put back: {second}")


@contextmanager
def _unharmed(things: Mapping[str, Stateful], where: str) -> Generator[None, None, None]:
    # Whatever goes wrong inside, everything is put back as it was.
    before = {name: copy.deepcopy(thing.state_dict()) for name, thing in things.items()}
    generators = _random_states()
    try:
        yield
    except BaseException as error:
        _put_back(things, before, error)
        _set_random_states(generators)
        if not isinstance(error, Exception):
            raise
        raise StoreError(
            f"{where} could not be taken over ({said(error)}); everything is as it was before. "
            "Make model, optimizer and sparsifier as they were when it was written"
        ) from error


def _take_weights(model: nn.Module, saved: Mapping[str, torch.Tensor]) -> None:
    inner = bare_model(model)
    inner.load_state_dict({name: saved[plain_name(name)] for name in inner.state_dict()})


def load_weights(folder: str | Path, model: nn.Module) -> None:
    """Take over the model alone from what `save_training` stored, to use it and not to go on training.

    Args:
        folder: where it was stored.
        model: a model of the same make; it is unchanged if anything does not fit.
    """
    header, state = read_checkpoint(Path(folder), _KIND)
    check_fingerprint(model, header["model"], where=str(Path(folder) / HEADER))
    _take_weights(model, state["model"])


def load_training(
    folder: str | Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    sparsifier: Stateful | None = None,
    scheduler: Stateful | None = None,
    scaler: Stateful | None = None,
) -> Any:
    """Take over a run that `save_training` stored.

    Everything is verified first: the files, the model's names, shapes and dtypes, the optimizer's class and
    parameters, which of the other objects are there. If anything fails, also while an object takes its state, all
    objects are as they were, and a `StoreError` says why. A run saved on more devices than there are restores the
    random states of those there are.

    Args:
        folder: where it was stored.
        model: a model of the same make.
        optimizer: the same kind of optimizer over the same parameters.
        sparsifier: the same kind of sparsifier, attached to the optimizer.
        scheduler: the scheduler, if one was saved.
        scaler: the gradient scaler, if one was saved.

    Returns:
        The ``extra`` that was stored.
    """
    where = str(Path(folder) / HEADER)
    header, state = read_checkpoint(Path(folder), _KIND)
    check_fingerprint(model, header["model"], where=where)
    _check_optimizer(optimizer, state["optimizer"], where)
    others = {"sparsifier": sparsifier, "scheduler": scheduler, "scaler": scaler}
    _check_presence(state, others, where)
    given = {name: thing for name, thing in others.items() if thing is not None}
    with _unharmed({"model": model, "optimizer": optimizer, **given}, where):
        _take_weights(model, state["model"])
        optimizer.load_state_dict(state["optimizer"]["state"])
        for name, thing in given.items():
            thing.load_state_dict(state[name])
        _set_random_states(state["random"])
    return state["extra"]
