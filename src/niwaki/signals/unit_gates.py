"""The loss as a function of one gate per unit: what a whole unit does, through everything that reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.errors import SignalError
from ..core.group import Group, Slice, spread
from ..core.widest import wide
from .pure import PureLoss

GATE_KINDS = frozenset({"gate_grad_sq", "gate_hessian_diag"})
"""Signals per group and unit, where the others are per tensor and element."""


def check_whole_groups(tensors: object, kinds: frozenset[str]) -> list[Group]:
    """The groups among what is to be measured, for kinds that are measured per unit.

    Args:
        tensors: what the caller gave: groups, names or nothing.
        kinds: the wanted kinds.

    Returns:
        The groups.

    Raises:
        SignalError: there are none, though a kind is measured per unit.
    """
    groups = [entry for entry in tensors if isinstance(entry, Group)] if isinstance(tensors, Sequence) else []
    if kinds & GATE_KINDS and not groups:
        raise SignalError(
            f"the signal {min(kinds & GATE_KINDS)!r} is measured per unit and needs to know the units; pass "
            "tensors=groups to collect or probe, or call score, which does"
        )
    return groups


def _owners(where: Slice, size: int) -> Tensor:
    # The unit of each position, `size` where there is none; broadcasts to the tensor's shape. `spread` lays a one where
    # no unit is, so the units are numbered from two.
    laid = spread(where, torch.arange(2, size + 2))
    if where.dim is not None:
        laid = laid[tuple(slice(None) if axis == where.dim else slice(0, 1) for axis in range(laid.dim()))]
    return torch.where(laid == 1, size, laid - 2)


def _places(group: Group) -> list[tuple[str, Tensor]]:
    places: list[tuple[str, Tensor]] = []
    for where in [where for where in group.slices if where.role == "in"] or group.slices:
        mine = _owners(where, group.size)
        for name, others in places:
            if name == where.tensor:
                # An element that two slices give to one unit is gated once.
                mine = torch.where(mine == others, group.size, mine)
        places.append((where.tensor, mine))
    return places


def _ones(like: Tensor, size: int) -> Tensor:
    # A complex parameter has one real gate for both its parts.
    return torch.ones(size, dtype=wide(like.detach()).dtype.to_real(), device=like.device)


@dataclass(frozen=True, eq=False)
class GatedLoss:
    """The loss as a function of gates ``c`` that multiply the units' weights, all of them one. Use `gated_loss`.

    A gate lies where the unit is read: on the slices of role ``in``, of all its readers. So it multiplies the unit's
    value, and at zero the unit is gone, along a straight line; gates on the producer's rows as well would count the
    unit twice, and see through a norm what removal does not do. A unit whose slices have no such role (weights, blocks)
    is gated wherever it lies. ``dL/dc_u`` is the sum of ``g_k * theta_k`` over the gated members of unit ``u``, the
    second derivative is ``theta_u^T H theta_u``, with ``H`` the Hessian between them.
    """

    pure: PureLoss
    groups: Sequence[Group]
    places: Mapping[str, list[tuple[str, Tensor]]]

    @property
    def stepper(self) -> nn.Module:
        """The module that is run."""
        return self.pure.stepper

    @property
    def device(self) -> torch.device:
        """Where batches are brought."""
        return self.pure.device

    @property
    def elements(self) -> int:
        """A sample's gradient passes through the tensors before it is summed over units."""
        return self.pure.elements

    def leaves(self) -> dict[str, Tensor]:
        """Ones ``[size]`` by group name, in float32 at least."""
        weights = self.pure.values()
        return {
            group.name: _ones(weights[group.slices[0].tensor], group.size).requires_grad_() for group in self.groups
        }

    def __call__(self, leaves: Mapping[str, Tensor], batch: object) -> Tensor:
        """The mean loss of a batch."""
        plain = self.pure.values()
        weights = dict(plain)
        for name, gates in leaves.items():
            # One more gate, held at one, for elements without a unit.
            padded = torch.cat([gates, gates.new_ones(1)])
            for tensor, owners in self.places[name]:
                weight = wide(weights[tensor])
                weights[tensor] = weight * padded[owners.to(gates.device)].to(weight.dtype)
        return self.pure({name: weight.to(plain[name].dtype) for name, weight in weights.items()}, batch)


def gated_loss(pure: PureLoss, groups: Sequence[Group]) -> GatedLoss:
    """The loss as a function of the gates of groups.

    Args:
        pure: the loss as a function of the tensors that the groups lie in.
        groups: the groups.

    Returns:
        The function.
    """
    return GatedLoss(pure, groups, {group.name: _places(group) for group in groups})
