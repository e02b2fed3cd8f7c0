"""Allocators that fix the count of every group beforehand and choose within the group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import Tensor

from ..core.errors import BudgetError, GroupError
from ..core.group import Group
from .budget import asked, check_density, check_scores, keep_top, least, level, unreachable
from .proportional import Claim, capped, proportional

_Weight = Callable[[tuple[int, ...]], float]


def _fixed(groups: Sequence[Group], dense: Sequence[str], fixed: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for pattern, density in [*fixed.items(), *((name, 1.0) for name in dense)]:
        named = [g.name for g in groups if g.name == pattern or g.name.startswith(pattern + ".")]
        named = named or [g.name for g in groups if fnmatchcase(g.name, pattern)]
        if not named:
            raise GroupError(
                f"no group matches {pattern!r}, whose density is fixed; groups: {', '.join(g.name for g in groups[:8])}"
            )
        found.update(dict.fromkeys(named, check_density(density)))
    return found


def _ends(groups: Sequence[Group], fixed: Mapping[str, float]) -> dict[str, tuple[int, int]]:
    ends = {}
    for group in groups:
        low, high = least(group), group.size
        if group.name in fixed:
            low = high = max(low, level(group, round(fixed[group.name] * group.size)))
        ends[group.name] = (low, high)
    return ends


def _densities(
    groups: Sequence[Group], density: float, weight: _Weight, fixed: Mapping[str, float]
) -> dict[str, float]:
    free = [g for g in groups if g.name not in fixed]
    units = check_density(density) * sum(g.size for g in groups)
    rest = units - sum(fixed[g.name] * g.size for g in groups if g.name in fixed)
    if rest < 0 or rest > sum(g.size for g in free) + 0.5:
        raise unreachable(groups, round(units), _ends(groups, fixed))
    weights = [weight(g.slices[0].shape) for g in free]
    factor = capped([g.size for g in free], weights, rest) if free else 0.0
    found = {g.name: min(1.0, factor * w) for g, w in zip(free, weights, strict=True)}
    return {g.name: fixed[g.name] if g.name in fixed else found[g.name] for g in groups}


def _counts(groups: Sequence[Group], density: float, weight: _Weight, fixed: Mapping[str, float]) -> dict[str, int]:
    count, ends = asked(groups, density), _ends(groups, fixed)
    if not sum(low for low, _ in ends.values()) <= count <= sum(high for _, high in ends.values()):
        raise unreachable(groups, count, ends)
    free = [g for g in groups if g.name not in fixed]
    claims = [Claim(g.size, weight(g.slices[0].shape), least(g), g.multiple_of) for g in free]
    rest = count - sum(ends[name][0] for name in fixed)
    shares = dict(zip((g.name for g in free), proportional(claims, rest) if claims else [], strict=True))
    return {g.name: shares[g.name] if g.name in shares else ends[g.name][0] for g in groups}


def _flat(shape: tuple[int, ...]) -> float:
    return 1.0


@dataclass(frozen=True)
class Uniform:
    """Every group at the same density.

    The density asked is that of all groups together, the fixed ones included, to the unit. To keep a layer out of the
    sum altogether, leave it out of the groups.

    Args:
        dense: names or patterns of groups that stay dense.
        fixed: densities of groups by name or pattern.

    >>> from niwaki.core import Slice
    >>> Uniform().counts([Group("a", 10, (Slice("a", (10,)),)), Group("b", 30, (Slice("b", (5, 6)),))], 0.2)
    {'a': 2, 'b': 6}
    """

    dense: tuple[str, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)

    def densities(self, groups: Sequence[Group], density: float) -> dict[str, float]:
        """The real density of each group, before units are made whole."""
        return _densities(groups, density, _flat, _fixed(groups, self.dense, self.fixed))

    def counts(self, groups: Sequence[Group], density: float) -> dict[str, int]:
        """The units each group keeps; together ``round(density * units)``, and never fewer at a higher density."""
        return _counts(groups, density, _flat, _fixed(groups, self.dense, self.fixed))

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept."""
        check_scores(groups, scores)
        return keep_top(groups, scores, self.counts(groups, density))


def _two_sides(shape: tuple[int, ...]) -> float:
    return sum(shape[:2]) / math.prod(shape[:2])


@dataclass(frozen=True)
class ErdosRenyi:
    r"""Large matrices sparser than small ones, kernels disregarded.

    :math:`d_l = \min(1, \varepsilon (n_{in} + n_{out}) / (n_{in} n_{out}))`, with :math:`\varepsilon` such that the
    groups together have the density asked. The shape is that of the group's first slice.

    Args:
        dense: names or patterns of groups that stay dense.
        fixed: densities of groups by name or pattern.

    Source: Mocanu et al. 2018.
    """

    dense: tuple[str, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)

    def densities(self, groups: Sequence[Group], density: float) -> dict[str, float]:
        """The real density of each group, before units are made whole."""
        return _densities(groups, density, _two_sides, _fixed(groups, self.dense, self.fixed))

    def counts(self, groups: Sequence[Group], density: float) -> dict[str, int]:
        """The units each group keeps; together ``round(density * units)``, and never fewer at a higher density."""
        return _counts(groups, density, _two_sides, _fixed(groups, self.dense, self.fixed))

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept."""
        check_scores(groups, scores)
        return keep_top(groups, scores, self.counts(groups, density))


@dataclass(frozen=True)
class ErdosRenyiKernel:
    r"""Large tensors sparser than small ones, kernels included (ERK).

    :math:`d_l = \min(1, \varepsilon (\sum_i s_i / \prod_i s_i)^p)` over the dimensions :math:`s_i` of the tensor of the
    group's first slice, with :math:`\varepsilon` such that the groups together have the density asked.

    Args:
        power: :math:`p`, from 0, which gives `Uniform`, to 10.
        dense: names or patterns of groups that stay dense.
        fixed: densities of groups by name or pattern.

    Source: Evci et al. 2020 (RigL).

    >>> from niwaki.core import Slice
    >>> shapes = {"1": (300, 784), "2": (100, 300), "3": (10, 100)}
    >>> groups = [Group(n, math.prod(s), (Slice(n, s),)) for n, s in shapes.items()]
    >>> {name: round(d, 4) for name, d in ErdosRenyiKernel().densities(groups, 0.1).items()}
    {'1': 0.0796, '2': 0.2302, '3': 1.0}
    """

    power: float = 1.0
    dense: tuple[str, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.power <= 10:
            raise BudgetError(f"power {self.power!r} is outside [0, 10]; 1 is the published value, 0 is uniform")

    def _weight(self, shape: tuple[int, ...]) -> float:
        return float((sum(shape) / math.prod(shape)) ** self.power)

    def densities(self, groups: Sequence[Group], density: float) -> dict[str, float]:
        """The real density of each group, before units are made whole."""
        return _densities(groups, density, self._weight, _fixed(groups, self.dense, self.fixed))

    def counts(self, groups: Sequence[Group], density: float) -> dict[str, int]:
        """The units each group keeps; together ``round(density * units)``, and never fewer at a higher density."""
        return _counts(groups, density, self._weight, _fixed(groups, self.dense, self.fixed))

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept."""
        check_scores(groups, scores)
        return keep_top(groups, scores, self.counts(groups, density))
