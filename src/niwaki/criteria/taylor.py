"""First-order Taylor: how much the loss would change, to first order, if a unit were gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from .units import element, is_elementwise, readers, unit_sum, with_roles

Grouping = Literal["inside", "outside"]
Reduce = Literal["abs_mean", "square", "mean_abs", "sq_mean"]

_GRADIENT = {"abs_mean": "grad", "square": "grad", "mean_abs": "grad_batches_abs", "sq_mean": "grad_batches_sq"}


@dataclass(frozen=True)
class Taylor:
    """The first-order change of the loss, ``|sum of g_k * theta_k|`` over the unit's members.

    The members of a channel are the columns of all layers that read it: with them at zero it is gone, and their signed
    changes are summed first, as they vanish together. That is activation times gradient, the form of Molchanov 2017.
    Filters and norms would count the same channel again. Units that nothing reads (single weights, blocks) count whole.

    ========  =================================  =====================================================
    reduce    of one weight (or one unit)        reads
    ========  =================================  =====================================================
    abs_mean  ``|mean(g) * theta|``              ``grad``
    square    ``(mean(g) * theta)^2``            ``grad``
    mean_abs  ``mean over b of |g_b * theta|``   ``grad_batches_abs``
    sq_mean   ``mean over b of (g_b * theta)^2`` ``grad_batches_sq``
    ========  =================================  =====================================================

    At a converged optimum the mean gradient is near zero and the first two say little; the last two do not cancel.
    Scores are averaged over batches, by a sparsifier over its window and by `score`, so that ``abs_mean`` becomes
    the mean of absolute values and ``square`` the mean of squares, both for units of any size: Molchanov's 2019 form.

    ``mean_abs`` and ``sq_mean`` start from measurements per tensor, from which the sum over a unit of one batch cannot
    be had any more. They are exact with ``grouping="outside"`` and for single weights, and refuse the rest.

    Args:
        grouping: ``inside`` sums the signed changes of a unit's members before the absolute value or the square is
            taken; ``outside`` takes it of each member, which overestimates what removing all of them does.
        reduce: how batches are brought together.
        roles: which slices of a channel count: ``gate`` for those that read it, or all where none does; roles such as
            ``("scale", "shift")``, the form of Molchanov 2019 for gates behind a norm; None for all.
        fallback: the roles that count where a group has none of ``roles``, such as ``("out", "bias")`` for channels
            without a norm, and where it has none of these either, all slices; by default such a group is an error.

    Raises:
        SignalError: another grouping or reduce, or a word for the roles that is not ``gate``.

    References:
        Molchanov et al. 2017; Molchanov et al. 2019.

    >>> from niwaki.core import Slice
    >>> import torch
    >>> row = Group("w", 1, (Slice("w", (1, 2), tile=(1, 2)),))
    >>> signals = Signals({"weight": {"w": torch.tensor([[3.0, 4.0]])}, "grad": {"w": torch.tensor([[2.0, -1.0]])}})
    >>> Taylor()(row, signals), Taylor(grouping="outside")(row, signals)  # |6 - 4| and |6| + |-4|
    (tensor([2.]), tensor([10.]))
    """

    grouping: Grouping = "inside"
    reduce: Reduce = "abs_mean"
    roles: tuple[str, ...] | Literal["gate"] | None = "gate"
    fallback: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for what, allowed in ((self.grouping, get_args(Grouping)), (self.reduce, get_args(Reduce))):
            if what not in allowed:
                raise SignalError(f"Taylor knows {', '.join(map(repr, allowed))}, not {what!r}")
        if isinstance(self.roles, str) and self.roles != "gate":
            raise SignalError(f"roles={self.roles!r} is neither 'gate' nor a tuple of roles, such as ('out',)")

    @property
    def needs(self) -> frozenset[str]:
        """The weights, and the gradient that ``reduce`` starts from."""
        return frozenset({"weight", _GRADIENT[self.reduce]})

    def _counted(self, group: Group) -> Group:
        """The group with only the slices that count."""
        if self.roles == "gate":
            return readers(group)
        if self.roles is None or self.fallback is None:
            return with_roles(group, self.roles)
        have = {where.role for where in group.slices}
        played = (roles for roles in (self.roles, self.fallback) if have.intersection(roles))
        return with_roles(group, next(played, None))

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``.

        Args:
            group: the group.
            signals: weights and gradients.

        Returns:
            Changes of the loss, or their squares.

        Raises:
            SignalError: a mean over batches of sums inside units, which signals per tensor cannot give.
        """
        group = self._counted(group)
        is_mean = self.reduce in ("mean_abs", "sq_mean")
        if is_mean and self.grouping == "inside" and not is_elementwise(group):
            one = "abs_mean" if self.reduce == "mean_abs" else "square"
            raise SignalError(
                f"Taylor(reduce={self.reduce!r}) cannot sum inside the units of group {group.name!r}: signals hold "
                f"means over batches of single elements. Use Taylor(reduce={one!r}), whose scores `score` and "
                "sparsifiers average over batches, or grouping='outside'"
            )
        is_square = self.reduce in ("square", "sq_mean")
        kind = _GRADIENT[self.reduce]

        def size(change: Tensor) -> Tensor:
            return change.square() if is_square else change.abs()

        def change(name: str) -> Tensor:
            weight, gradient = element(signals, "weight", name), element(signals, kind, name)
            return gradient * (weight.square() if self.reduce == "sq_mean" else weight)

        if is_mean:
            return unit_sum(group, lambda name: change(name).abs())
        if self.grouping == "inside":
            return size(unit_sum(group, change))
        return unit_sum(group, lambda name: size(change(name)))
