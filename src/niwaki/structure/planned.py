"""What a choice of units comes to: asked against reached, tensor by tensor, with a reason for all that stays whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..core.cut import Cut
from ..core.errors import BudgetError
from ..core.group import Group, Groups, check_groups, is_structured
from ..core.names import bare_model, parameters_of
from .cutting import cut_from
from .masked import losing_masks, zeroed
from .positions import kept_positions
from .shrink import apply_cut

_SHOWN = 12


@dataclass(frozen=True)
class GroupOutcome:
    """How many units of a group stay."""

    name: str
    kind: str
    units: int
    kept: int
    exact: bool


@dataclass(frozen=True)
class TensorOutcome:
    """What becomes of a parameter; ``reason`` says why it stays whole, and is empty if it does not.

    ``zeros`` are the numbers that single weights, blocks and patterns leave in it: they no longer count as parameters,
    but have their places still.
    """

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    reason: str
    zeros: int = 0

    @property
    def parameters(self) -> tuple[int, int]:
        """How many numbers it holds, before and after."""
        return math.prod(self.before), math.prod(self.after) - self.zeros


@dataclass(frozen=True)
class Outcome:
    """What a choice of units comes to; its text says it in words.

    ``asked`` is the density that was asked for, if it was given; ``counted`` what the caller's own count (such as the
    MACs) gave before and after.
    """

    groups: tuple[GroupOutcome, ...]
    tensors: tuple[TensorOutcome, ...]
    asked: float | None = None
    counted: tuple[float, float] | None = None

    @property
    def units(self) -> tuple[int, int]:
        """All units, and those that stay."""
        return sum(group.units for group in self.groups), sum(group.kept for group in self.groups)

    @property
    def density(self) -> float:
        """The share of the units that stays."""
        return self.units[1] / self.units[0]

    @property
    def parameters(self) -> tuple[int, int]:
        """The model's parameters before and after; tied ones count once."""
        counts = [tensor.parameters for tensor in self.tensors]
        return sum(before for before, _ in counts), sum(after for _, after in counts)

    @property
    def zeros(self) -> int:
        """How many of the parameters that went have their places still, as zeros."""
        return sum(tensor.zeros for tensor in self.tensors)

    @property
    def untouched(self) -> dict[str, str]:
        """The reason for every parameter that stays whole."""
        return {tensor.name: tensor.reason for tensor in self.tensors if tensor.reason}

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """Parameters before and after by module, each module's own."""
        found: dict[str, tuple[int, int]] = {}
        for tensor in self.tensors:
            name = tensor.name.rpartition(".")[0]
            old, new = found.get(name, (0, 0))
            found[name] = old + tensor.parameters[0], new + tensor.parameters[1]
        return found

    def __str__(self) -> str:
        """A few lines for people."""
        return "\n".join(_lines(self))


def _lines(outcome: Outcome) -> Iterator[str]:
    (units, kept), (before, after) = outcome.units, outcome.parameters
    asked = "" if outcome.asked is None else f", asked {outcome.asked:.4g}"
    yield f"units       {kept} of {units} stay (density {outcome.density:.4g}{asked})"
    yield f"parameters  {before:,} -> {after:,} ({after / before:.4g})"
    if outcome.zeros:
        yield f"zeros       {outcome.zeros:,} have their places still: tensors keep their shapes"
    if outcome.counted is not None:
        old, new = outcome.counted
        yield f"counted     {old:,.6g} -> {new:,.6g} ({new / old:.4g})"
    inexact = [group.name for group in outcome.groups if not group.exact and group.kept < group.units]
    if inexact:
        yield f"inexact     {', '.join(inexact[:_SHOWN])}: a norm runs over the cut axis, masking and removing differ"
    whole = outcome.untouched
    if whole:
        yield f"untouched   {len(whole)} of {len(outcome.tensors)} tensors"
        yield from (f"  {name}: {why}" for name, why in list(whole.items())[:_SHOWN])
        if len(whole) > _SHOWN:
            yield f"  and {len(whole) - _SHOWN} more"


def _reason(name: str, groups: Sequence[Group]) -> str:
    holders = [g for g in groups if any(where.tensor == name for where in (*g.slices, *g.buffers))]
    if holders:
        return f"all units of {', '.join(repr(g.name) for g in holders[:3])} stay"
    left_out = groups.left_out if isinstance(groups, Groups) else {}
    return left_out.get(name, "no group lies in it")


def outcome(
    model: nn.Module,
    groups: Sequence[Group],
    keep: Mapping[str, Tensor],
    *,
    density: float | None = None,
    count: Callable[[nn.Module], float] | None = None,
) -> Outcome:
    """What `shrink` or `zeroed` would come to, before it is done: units, parameters, a reason for all that stays whole.

    Args:
        model: the dense model.
        groups: its groups.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.
        density: what was asked for, to stand beside what is reached.
        count: counts something else about a model, such as its MACs; it sees the model and a smaller copy of it.

    Returns:
        The outcome.

    Raises:
        BudgetError: less than all was asked for, and nothing would go.

    >>> import torch
    >>> from niwaki.core import Slice
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> rows = torch.arange(3)[:, None]
    >>> places = (("0.weight", (3, 4), 0), ("0.bias", (3,), 0), ("2.weight", (2, 3), 1))
    >>> group = Group("hidden", 3, tuple(Slice(name, shape, dim, rows) for name, shape, dim in places))
    >>> print(outcome(model, [group], {"hidden": torch.tensor([True, False, True])}, density=0.7))
    units       2 of 3 stay (density 0.6667, asked 0.7)
    parameters  23 -> 16 (0.6957)
    untouched   1 of 4 tensors
      2.bias: no group lies in it
    """
    whole = bare_model(model)
    structured = is_structured(groups)
    cut = cut_from(whole, groups, keep) if structured else Cut()
    masks = {} if structured else losing_masks(whole, groups, keep)
    if density is not None and density < 1 and not cut.kept and not masks:
        reasons = groups.left_out if isinstance(groups, Groups) else {}
        shown = "; ".join(f"{name}: {why}" for name, why in list(reasons.items())[:3])
        raise BudgetError(
            f"a density of {density:.6g} was asked for, but keep removes none of the {sum(g.size for g in groups)} "
            f"units; ask for less, or lower min_keep and multiple_of{f' (left out: {shown})' if shown else ''}"
        )
    tensors = []
    for name, parameter in parameters_of(whole).items():
        axes, before = cut.kept.get(name, {}), tuple(parameter.shape)
        after = tuple(len(axes[axis]) if axis in axes else size for axis, size in enumerate(before))
        zeros = masks[name].numel() - int(masks[name].count_nonzero()) if name in masks else 0
        reason = "" if axes or zeros else _reason(name, groups)
        tensors.append(TensorOutcome(name, before, after, reason, zeros))
    rows = [
        GroupOutcome(g.name, g.kind, g.size, int(keep[g.name].sum()) if g.name in keep else g.size, g.exact)
        for g in groups
    ]
    counted = None
    if count is not None:
        smaller = zeroed(whole, groups, keep) if masks else apply_cut(whole, cut)
        counted = float(count(whole)), float(count(smaller))
    return Outcome(tuple(rows), tuple(tensors), density, counted)


def parameters_left(model: nn.Module, groups: Sequence[Group]) -> Callable[[Mapping[str, Tensor]], float]:
    """A cost for `ranked`: how many parameters of the model are left when only some units stay.

    What two groups share, such as the weights between two layers, is counted once and exactly.

    Args:
        model: the dense model.
        groups: its groups.

    Returns:
        A function of ``keep``.

    >>> import torch
    >>> from niwaki.core import Slice
    >>> model = nn.Linear(4, 3, bias=False)
    >>> sides = [("out", 3, 0), ("in", 4, 1)]
    >>> groups = [Group(n, s, (Slice("weight", (3, 4), d, torch.arange(s)[:, None]),)) for n, s, d in sides]
    >>> parameters_left(model, groups)({"out": torch.tensor([True, False, True]), "in": torch.arange(4) < 3})
    6
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters_of(model).items()}
    check_groups(groups, parameters_of(model))

    def left(keep: Mapping[str, Tensor]) -> int:
        kept = kept_positions(groups, keep)
        sizes = {name: dict(enumerate(shape)) for name, shape in shapes.items()}
        for name in kept.keys() & sizes.keys():
            sizes[name] |= {axis: len(index) for axis, index in kept[name].items()}
        return sum(math.prod(each.values()) for each in sizes.values())

    return left
