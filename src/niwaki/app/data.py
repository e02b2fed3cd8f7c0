"""Data sets as tensors in memory, and the addresses they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..core.errors import AddressError
from .addresses import call, near, parse, python_function

Pairs = tuple[Tensor, Tensor]
"""Inputs ``[n, ...]`` and labels ``[n]`` (or ``[n, time]`` for sequences)."""


@dataclass(frozen=True, eq=False)
class Data:
    """Three disjoint parts; decisions are made on ``valid``, ``test`` is looked at once.

    Pictures stay bytes ``[n, channels, height, width]`` until `ready` makes them numbers. ``mean`` and ``std`` are per
    channel, on the scale of ``x``. ``crop`` and ``flip`` say how training pictures are varied: shifted by up to so many
    pixels, mirrored half of the time.
    """

    train: Pairs
    valid: Pairs
    test: Pairs
    classes: tuple[str, ...]
    mean: Tensor | None = None
    std: Tensor | None = None
    crop: int = 0
    flip: bool = False

    @property
    def channels(self) -> int | None:
        """Channels of the pictures, if these are pictures."""
        return self.train[0].shape[1] if self.train[0].dim() == 4 else None

    def to(self, device: torch.device) -> Data:
        """The same data on a device."""
        parts = {name: tuple(t.to(device) for t in getattr(self, name)) for name in ("train", "valid", "test")}
        scale = {name: None if t is None else t.to(device) for name, t in (("mean", self.mean), ("std", self.std))}
        return replace(self, **parts, **scale)  # type: ignore[arg-type]


def ready(data: Data, x: Tensor) -> Tensor:
    """Inputs as the model wants them: floating point, mean 0 and deviation 1 per channel of the training part."""
    if data.mean is None or data.std is None:
        return x
    view = (1, -1, *[1] * (x.dim() - 2))
    return (x.float() - data.mean.reshape(view)) / data.std.reshape(view)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel (axis 1), float32.

    >>> [t.tolist() for t in statistics(torch.tensor([[[[0, 2]]], [[[4, 6]]]], dtype=torch.uint8))]
    [[3.0], [2.2360680103302]]
    """
    axes = [axis for axis in range(x.dim()) if axis != 1]
    count = x.numel() // x.shape[1]
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    squares = total.clone()
    for part in torch.split(x, 4096):  # all at once in float64 would take eight times the memory of the pictures
        total += part.double().sum(axes)
        squares += part.double().square().sum(axes)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=1e-12).sqrt().float()


def held_out(count: int, share: int | None, text: str) -> tuple[Tensor, Tensor]:
    """Choose at random, but always alike, which samples are held out.

    Args:
        count: how many there are.
        share: how many to hold out; a tenth, at most 5,000, if None.
        text: the address, for the message.

    Returns:
        The indices that stay and those held out, each in ascending order.

    Raises:
        AddressError: nothing would stay, or nothing be held out.
    """
    wanted = min(5000, count // 10) if share is None else share
    if not 0 < wanted < count:
        raise AddressError(f"{text!r}: {wanted} of {count} training samples cannot be held out; choose valid= between")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[wanted:].sort().values, order[:wanted].sort().values


def balanced(labels: Tensor, limit: int | None, text: str) -> Tensor:
    """The indices of the first samples of every class, so that ``limit`` are left in all.

    Args:
        labels: ``[n]``.
        limit: how many; all if None.
        text: the address, for the message.

    Returns:
        Indices in ascending order; classes differ by one at most unless one has too few.

    Raises:
        AddressError: more than there are.

    >>> balanced(torch.tensor([0, 0, 0, 1, 0, 1]), 4, "x").tolist()
    [0, 1, 3, 5]
    """
    if limit is None:
        return torch.arange(len(labels))
    if not 0 < limit <= len(labels):
        raise AddressError(f"{text!r}: limit={limit} is not between 1 and the {len(labels)} training samples")
    rank = torch.zeros(len(labels), dtype=torch.long)
    for label in torch.unique(labels):
        mine = labels == label
        rank[mine] = torch.arange(int(mine.sum()))
    return rank.argsort(stable=True)[:limit].sort().values


def _checked_pair(pair: Any, part: str, text: str) -> Pairs:
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(t, Tensor) for t in pair)):
        raise AddressError(f"{text!r}: the {part} part must be a pair of tensors (inputs, labels)")
    x, y = pair
    if len(x) != len(y) or not len(x):
        raise AddressError(f"{text!r}: the {part} part has {len(x)} inputs and {len(y)} labels; give as many of each")
    if y.is_floating_point() or y.is_complex():
        raise AddressError(f"{text!r}: the labels of the {part} part are {y.dtype}; give class numbers (int64)")
    return x, y.long()


def _python(rest: str, text: str) -> Data:
    address = parse(text)
    parts = call(python_function(address), address)
    if not isinstance(parts, tuple | list) or len(parts) != 3:
        raise AddressError(f"{text!r} must return three parts (train, valid, test), each a pair (inputs, labels)")
    train, valid, test = (
        _checked_pair(pair, name, text) for pair, name in zip(parts, ("train", "valid", "test"), strict=True)
    )
    count = 1 + max(int(y.max()) for _, y in (train, valid, test))
    return Data(train, valid, test, tuple(map(str, range(count))))


def _readers() -> dict[str, Callable[..., Data]]:
    from .characters import text_file
    from .pictures import digits, imagefolder, npz

    return {"digits": digits, "npz": npz, "imagefolder": imagefolder, "text": text_file}


_FORMS = ("digits", "npz:FILE", "imagefolder:DIR", "text:FILE", "python:module:function")


def load_data(text: str) -> Data:
    """The data at an address.

    ==========================  ============================================================================
    address                     what it is
    ==========================  ============================================================================
    ``digits``                  scikit-learn's 1,797 handwritten digits of 8 x 8 pixels
    ``npz:FILE``                pictures in a numpy file; ``?limit=10000`` takes a class-balanced beginning
    ``imagefolder:DIR``         one folder of pictures per class
    ``text:FILE``               characters, to be predicted one after the other
    ``python:module:function``  a function that returns (train, valid, test), each a pair of tensors
    ==========================  ============================================================================

    Args:
        text: the address.

    Returns:
        The data.

    Raises:
        AddressError: an unknown scheme or option, a file that is missing or has another layout.
    """
    address = parse(text)
    if address.scheme == "python":
        return _python(address.rest, text)
    readers = _readers()
    if address.scheme not in readers:
        raise AddressError(f"the data {text!r} have the unknown scheme {address.scheme!r}; {near(text, _FORMS)}")
    if (address.scheme == "digits") == bool(address.rest):
        raise AddressError(
            f"the data {text!r} {'take no path' if address.rest else 'name no file'}; {near(text, _FORMS)}"
        )
    data: Data = call(readers[address.scheme], address, address.rest)
    return data
