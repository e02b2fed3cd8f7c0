"""Which model a checkpoint belongs to: names, shapes and dtypes of its state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from torch import Tensor, nn

from ..core.errors import StoreError
from ..core.names import bare_model, plain_name


def plain_state(model: nn.Module) -> dict[str, object]:
    """The model's state dict under plain names: prefixes that wrappers put in are gone."""
    return {plain_name(name): value for name, value in bare_model(model).state_dict().items()}


def describe(model: nn.Module) -> dict[str, str]:
    """One line per tensor of the model's state.

    >>> describe(nn.Linear(3, 2))
    {'weight': 'float32[2, 3]', 'bias': 'float32[2]'}
    """
    described = {}
    for name, value in plain_state(model).items():
        if isinstance(value, Tensor):
            described[name] = f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
        else:
            described[name] = type(value).__name__
    return described


def fingerprint(model: nn.Module) -> str:
    """A digest of the names, shapes and dtypes of a model's state.

    The values do not matter, nor whether the model is wrapped by `torch.compile` or DistributedDataParallel.

    Args:
        model: the model.

    Returns:
        A hexadecimal SHA-256.

    >>> fingerprint(nn.Linear(3, 2)) == fingerprint(nn.Linear(3, 2))
    True
    >>> fingerprint(nn.Linear(3, 2)) == fingerprint(nn.Linear(2, 3))
    False
    """
    return digest_of(describe(model))


def digest_of(described: Mapping[str, str]) -> str:
    """The fingerprint of a description made by `describe`."""
    return hashlib.sha256(json.dumps(list(described.items())).encode()).hexdigest()


def check_fingerprint(model: nn.Module, described: Mapping[str, str], *, where: str = "the checkpoint") -> None:
    """Check that a model is the one that was described when a checkpoint was made.

    Args:
        model: the model at hand.
        described: the description kept in the checkpoint.
        where: what to call the checkpoint in the message.

    Raises:
        StoreError: names, shapes or dtypes differ; the first few are listed.

    >>> check_fingerprint(nn.Linear(3, 2), {"weight": "float32[2, 4]", "bias": "float32[2]"})
    Traceback (most recent call last):
    ...
    niwaki.core.errors.StoreError: the checkpoint is a checkpoint of another model, 1 of 2 names differ: 'weight' is \
float32[2, 4] there and float32[2, 3] here; build the model as it was when the checkpoint was written
    """
    here = describe(model)
    if digest_of(here) == digest_of(described):
        return
    names = list(dict.fromkeys([*described, *here]))
    different = [
        f"{name!r} is {described.get(name, 'absent')} there and {here.get(name, 'absent')} here"
        for name in names
        if described.get(name) != here.get(name)
    ] or ["the same names in another order"]
    more = ", ..." if len(different) > 5 else ""
    raise StoreError(
        f"{where} is a checkpoint of another model, {len(different)} of {len(names)} names differ: "
        f"{', '.join(different[:5])}{more}; build the model as it was when the checkpoint was written"
    )
