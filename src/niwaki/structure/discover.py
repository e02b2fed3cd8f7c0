"""Channels and heads of a model, found by following one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from ..core.group import Groups
from ..core.names import bare_model, plain_name
from .axes import Space, fixed
from .cutting import held_by, tensors_of, why_not_cut
from .record import RecordingError, record, record_training
from .recording import Example
from .replay import prove
from .resolve import resolve
from .rules import Axes
from .selecting import Names, names_of, tensors_named
from .trial import Trial
from .units import Stored, make_groups, reasons
from .walk import Walk, walk


def stored_of(model: nn.Module, space: Space) -> list[Stored]:
    """Parameters and buffers, with fresh axes where they can be cut."""
    stored = []
    for name, tensor, owner, is_parameter in held_by(model):
        why = why_not_cut(name, tensor, owner)
        if why or not (tensor.is_floating_point() or tensor.is_complex()):
            axes: Axes = tuple(fixed(size, why or "a table of whole numbers") for size in tensor.shape)
        else:
            axes = tuple(
                space.fresh(size, zero=is_parameter, leaf=(name, dim)) for dim, size in enumerate(tensor.shape)
            )
        stored.append(Stored(name, tuple(tensor.shape), axes, is_parameter))
    return stored


def _walked(model: nn.Module, example: Example, space: Space, stored: Sequence[Stored]) -> tuple[Walk, set[str]]:
    """The walk in evaluation mode; what only training uses (auxiliary heads) is tied in by a second one."""
    axes = {tensor.name: tensor.axes for tensor in stored}
    found = walk(model, record(model, example), space, axes)
    used = set(found.used)
    idle = [tensor for tensor in stored if tensor.is_parameter and tensor.name not in used]
    if idle and not found.recording.reason:
        try:
            training = record_training(model, example)
        except RecordingError:
            return found, used  # the tensors stay unused, and are reported so
        used |= walk(model, training, space, axes).used
    return found, used


def _ignore(model: nn.Module, stored: Sequence[Stored], space: Space, ignored: Sequence[str]) -> None:
    chosen, tensors = tensors_named(model, ignored), tensors_of(model)
    holders = Counter(id(t) for m in model.modules() for t in (*m._parameters.values(), *m._buffers.values()))
    for tensor in stored:
        name = plain_name(tensor.name)
        if name not in chosen:
            continue
        # What a layer makes is to stay; what it reads belongs to the layer before. Of a tensor that several layers
        # hold, one may make what another one reads.
        is_tied = holders[id(tensors[name])] > 1
        for dim, axis in enumerate(tensor.axes):
            if is_tied or space.roles.get((tensor.name, dim)) != "in":
                space.freeze(axis, "ignored, as you asked")


def discover(
    model: nn.Module, example: Example, *, ignore: Names = (), inexact: bool = False, graph: bool = False
) -> Groups:
    """Everything that moves together, channels and heads.

    One forward pass is written down on tensors without memory. Every operator says by a small rule how its axes relate;
    positions that are tied live and die together. An operator without a rule freezes what it touches.

    Args:
        model: the model, on any device, also on ``meta``.
        example: a tensor, a tuple of positional inputs or a mapping of keyword inputs.
        ignore: names, name patterns or modules whose outputs stay whole, and with them all that is coupled to them.
        inexact: also give the groups under a norm, a softmax or a mean over the pruned axis; they have
            ``exact=False``, since removing such units changes what the norm sees.
        graph: also give the groups that the model's own code cannot lose, since it fixes a size that no attribute
            controls; they have ``needs_graph=True``, and `shrink_graph` takes them.

    Returns:
        The groups; ``left_out`` has the reason for every parameter that none of them cuts. A `GroupError` if the model
        cannot be recorded, with the module and the reason, or if ``ignore`` names nothing in it.
    """
    bare = bare_model(model)
    ignored = names_of(bare, ignore)
    space = Space()
    stored = stored_of(bare, space)
    found, used = _walked(bare, example, space, stored)
    _ignore(bare, stored, space, ignored)
    units = resolve(space)
    made = make_groups([tensor for tensor in stored if tensor.name in used], space, units, exact_only=not inexact)
    groups, unable = prove(bare, example, Trial(found.recording, found.made, units.roots, made))
    left = reasons(stored, units, [group for group, _ in made], used)
    if graph:
        own = {group.name: group for group in groups}
        groups = [own.get(group.name, replace(group, needs_graph=True)) for group, _ in made]
    proven = {where.tensor for group in groups for where in group.slices}
    for group, _ in made:
        if group.name in unable:
            left |= {where.tensor: unable[group.name] for where in group.slices if where.tensor not in proven}
    return Groups(tuple(groups), {plain_name(name): why for name, why in left.items()})


def channels(
    model: nn.Module, example: Example, *, ignore: Names = (), inexact: bool = False, graph: bool = False
) -> Groups:
    """Channels: rows of weights with all that reads them, wherever in the model that is.

    As `discover`, without the heads of attention.

    Args:
        model: the model.
        example: a tensor, a tuple of positional inputs or a mapping of keyword inputs.
        ignore: as for `discover`.
        inexact: as for `discover`.
        graph: as for `discover`.

    Returns:
        The groups.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
    >>> groups = channels(net, torch.zeros(1, 3, 8, 8))
    >>> [(group.name, group.size, [(s.tensor, s.dim) for s in group.slices][:3]) for group in groups]
    [('0', 8, [('0.weight', 0), ('0.bias', 0), ('1.weight', 0)])]
    """
    return _of_kind(discover(model, example, ignore=ignore, inexact=inexact, graph=graph), "channel", "head")


def heads(
    model: nn.Module, example: Example, *, ignore: Names = (), inexact: bool = False, graph: bool = False
) -> Groups:
    """Heads of attention: queries, keys, values and the columns that read them; with shared keys, all their queries.

    As `discover`, without the channels.

    Args:
        model: the model.
        example: a tensor, a tuple of positional inputs or a mapping of keyword inputs.
        ignore: as for `discover`.
        inexact: as for `discover`.
        graph: as for `discover`.

    Returns:
        The groups.
    """
    return _of_kind(discover(model, example, ignore=ignore, inexact=inexact, graph=graph), "head", "channel")


def _of_kind(groups: Groups, kind: str, other: str) -> Groups:
    mine = tuple(group for group in groups if group.kind == kind)
    cut = {where.tensor for group in mine for where in group.slices}
    left = {
        where.tensor: f"belongs to {other}s: nw.{other}s"
        for group in groups
        if group.kind == other
        for where in group.slices
        if where.tensor not in cut
    }
    return Groups(mine, {**groups.left_out, **left})
