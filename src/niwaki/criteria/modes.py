"""The discrete modes of a group of states, and the gains that scores are made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.dynamics import DiagonalSystem
from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from ..core.widest import widest


@dataclass(frozen=True, eq=False)
class Gains:
    """Of every mode, in float64: how far it is from resounding for ever, and how strongly it is driven and read.

    ``distance`` is ``1 - |pole|`` of the discrete pole, or ``-Re`` of the continuous one, ``[size, modes]``; ``inputs``
    the norm of its row of B, ``[size, modes]``; ``outputs`` that of its column of C, ``[directions, size, modes]``.
    """

    distance: Tensor
    inputs: Tensor
    outputs: Tensor


def _system(group: Group, signals: Signals) -> DiagonalSystem:
    if group.dynamics is None:
        what = f"group {group.name!r} of {group.kind}s"
        why = (
            "has no fixed poles: its layer is selective, their values change with every token. "
            "nw.states(model, calibration=batches) takes those of some tokens, which is a heuristic; or use "
            "nw.Magnitude() or nw.Taylor()"
            if group.kind == "state"
            else "has no linear systems; scores from poles and gains are for the groups of nw.states(model)"
        )
        raise SignalError(f"{what} {why}")

    return group.dynamics.read(lambda name: widest(signals.of("weight", name)))


def _discrete(system: DiagonalSystem) -> tuple[Tensor, Tensor]:
    # 1 - |pole| and the factor of B. Both forms of the distance keep their digits for slow modes, with |pole| near 1.
    if system.scheme == "discrete":
        return 1 - system.pole.abs(), torch.ones_like(system.step)
    turn = system.pole * system.step
    if system.scheme == "bilinear":
        below = (1 - turn / 2).abs()
        square = -2 * turn.real / below.square()  # 1 - |pole|^2
        return square / (1 + ((1 + turn / 2).abs() / below)), system.step / below
    small = turn.abs() < 1e-6
    safe = torch.where(small, torch.ones_like(turn), turn)
    held = torch.where(small, 1 + turn / 2, torch.expm1(safe) / safe)
    return -torch.expm1(turn.real), system.step * held.abs()


def gains_of(group: Group, signals: Signals, *, continuous: bool = False) -> Gains:
    """The gains of a group's modes.

    Args:
        group: a group of states.
        signals: the weights.
        continuous: those of the system before it is made discrete.

    Returns:
        The gains.

    Raises:
        SignalError: a group of another kind, a mode that is not stable, or one that is not there in continuous time.
    """
    system = _system(group, signals)
    distance, factor = _discrete(system)
    # A pole on or outside the unit circle has no finite gain, and the formula would give one that means nothing.
    unstable = ~(distance > 0)
    if bool(unstable.any()):
        raise SignalError(
            f"{int(unstable.sum())} of {unstable.numel()} modes of group {group.name!r} are not stable (the largest "
            f"discrete pole has modulus {float(1 - distance.min()):.9g}, which must be below 1), and have no finite "
            "gain. Clip the real parts of the poles below zero, or leave this group out"
        )
    if continuous:
        if system.scheme == "discrete":
            raise SignalError(f"group {group.name!r} is discrete by nature; score it with continuous=False")
        distance, factor = -system.pole.real, torch.ones_like(factor)
    inputs = torch.linalg.vector_norm(system.inputs, dim=-1) * factor
    return Gains(distance, inputs, torch.linalg.vector_norm(system.outputs, dim=-1))
