"""What weights hold when they leave, explore and come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..core.checks import check_choice
from ..core.errors import GroupError, TrainError
from ..core.group import Group

ExploreInit = Literal["mru_zero", "mru_random", "zero"]
GrowInit = Literal["mru", "explored", "zero"]


@dataclass(frozen=True)
class Values:
    """Which value a weight starts from. MRU is the value it had when it was last in use.

    A unit that lies in several tensors, such as a channel with the weights that make it and those that read it, is dead
    when all of them are zero: each one's gradient is a product with the others. `usual_values` gives what fits.

    Args:
        explore: at the start of an exploration: ``mru_zero`` (the last active value, zero if never active),
            ``mru_random`` (the same, but the initial value of the dense network if never active), ``zero``.
        grow: when it is grown: ``mru``, ``explored`` (what exploration made of it) or ``zero``.
        carry: whether the explored values of weights that were not grown are where the next exploration starts.
        remembers: whether last active values are kept at all; methods that only grow zeros need no memory.
    """

    explore: ExploreInit = "mru_zero"
    grow: GrowInit = "zero"
    carry: bool = False
    remembers: bool = True

    def __post_init__(self) -> None:
        """Check the names, and that they go together.

        Raises:
            TrainError: values that are carried to where they are not used.
        """
        check_choice(ExploreInit, explore_init=self.explore)
        check_choice(GrowInit, grow_init=self.grow)
        if self.carry and self.explore == "zero":
            raise TrainError(
                "carry=True keeps what exploration made of a weight for its next one, and explore_init='zero' begins "
                "every exploration at zero; leave one of them out"
            )


def is_dead_at_zero(group: Group) -> bool:
    """Whether units with all their weights at zero get no gradient: those of what makes a unit and what reads it."""
    alone = len({where.tensor for where in group.slices}) == 1
    return not alone and any(where.role != "in" for where in group.slices)


def readers(groups: Sequence[Group]) -> list[Group]:
    """The groups with nothing but the weights that read a unit, so that masks lie on these alone.

    Straight-through gates want this for channels: were the rows and the norm of a channel masked too, it would put out
    zeros, and no hidden value would get a gradient. A model without a unit's readers is a model without the unit, so
    `shrink` takes the groups as they were, and refuses these.

    Args:
        groups: groups whose slices have roles, from `channels` or `heads`.

    Returns:
        Groups of the same names and sizes.

    Raises:
        GroupError: a group of which no slice is known to read its units.
    """
    found = [
        replace(g, slices=tuple(where for where in g.slices if where.role == "in"), buffers=(), sizes=(), whole=False)
        for g in groups
    ]
    for group in found:
        if not group.slices:
            raise GroupError(f"nothing is known to read the units of group {group.name!r}; leave it out")
    return found


def usual_values(
    groups: Sequence[Group], explore: ExploreInit | None = None, grow: GrowInit | None = None, *, carry: bool = False
) -> Values:
    """The values for a method that explores, with what the caller left open filled in (*ours*).

    Single weights, blocks and patterns grow from zero and explore from there, or from what is carried. Channels, heads
    and whatever else is dead at zero explore from their last active values, or from those of the dense network if they
    never were active (``mru_random``), and grow with what exploration made of them (``explored``), for which they were
    chosen.

    Args:
        groups: the groups.
        explore: what to explore from, if it is settled.
        grow: what to grow from, if it is settled.
        carry: see `Values`.

    Returns:
        The values.

    >>> from niwaki.structure.declare import weights
    >>> usual_values(weights(torch.nn.Linear(2, 2)), grow="mru")
    Values(explore='zero', grow='mru', carry=False, remembers=True)
    """
    dead = any(is_dead_at_zero(group) for group in groups)
    # Where exploration begins at zero, nothing that is carried would ever be seen.
    alone: ExploreInit = "mru_zero" if carry else "zero"
    return Values(explore or ("mru_random" if dead else alone), grow or ("explored" if dead else "zero"), carry)


def values_on_return(groups: Sequence[Group]) -> Values:
    """The values for a method that brings units back without exploring: RigL, SET, AC/DC.

    Single weights, blocks and patterns come back at zero, as published. What is dead at zero (channels, heads) comes
    back as it last was, or as the dense network had it if it never was active (*ours*).

    Args:
        groups: the groups.

    Returns:
        The values.
    """
    if any(is_dead_at_zero(group) for group in groups):
        return Values("mru_random", "mru")
    return Values(grow="zero", remembers=False)


def first_memory(values: Values, tensor: Tensor, mask: Tensor) -> Tensor:
    """The last active values before training: those of the kept weights, and what never-active ones start from."""
    return tensor.detach().clone() if values.explore == "mru_random" else tensor.detach() * mask


def leave(tensor: Tensor, gone: Tensor, memory: Tensor | None) -> None:
    """Put away the values of weights that are removed, and set them to zero."""
    if memory is not None:
        memory.copy_(torch.where(gone, tensor, memory))
    tensor.masked_fill_(gone, 0)


def wake(values: Values, tensor: Tensor, home: Tensor, memory: Tensor) -> None:
    """Give every removed weight the value its exploration starts from; remember the active ones for the return."""
    memory.copy_(torch.where(home, tensor, memory))
    start = torch.zeros_like(tensor) if values.explore == "zero" else memory
    tensor.copy_(torch.where(home, tensor, start))


def settle(values: Values, tensor: Tensor, home: Tensor, born: Tensor, memory: Tensor) -> None:
    """End an exploration: kept weights stay, grown ones take their value, the others go back to zero.

    Args:
        values: the rules.
        tensor: the weights, changed in place.
        home: the structure before growing.
        born: the grown weights.
        memory: last active values, changed in place if explored values are carried.
    """
    explored = tensor.clone() if values.carry or values.grow == "explored" else tensor
    grown = {"mru": memory, "explored": explored, "zero": torch.zeros_like(tensor)}[values.grow]
    tensor.copy_(torch.where(home, tensor, torch.where(born, grown, torch.zeros_like(tensor))))
    if values.carry:
        memory.copy_(torch.where(home, memory, explored))


def revive(values: Values, tensor: Tensor, born: Tensor, memory: Tensor | None) -> None:
    """Grow without an exploration: from the last active value if the rules say so, else from zero."""
    if values.grow == "zero" or memory is None:
        tensor.masked_fill_(born, 0)
    else:
        tensor.copy_(torch.where(born, memory, tensor))
