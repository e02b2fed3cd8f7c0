"""Scores gathered step by step: the mean of each criterion over a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core.contracts import Criterion
from ..core.errors import SignalError
from ..core.finite import not_finite
from ..core.group import Group
from ..core.signals import Signals
from ..core.widest import wide

AT_HAND = frozenset({"weight", "grad", "noise"})
"""The signals that the training loop gives by itself."""


def is_windowed(criterion: Criterion) -> bool:
    """Whether a criterion is averaged over steps: it reads the loop's gradients, and nothing the loop does not give."""
    return "grad" in criterion.needs and criterion.needs <= AT_HAND


@dataclass
class Listener:
    """Sums of scores since the window opened. A sample with a non-finite score in any group is left out entirely."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    heard: int = 0
    discarded: int = 0

    def hear(self, criteria: Sequence[Criterion], groups: Sequence[Group], signals: Signals) -> None:
        """Add the scores of one step.

        Args:
            criteria: the criteria of the coming move; those that need no gradient are passed over.
            groups: the groups.
            signals: weights and gradients of this step.
        """
        scores = {
            f"{number}:{group.name}": criterion(group, signals)
            for number, criterion in enumerate(criteria)
            if is_windowed(criterion)
            for group in groups
        }
        if not scores:
            return
        if not_finite(scores) is not None:
            self.discarded += 1
            return
        self.heard += 1
        for key, score in scores.items():
            # Half precision counts to 256: a long window would stop there.
            exact = wide(score)
            self.sums[key] = exact.clone() if key not in self.sums else self.sums[key].add_(exact)

    def mean(self, criteria: Sequence[Criterion], criterion: Criterion, group: Group) -> Tensor:
        """The mean score over the window.

        Args:
            criteria: the criteria of the move, in its order.
            criterion: one of them.
            group: the group.

        Returns:
            ``[size]``.

        Raises:
            SignalError: no step of the window gave finite scores.
        """
        if not self.heard:
            why = f"all {self.discarded} had a non-finite score" if self.discarded else "no step was heard"
            raise SignalError(
                f"{type(criterion).__name__} has no score for group {group.name!r}: of the steps in its window, {why}; "
                "lower the learning rate or clip the gradients"
            )
        return self.sums[f"{criteria.index(criterion)}:{group.name}"] / self.heard

    def forget(self) -> None:
        """Open a new window."""
        self.sums, self.heard, self.discarded = {}, 0, 0

    def state_dict(self) -> dict[str, object]:
        """Everything needed to go on."""
        return {"sums": dict(self.sums), "heard": self.heard, "discarded": self.discarded}

    def load_state_dict(self, state: Mapping[str, object], devices: Mapping[str, torch.device]) -> None:
        """Go on from a saved state.

        Args:
            state: from `state_dict`.
            devices: where the scores of each group live.
        """
        sums, heard, discarded = state["sums"], state["heard"], state["discarded"]
        assert isinstance(sums, Mapping)
        assert isinstance(heard, int)
        assert isinstance(discarded, int)
        self.sums = {key: value.to(devices[key.partition(":")[2]]).clone() for key, value in sums.items()}
        self.heard, self.discarded = heard, discarded
