"""Wanda: a weight matters as far as its input is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..core.errors import SignalError
from ..core.group import Group, Slice
from ..core.signals import Signals
from .units import element, members, with_roles


def _check_seen(name: str, group: Group, signals: Signals) -> None:
    found = signals.values.get("input_norm")
    if found is not None and name not in found:
        raise SignalError(
            f"Wanda: no input was seen to be multiplied by tensor {name!r} of group {group.name!r}. Either this data "
            "never reaches it, or it multiplies nothing (a bias, a norm, an embedding), or it lies inside a fused "
            "recurrent layer; leave the group out or choose another criterion"
        )


@dataclass(frozen=True)
class Wanda:
    """Weights times the norm of their inputs: of a weight ``|W_ij| * |X_j|``, with ``|X_j|`` the signal ``input_norm``.

    For channels and heads: of each column ``j`` that reads the unit, the mean of ``|W_ij| * |X_j|`` over the rows
    ``i`` of its tensor, summed over the columns (places of a kernel among them) and over the consumers. So layers of
    different width compare.

    For single weights the paper ranks inside each output row (`RowWise`), and lets each layer see the pruned ones
    before it: prune layer by layer and measure anew. ``input_norm`` holds one number per input channel of a
    convolution.

    Args:
        over_rows: ``mean``, or ``sum`` as in FASP.
        roles: which slices of a channel count; by default the consumers' columns. Units without roles (single weights,
            blocks) count whole.

    Raises:
        SignalError: another way over the rows.

    References:
        Sun et al. 2024, "A simple and effective pruning approach for large language models"; for units An et al. 2024
        (its baseline Wanda-sp) and Hu et al. 2025 (FASP).

    >>> from niwaki.core import Slice
    >>> columns = Group("c", 2, (Slice("w", (2, 2), dim=1, index=torch.tensor([[0], [1]]), role="in"),))
    >>> weight, norm = torch.tensor([[1.0, -2.0], [3.0, 0.0]]), torch.tensor([[2.0, 5.0], [2.0, 5.0]])
    >>> Wanda()(columns, Signals({"weight": {"w": weight}, "input_norm": {"w": norm}}))  # (1 + 3) 2 / 2, (2 + 0) 5 / 2
    tensor([4., 5.])
    """

    over_rows: Literal["mean", "sum"] = "mean"
    roles: tuple[str, ...] | None = ("in",)
    needs: ClassVar[frozenset[str]] = frozenset({"weight", "input_norm"})

    def __post_init__(self) -> None:
        if self.over_rows not in ("mean", "sum"):
            raise SignalError(f"Wanda takes the 'mean' or the 'sum' over rows, not {self.over_rows!r}")

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative; a tensor that no data entered is an error."""

        def used(name: str) -> Tensor:
            _check_seen(name, group, signals)
            return element(signals, "weight", name).abs() * element(signals, "input_norm", name)

        chosen = with_roles(group, self.roles)
        columns = zip(chosen.slices, members(chosen, used), strict=True)
        return torch.stack([part.sum(1) / self._rows(where) for where, part in columns]).sum(0)

    def _rows(self, where: Slice) -> int:
        # The rows are the outputs: the first axis, or the second where the columns of the unit run along the first.
        if self.over_rows == "sum" or where.dim is None or len(where.shape) == 1:
            return 1
        return where.shape[1 if where.dim == 0 else 0]
