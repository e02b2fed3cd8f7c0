"""What the modules of a model give, call by call, and where two such runs part."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.gaps import gap, largest, tensors_in
from ..core.widest import widest
from .cutting import modules_of

Picks = Mapping[tuple[int, int], Sequence[Tensor]]
"""By size before and after: the positions that may have been kept of such an axis."""

_MOST = 64  # ways to pair up axes; more are not tried
_LIMITS = {torch.float64: 1e-8, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


def limit_of(tensor: Tensor, tolerance: float | None, *, least: float = 0.0) -> float:
    """How far a tensor may be off: the tolerance, or by default a share of its largest value, at least of ``least``."""
    if tolerance is not None:
        return tolerance
    return _LIMITS.get(tensor.dtype, 0.0) * max(least, largest(tensor))


@dataclass(frozen=True, eq=False)
class Gap:
    """How far apart two outputs of a module are; ``certain`` unless only their norms could be compared."""

    difference: float
    limit: float
    certain: bool = True

    @property
    def parted(self) -> bool:
        """Whether they are further apart than they may be."""
        return not self.difference <= self.limit


def _compared(whole: Tensor, small: Tensor, picks: Picks, tolerance: float | None) -> Gap:
    limit = limit_of(whole, tolerance)
    if whole.shape == small.shape:
        return Gap(gap(whole, small), limit)
    if whole.dim() == small.dim():
        axes = [axis for axis in range(whole.dim()) if whole.shape[axis] != small.shape[axis]]
        ways = itertools.product(*(picks.get((whole.shape[a], small.shape[a]), ()) for a in axes))
        found = []
        for way in itertools.islice(ways, _MOST):
            part = whole
            for axis, index in zip(axes, way, strict=True):
                part = part.index_select(axis, index.to(part.device))
            found.append(gap(part, small))
        if found:
            return Gap(min(found), limit)
    norms = [torch.linalg.vector_norm(widest(x.detach()).flatten()) for x in (whole, small)]
    return Gap(gap(*norms), limit_of(norms[0].to(whole.dtype), tolerance), certain=False)


@contextmanager
def watched(model: nn.Module, seen: Callable[[str, nn.Module, object], None], inside: list[str]) -> Generator[None]:
    """Within the ``with`` block, every module's output is shown to ``seen``; ``inside`` holds the modules being run."""
    handles = []
    try:
        for name, module in modules_of(model).items():

            def enter(_: nn.Module, __: object, name: str = name) -> None:
                inside.append(name)

            def leave(module: nn.Module, _: object, output: object, name: str = name) -> None:
                inside.pop()
                seen(name, module, output)

            handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, eq=False)
class Step:
    """What one call of a module gave."""

    name: str
    kind: str
    call: int
    tensors: Mapping[str, Tensor]

    @property
    def words(self) -> str:
        """Which module, in words."""
        again = f", call {self.call}" if self.call > 1 else ""
        return f"{self.name!r} ({self.kind}{again})" if self.name else f"the model itself ({self.kind}{again})"


class Diary:
    """The calls of one run, in the order in which they ended."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._calls: dict[str, int] = {}

    def __call__(self, name: str, module: nn.Module, output: object) -> None:
        """Write a call down. Tensors are copied, as a later module may write on them."""
        self._calls[name] = call = self._calls.get(name, 0) + 1
        tensors = {at: tensor.detach().clone() for at, tensor in tensors_in(output).items()}
        self.steps.append(Step(name, type(module).__name__, call, tensors))


def parting(
    whole: Sequence[Step], small: Sequence[Step], picks: Picks, tolerance: float | None
) -> tuple[Step, str] | None:
    """The first call whose outputs differ, and how; None if none does.

    Where sizes differ in ways that no cut explains, norms are compared; such a difference is forgotten if a later call
    surely agrees.

    Args:
        whole: the calls of the masked model.
        small: those of the smaller one.
        picks: which positions may be kept.
        tolerance: as for `verify`.

    Returns:
        The call and the difference in words.
    """
    doubtful: tuple[Step, str] | None = None
    for old, new in zip(whole, small, strict=False):
        if (old.name, old.kind) != (new.name, new.kind):
            return new, f"the masked model runs {old.words} there"
        for at, tensor in old.tensors.items():
            other = new.tensors.get(at)
            if other is None:
                return new, f"{at} is missing there"
            found = _compared(tensor, other, picks, tolerance)
            if found.certain and not found.parted:
                doubtful = None
            elif found.certain:
                return doubtful or (new, f"by {found.difference:.3g}, where {found.limit:.3g} is allowed")
            elif found.parted and doubtful is None:
                shapes = f"{tuple(tensor.shape)} and {tuple(other.shape)}"
                doubtful = new, f"by {found.difference:.3g} in the norms of {shapes}, which is a guess"
    return doubtful
