"""The linear systems behind a group of states, as tensors that a criterion can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Scheme = Literal["zoh", "bilinear", "discrete"]


@dataclass(frozen=True, eq=False)
class DiagonalSystem:
    """Independent first-order systems ``dx/dt = pole x + inputs u``, ``y = outputs x``; a unit owns ``modes`` of them.

    Most often a unit is one mode. It has several where one index serves many channels, or where both members of a
    conjugate pair are stored. With the scheme ``discrete`` pole and inputs are those of ``x' = pole x + inputs u``
    already, and the step says nothing.

    Args:
        pole: ``[size, modes]``, complex or real.
        step: the time between two samples, ``[size, modes]``.
        inputs: ``[size, modes, inputs]``.
        outputs: ``[directions, size, modes, outputs]``; two directions for a layer that also runs backwards.
        scheme: how the layer makes the system discrete.
    """

    pole: Tensor
    step: Tensor
    inputs: Tensor
    outputs: Tensor
    scheme: Scheme = "zoh"


@dataclass(frozen=True, eq=False)
class Dynamics:
    """How the systems of a group are read from the parameters.

    ``read`` gets a function from the name of a tensor to its values and asks it for ``tensors`` only, so that weights,
    averaged weights or any other signal of the same shape can stand in for the parameters.
    """

    tensors: tuple[str, ...]
    read: Callable[[Callable[[str], Tensor]], DiagonalSystem]
