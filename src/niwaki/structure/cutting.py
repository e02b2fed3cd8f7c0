"""Which units stay, as a cut: the kept positions of every tensor, the new numbers of every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod

from ..core.cut import Cut
from ..core.errors import BudgetError, GroupError
from ..core.group import Group, check_groups, check_listed
from ..core.names import bare_model, check_whole, plain_name
from .positions import kept_positions
from .resize import Seen, Value, resized


class Held(NamedTuple):
    """A parameter or buffer of a model, and the module that has it."""

    name: str
    tensor: Tensor
    owner: nn.Module
    is_parameter: bool


def held_by(model: nn.Module) -> list[Held]:
    """Parameters, then buffers, shared ones once, found in one walk over the modules."""
    found: tuple[list[Held], list[Held]] = ([], [])
    seen = set[int]()
    for path, module in model.named_modules():
        lead = f"{path}." if path else ""
        for held, kind, is_parameter in zip((module._parameters, module._buffers), found, (True, False), strict=True):
            for name, tensor in held.items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    check_whole(lead + name, tensor)
                    kind.append(Held(lead + name, tensor, module, is_parameter))
    return found[0] + found[1]


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by qualified name, shared ones once, as the unwrapped model calls them."""
    return {plain_name(one.name): one.tensor for one in held_by(bare_model(model))}


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """The modules by qualified name, as the unwrapped model calls them."""
    return {plain_name(name): module for name, module in bare_model(model).named_modules()}


def check_rows(groups: Sequence[Group], keep: Mapping[str, Tensor]) -> None:
    """Check that every entry of ``keep`` belongs to a group and has one boolean per unit.

    Args:
        groups: the groups.
        keep: ``[size]`` booleans per group name.

    Raises:
        GroupError: one that does not.
    """
    check_listed(groups)
    if not isinstance(keep, Mapping):
        raise GroupError(f"keep needs booleans by group name, as nw.ranked gives them, and is a {type(keep).__name__}")
    known = {group.name: group for group in groups}
    for name, row in keep.items():
        if name not in known:
            raise GroupError(f"keep names the group {name!r}, which is not there; groups: {', '.join(list(known)[:8])}")
        size = known[name].size
        if not isinstance(row, Tensor) or row.dtype != torch.bool or tuple(row.shape) != (size,):
            seen = f"{tuple(row.shape)} {row.dtype}" if isinstance(row, Tensor) else type(row).__name__
            raise GroupError(f"keep[{name!r}] must be {size} booleans, one per unit, not {seen}")


def check_keep(groups: Sequence[Group], keep: Mapping[str, Tensor]) -> None:
    """Check that ``keep`` says which units stay, and that the groups allow it.

    Args:
        groups: the groups.
        keep: ``[size]`` booleans per group name; groups without an entry stay whole.

    Raises:
        BudgetError: a count that its group does not allow.
        GroupError: a group that is good for masks alone.
    """
    check_rows(groups, keep)
    for group in groups:
        if not group.whole:
            raise GroupError(
                f"group {group.name!r} holds only a part of what its units are, for soft masks; shrink with the groups "
                "that the method was given, which have the same names"
            )
        name, count = group.name, int(keep[group.name].sum()) if group.name in keep else group.size
        if count == 0:
            raise BudgetError(f"keep[{name!r}] removes all {group.size} units; something must stay")
        if count < min(group.min_keep, group.size):
            raise BudgetError(f"keep[{name!r}] keeps {count} units, but the group keeps at least {group.min_keep}")
        if count % group.multiple_of and count != group.size:
            raise BudgetError(
                f"keep[{name!r}] keeps {count} of {group.size} units, but the group keeps a multiple of "
                f"{group.multiple_of}, or all; nw.ranked rounds as it should"
            )


def _check_buffers(groups: Sequence[Group], tensors: Mapping[str, Tensor]) -> None:
    for group in groups:
        for where in group.buffers:
            if where.tensor not in tensors or tuple(tensors[where.tensor].shape) != where.shape:
                now = tuple(tensors[where.tensor].shape) if where.tensor in tensors else "gone"
                raise GroupError(
                    f"group {group.name!r}: the tensor {where.tensor!r} had shape {where.shape} when the group was "
                    f"made and is {now} now; make the groups anew after changing the model"
                )


def why_not_itself(name: str, owner: nn.Module) -> str:
    """Why a parameter of a layer is not what the layer computes with, with the remedy; empty if it is.

    Args:
        name: its qualified name.
        owner: the module that holds it.

    Returns:
        The reason.
    """
    if ".parametrizations." in f".{name}":
        return (
            f"{name!r} belongs to a parametrization, which is not cut; take it off first with "
            "torch.nn.utils.parametrize.remove_parametrizations(module, name, leave_parametrized=True), and make the "
            "groups anew"
        )
    for hook in owner._forward_pre_hooks.values():
        kind = type(hook).__name__
        if kind in ("WeightNorm", "SpectralNorm"):
            undo = f"remove_{'weight' if kind == 'WeightNorm' else 'spectral'}_norm(module)"
        elif isinstance(hook, BasePruningMethod):
            kind, undo = "torch.nn.utils.prune", f"prune.remove(module, {hook._tensor_name!r})"
        else:
            continue
        return (
            f"{name!r} is under {kind}, which would compute the weight anew from other tensors; take it off first "
            f"with torch.nn.utils.{undo}"
        )
    return ""


def why_not_cut(name: str, tensor: Tensor, owner: nn.Module) -> str:
    """Why a tensor of a model cannot be cut, with the remedy; empty if it can.

    Args:
        name: its qualified name.
        tensor: the tensor.
        owner: the module that holds it.

    Returns:
        The reason.
    """
    if tensor.layout != torch.strided or type(tensor) not in (Tensor, nn.Parameter):
        plain = tensor.data if isinstance(tensor, nn.Parameter) else tensor
        if tensor.layout != torch.strided or type(plain) is not Tensor:
            return f"{name!r} is a {type(plain).__name__} of layout {tensor.layout}; only dense tensors are cut"
    return why_not_itself(name, owner)


def owner_of(model: nn.Module, path: str) -> Any:
    """What a path names: a module, or an object that one holds, such as a configuration.

    Args:
        model: the model.
        path: dotted, empty for the model itself.

    Returns:
        The module or object.

    Raises:
        GroupError: there is nothing of that name.
    """
    found: Any = bare_model(model)
    for part in path.split(".") if path else ():
        inner = getattr(found, part, None)
        if inner is None:
            raise GroupError(f"the model has no {path!r}, whose size is to change; make the groups anew")
        found = bare_model(inner) if isinstance(inner, nn.Module) else inner
    return found


def key_of(module: str, attribute: str) -> str:
    """How a `Cut` names an attribute."""
    return f"{module}.{attribute}" if module else attribute


def _less(old: Any, loss: int, key: str) -> Value:
    whole = list(old) if isinstance(old, tuple | list) and old else [old]
    if any(type(value) is not int for value in whole):
        raise GroupError(f"{key!r} is {old!r}, not a whole number, and cannot fall with the units of a group")
    # Of several numbers the last one is the width, as in normalized_shape.
    whole[-1] -= loss
    if whole[-1] < 1:
        raise GroupError(f"{key!r} is {old!r} and would fall by {loss}; make the groups anew from this model")
    return tuple(whole) if isinstance(old, tuple | list) else whole[0]


def _declared(model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> dict[str, dict[str, Value]]:
    """The numbers that the groups say fall with their units, by module and attribute."""
    found: dict[str, dict[str, Value]] = {}
    for group in groups:
        lost = int((~keep[group.name]).sum()) if group.name in keep else 0
        for size in group.sizes if lost else ():
            values = found.setdefault(size.module, {})
            old = values.get(size.attribute, getattr(owner_of(model, size.module), size.attribute, None))
            values[size.attribute] = _less(old, lost * size.per_unit, key_of(size.module, size.attribute))
    return found


def positions_from(
    model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor]
) -> dict[str, dict[int, Tensor]]:
    """The positions that stay of a model's tensors, as `kept_positions`, after all checks of groups and units.

    Args:
        model: the model.
        groups: its groups.
        keep: ``[size]`` booleans per group name; groups without an entry stay whole.

    Returns:
        Positions by tensor and axis. A `BudgetError` if ``keep`` is not what the groups allow, a `GroupError` if groups
        and model do not belong together, or a tensor cannot be cut.
    """
    return _positions(groups, keep, held_by(bare_model(model)))


def _positions(
    groups: Sequence[Group], keep: Mapping[str, Tensor], held: Sequence[Held]
) -> dict[str, dict[int, Tensor]]:
    owners = {plain_name(one.name): one for one in held}
    check_groups(groups, {name: one.tensor for name, one in owners.items() if one.is_parameter})
    _check_buffers(groups, {name: one.tensor for name, one in owners.items()})
    check_keep(groups, keep)
    kept = kept_positions(groups, keep)
    for name in kept:
        why = why_not_cut(name, owners[name].tensor, owners[name].owner)
        if why:
            raise GroupError(why)
    return kept


def cut_from(model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> Cut:
    """What a model keeps when only some units of its groups stay. Nothing is changed.

    Args:
        model: the model.
        groups: its groups. Several may cut one axis of one tensor; a position stays if none of them removes it.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.

    Returns:
        The cut: kept positions per tensor and axis, new values of the attributes that change. A `BudgetError` if
        ``keep`` is not what the groups allow, a `GroupError` if groups and model do not belong together, or layers
        would not fit afterwards.
    """
    held = held_by(bare_model(model))
    kept = _positions(groups, keep, held)
    tensors = {plain_name(one.name): one.tensor for one in held}
    by_tensor = {id(tensors[name]): axes for name, axes in kept.items()}
    declared = _declared(model, groups, keep)
    sizes = {key_of(name, attribute): v for name, values in declared.items() for attribute, v in values.items()}
    for name, module in modules_of(model).items():
        own = [*module._parameters.values(), *module._buffers.values()]
        own += module.out_proj.parameters() if isinstance(module, nn.MultiheadAttention) else []
        settled = declared.get(name, {})
        if settled or any(id(tensor) in by_tensor for tensor in own):
            found = resized(Seen(name, module, lambda tensor: by_tensor.get(id(tensor), {}), settled))
            sizes |= {key_of(name, attribute): value for attribute, value in found.items()}
    return Cut(kept, sizes, {name: tuple(tensors[name].shape) for name in kept})
