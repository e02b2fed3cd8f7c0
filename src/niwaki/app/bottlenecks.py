"""Layers that a cut left with a single unit, through which everything has to pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..core.group import Group
from ..report.readable import listed

_MANY = 8


def bottlenecks(groups: Sequence[Group], keep: Mapping[str, Tensor]) -> list[str]:
    """What is to be said of groups that had many units and keep one.

    Args:
        groups: of the dense model.
        keep: booleans per group name.

    Returns:
        One sentence, with the remedy; none where there is nothing to say.
    """
    found = [group for group in groups if group.size >= _MANY and int(keep[group.name].count_nonzero()) == 1]
    if not found:
        return []
    rows = [f"{group.name} keeps 1 of {group.size} {_plural(group)}" for group in found]
    return [
        f"{listed(rows, most=3)}: all that the network learns there must pass through one; --min-share 0.25 keeps a "
        "quarter of every layer"
    ]


def _plural(group: Group) -> str:
    return {"channel": "channels", "head": "heads", "state": "states"}.get(group.kind, "units")
