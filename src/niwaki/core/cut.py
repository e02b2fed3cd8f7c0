"""What a smaller model kept of the dense one: indices per tensor, new values of attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from .errors import GroupError
from .names import bare_model

_MARK = "_niwaki_cut"


@dataclass(frozen=True, eq=False)
class Cut:
    """The way from a dense model to a smaller one.

    ``kept`` gives, per parameter or buffer and per axis that lost something, the positions of the dense tensor that
    stay, ascending (int64 ``[n]``, on the CPU). ``sizes`` gives the new values of attributes by ``module.attribute``.
    ``shapes`` gives the dense shapes of the tensors in ``kept``, by which a file recognises the dense model.
    """

    kept: Mapping[str, Mapping[int, Tensor]] = field(default_factory=dict)
    sizes: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def then(self, later: Cut) -> Cut:
        """This cut and, of what it left, a later one; the result starts from the same dense model as this one."""
        kept = {name: dict(axes) for name, axes in self.kept.items()}
        for name, axes in later.kept.items():
            mine = kept.setdefault(name, {})
            for axis, index in axes.items():
                mine[axis] = mine[axis][index] if axis in mine else index
        return Cut(kept, {**self.sizes, **later.sizes}, {**later.shapes, **self.shapes})


def cut_of(model: nn.Module) -> Cut:
    """How the model was cut from its dense form; an empty cut for a model that never was.

    Raises:
        GroupError: something else sits under our mark.
    """
    found = vars(bare_model(model)).get(_MARK, Cut())
    if not isinstance(found, Cut):
        raise GroupError(f"the attribute {_MARK} of {type(model).__name__} is not ours; remove it")
    return found


def mark_cut(model: nn.Module, cut: Cut) -> None:
    """Write on a model how it was cut, so that it can be saved and cut again; an empty cut takes the mark off."""
    held = vars(bare_model(model))
    held.pop(_MARK, None)
    if cut.kept or cut.sizes:
        held[_MARK] = cut
