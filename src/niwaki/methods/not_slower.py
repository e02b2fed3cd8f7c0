"""The last word on a plan: its model, really made smaller, is timed against the dense one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..core.group import Group
from ..measure import Timings, latency
from ..structure import shrink

_DENSE, _SMALLER = "dense", "smaller"
Clock = Callable[[Mapping[str, Callable[..., object]], Any], Timings]


def not_slower(
    model: nn.Module, groups: Sequence[Group], example: Any, *, timed: Clock = latency, most: float = 1.0
) -> Callable[[Mapping[str, Tensor]], bool]:
    """A check for `knapsack`: whether a plan's model takes no longer than the dense one, on this machine.

    A table adds up layers that were measured alone, and narrow layers may run slower than wide ones. The clock tells.

    Args:
        model: the dense model; it stays as it is.
        groups: its groups.
        example: inputs that both are timed on, as `latency` takes them.
        timed: times models by name, the dense one first; another backend or other threads go in here.
        most: the largest ratio of the smaller model's median to the dense one's that will do.

    Returns:
        A function of ``keep``.

    >>> import torch
    >>> from niwaki.structure import channels
    >>> model = nn.Sequential(nn.Linear(64, 4096), nn.ReLU(), nn.Linear(4096, 64))
    >>> groups = channels(model, example := torch.ones(256, 64))
    >>> check = not_slower(model, groups, example)
    >>> check({groups[0].name: torch.arange(4096) < 64})
    True
    """

    def check(keep: Mapping[str, Tensor]) -> bool:
        found = timed({_DENSE: model, _SMALLER: shrink(model, groups, keep)}, example)
        return found[_SMALLER].ratio <= most

    return check
