"""Cutting tensors: a smaller module comes out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.computed import detached
from ..core.cut import Cut, cut_of, mark_cut
from ..core.errors import GroupError
from ..core.group import Group
from ..core.names import bare_model, parameters_of
from .attention import even_out, is_uneven
from .cutting import check_rows, cut_from, modules_of, owner_of, tensors_of
from .surgery import Cuts, ready_optimizer, sliced


def cut_tensor(tensor: Tensor, axes: Mapping[int, Tensor], *, gradient: bool = False) -> Tensor:
    """A parameter or buffer of the kept positions alone, with the marks of the old one, and its gradient if asked.

    Args:
        tensor: the parameter or buffer.
        axes: per axis the positions to keep.
        gradient: whether to cut its gradient along.

    Returns:
        The smaller one.
    """
    found = sliced(tensor, axes)
    if not isinstance(tensor, nn.Parameter):
        return found
    parameter = nn.Parameter(found, requires_grad=tensor.requires_grad)
    vars(parameter).update(vars(tensor))  # marks that users set, such as "no weight decay"
    if gradient and tensor.grad is not None:
        parameter.grad = sliced(tensor.grad, axes)
    return parameter


def _fresh(model: nn.Module, cut: Cut, *, gradients: bool) -> dict[int, Tensor]:
    # The cut tensors by the identity of the whole ones.
    tensors, fresh = tensors_of(model), {}
    for name, axes in cut.kept.items():
        shape = tuple(tensors[name].shape) if name in tensors else None
        if shape is None or any(axis >= len(shape) or int(index[-1]) >= shape[axis] for axis, index in axes.items()):
            raise GroupError(
                f"the cut keeps positions of {name!r} that {type(model).__name__} does not have (its shape is "
                f"{shape}); the cut is of another model"
            )
        fresh[id(tensors[name])] = cut_tensor(tensors[name], axes, gradient=gradients)
    return fresh


def _drop_kept(model: nn.Module) -> None:
    """Let modules drop what they made of their tensors and keep between passes in evaluation mode."""
    # By custom they do so when the mode changes; each module has its own mode back afterwards.
    modes = [(module, module.training) for module in model.modules()]
    if all(type(module).train is nn.Module.train and "train" not in vars(module) for module, _ in modes):
        return
    model.train(True)
    model.train(modes[0][1])
    for module, mode in modes:
        vars(module)["training"] = mode


def set_sizes(model: nn.Module, cut: Cut) -> None:
    """Write the new values of attributes on a model whose tensors are cut, and ready the layers that need more.

    Args:
        model: the smaller model, without wrappers.
        cut: what it kept.
    """
    modules = modules_of(model)
    for key, value in cut.sizes.items():
        path, _, attribute = key.rpartition(".")
        setattr(bare_model(modules[path]) if path in modules else owner_of(model, path), attribute, value)
    for module in modules.values():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
        if isinstance(module, nn.MultiheadAttention) and is_uneven(module):
            even_out(module)
    _drop_kept(model)


def copied(model: nn.Module, memo: dict[int, object] | None = None) -> nn.Module:
    """A deep copy of a model, with the marks on its parameters; what cannot be copied is named.

    Args:
        model: the model.
        memo: what stands for some of its parts in the copy, by the identity of the part.

    Returns:
        The copy.

    Raises:
        GroupError: it cannot be copied.
    """
    try:
        found = copy.deepcopy(model, detached(model) | (memo or {}))
    except (RuntimeError, TypeError) as error:
        raise GroupError(
            f"{type(model).__name__} cannot be copied ({error}); use inplace=True, or take off what cannot be copied"
        ) from error
    # What torch leaves behind: the marks of parameters, and of graphs the mode.
    fresh, modules = dict(found.named_parameters()), dict(found.named_modules())
    for name, parameter in model.named_parameters():
        if name in fresh:
            vars(fresh[name]).update(vars(parameter))
    for name, module in model.named_modules():
        if name in modules:
            modules[name].training = module.training
    return found


def _smaller_copy(model: nn.Module, cut: Cut) -> nn.Module:
    # deepcopy takes what it finds in its memo for copied already: what the cut leaves out is never copied.
    small = copied(model, dict(_fresh(model, cut, gradients=False)))
    set_sizes(small, cut)
    mark_cut(small, cut_of(model).then(cut))
    return small


def _ready_in_place(model: nn.Module, cut: Cut) -> tuple[dict[int, Tensor], Callable[[], None]]:
    # The cut tensors, and what puts them into the model.
    fresh, history = _fresh(model, cut, gradients=True), cut_of(model).then(cut)
    for key in cut.sizes:
        owner_of(model, key.rpartition(".")[0])

    def carry_out() -> None:
        for module in model.modules():
            for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
                if id(tensor) in fresh:
                    setattr(module, name, fresh[id(tensor)])  # by setattr, as recurrent layers keep a list of theirs
        set_sizes(model, cut)
        mark_cut(model, history)

    return fresh, carry_out


def apply_cut(model: nn.Module, cut: Cut) -> nn.Module:
    """A smaller copy of a model, which holds only what a cut keeps.

    Args:
        model: the model that the cut starts from.
        cut: kept positions and new sizes.

    Returns:
        The copy, without wrappers such as `torch.compile`, marked with its cut.
    """
    return _smaller_copy(bare_model(model), cut)


def _check_wrapper(model: nn.Module, *, inplace: bool) -> None:
    if inplace and isinstance(model, nn.parallel.DistributedDataParallel):
        raise GroupError(
            "DistributedDataParallel keeps the old tensors; shrink the model inside (model.module), then wrap it again"
        )


def _check_code(groups: Sequence[Group], keep: Mapping[str, Tensor]) -> None:
    names = [g.name for g in groups if g.needs_graph and g.name in keep and not bool(keep[g.name].all())]
    if names:
        raise GroupError(
            f"the model's own code fixes sizes that units of {', '.join(map(repr, names[:5]))} have, and no attribute "
            "controls them; nw.shrink_graph(model, groups, keep, example) makes a graph that can lose them"
        )


def _ready_average(ema: nn.Module, model: nn.Module, cut: Cut) -> Callable[[], None]:
    average, tensors = bare_model(ema), tensors_of(model)
    mine = tensors_of(average)
    for name in cut.kept:
        if name not in mine or mine[name].shape != tensors[name].shape:
            raise GroupError(f"ema= has no {name!r} of shape {tuple(tensors[name].shape)}; is it of this model?")
        if mine[name] is tensors[name]:
            raise GroupError("ema= holds the model's own tensors; give an averaged copy of it")
    return _ready_in_place(average, cut)[1]


@torch.no_grad()
def shrink(
    model: nn.Module,
    groups: Sequence[Group],
    keep: Mapping[str, Tensor],
    *,
    inplace: bool = False,
    optimizer: Optimizer | None = None,
    ema: nn.Module | None = None,
) -> nn.Module:
    """A smaller model of the same class, without the units that are not kept.

    Every tensor that a removed unit lies in is cut, the attributes of its layers follow. Whatever fails, fails before
    anything is changed.

    Args:
        model: the model. It stays as it is, unless ``inplace``.
        groups: its groups, of whole rows and columns: channels, heads, states.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.
        inplace: cut the model itself and return it.
        optimizer: the optimizer that trains the model: from now on it trains the smaller one, and its state is cut
            along. Schedulers that hold it keep working.
        ema: an averaged copy of the model, such as `torch.optim.swa_utils.AveragedModel`, which is cut in place.

    Returns:
        The smaller model: a copy without wrappers such as `torch.compile`, or the model itself.

    >>> from niwaki.core import Size, Slice
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> rows = torch.arange(3)[:, None]
    >>> tensors = (("0.weight", 0), ("0.bias", 0), ("2.weight", 1))
    >>> slices = [Slice(name, tuple(model.get_parameter(name).shape), dim, rows) for name, dim in tensors]
    >>> group = Group("hidden", 3, tuple(slices), kind="channel")
    >>> shrink(model, [group], {"hidden": torch.tensor([True, False, True])})
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=2, bias=True)
    )
    """
    _check_wrapper(model, inplace=inplace)
    check_rows(groups, keep)
    _check_code(groups, keep)
    whole, cut = bare_model(model), cut_from(model, groups, keep)
    put_average = _ready_average(ema, whole, cut) if ema is not None else None
    before, put_model, small = parameters_of(whole), None, whole
    if inplace:
        fresh, put_model = _ready_in_place(whole, cut)
        after = {name: fresh.get(id(old), old) for name, old in before.items()}
    else:
        small = _smaller_copy(whole, cut)
        after = dict(parameters_of(small))
    cuts: Cuts = {old: (after[name], cut.kept.get(name, {})) for name, old in before.items()}  # type: ignore[misc]
    put_optimizer = ready_optimizer(optimizer, cuts) if optimizer is not None else None
    for carry_out in (put_model, put_average, put_optimizer):
        if carry_out is not None:
            carry_out()
    return model if inplace else small
