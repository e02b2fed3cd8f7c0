"""What a forward pass will look like at smaller sizes: the shape of every tensor, foretold from a cut by the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..core.errors import GroupError
from ..core.names import bare_model, plain_name
from .axes import Axis, Ids, Space
from .discover import stored_of
from .record import record
from .recording import Example, Ref
from .resolve import joined
from .units import Stored
from .walk import Walk, walk

Kept = Mapping[str, Mapping[int, Tensor]]
"""The positions that stay, by tensor and axis."""


@dataclass(frozen=True, eq=False)
class Foretold:
    """A recorded pass, followed by the rules, and which atoms are gone."""

    walk: Walk
    gone: NDArray[np.bool_]

    def size(self, axis: Axis) -> int:
        """How many positions of an axis stay."""
        return axis.size if axis.ids is None else int((~self.gone[axis.ids]).sum())

    def shape(self, axes: Sequence[Axis]) -> tuple[int, ...]:
        """The shape of a tensor with these axes."""
        return tuple(self.size(axis) for axis in axes)

    def shape_of(self, ref: Ref) -> tuple[int, ...]:
        """The shape of a tensor of the recording."""
        return self.shape(self.walk.tracked(ref).axes)


def _spread(space: Space, roots: Ids, gone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Carry what is gone from merged axes to their factors and back, until nothing changes."""
    before = -1
    while before != int(gone.sum()):
        before = int(gone.sum())
        for product in space.products:
            whole = gone[roots[product.whole]]
            outer = gone[roots[product.outer]] | whole.all(1)
            inner = gone[roots[product.inner]] | whole.all(0)
            gone[roots[product.outer[outer]]] = True
            gone[roots[product.inner[inner]]] = True
            gone[roots[product.whole[outer[:, None] | inner[None, :]]]] = True
    return gone[roots]


def _lost(tensor: Stored, dim: int, kept: Kept) -> NDArray[np.bool_]:
    stays = kept.get(plain_name(tensor.name), {}).get(dim)
    lost = np.full(tensor.shape[dim], stays is not None)
    if stays is not None:
        lost[stays.numpy()] = False
    return lost


_REMEDY = "make the groups with nw.discover(model, example, graph=True) from this model and this example"


def _check(space: Space, roots: Ids, gone: NDArray[np.bool_], stored: Sequence[Stored], kept: Kept) -> None:
    for note in space.frozen:
        if gone[note.ids].any():
            raise GroupError(f"the groups remove what the forward pass needs whole ({note.why}); {_REMEDY}")
    for product in space.products:
        whole = gone[product.outer][:, None] | gone[product.inner][None, :]
        if not np.array_equal(gone[product.whole], whole):
            raise GroupError(f"the groups remove parts of a merged axis that no whole rows or columns are; {_REMEDY}")
    for tensor in stored:
        for dim, axis in enumerate(tensor.axes):
            lost = _lost(tensor, dim, kept)
            if not np.array_equal(gone[axis.ids] if axis.ids is not None else np.zeros_like(lost), lost):
                raise GroupError(
                    f"the groups remove {int(lost.sum())} positions along axis {dim} of {tensor.name!r}, which are not "
                    f"those that the forward pass can lose together; {_REMEDY}"
                )


def foretell(model: nn.Module, example: Example, kept: Kept) -> Foretold:
    """Record a pass of the whole model, and work out its shapes at the sizes of a cut.

    Args:
        model: the whole model.
        example: its input.
        kept: the positions that stay, by tensor and axis.

    Returns:
        The pass, with what is gone.

    Raises:
        GroupError: the model needs values to run, or the cut is not one that its forward pass allows.
    """
    bare, space = bare_model(model), Space()
    stored, recording = stored_of(bare, space), record(bare, example)
    if recording.reason:
        raise GroupError(
            f"the forward of {type(bare).__name__} depends on the values of tensors ({recording.reason}), of which a "
            "graph would keep those of the example; only the model's own code can run it (nw.shrink)"
        )
    found = walk(bare, recording, space, {tensor.name: tensor.axes for tensor in stored})
    roots = joined(np.arange(space.count), space.pairs)
    gone = np.zeros(space.count, dtype=bool)
    for tensor in stored:
        for dim, axis in enumerate(tensor.axes):
            if axis.ids is not None:
                gone[roots[axis.ids[_lost(tensor, dim, kept)]]] = True
    gone = _spread(space, roots, gone)
    _check(space, roots, gone, stored, kept)
    return Foretold(found, gone)
