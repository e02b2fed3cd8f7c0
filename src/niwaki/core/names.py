"""Names of parameters that stay the same whatever the model is wrapped in."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from .errors import GroupError

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)

ABOARD = "niwaki"
"""Where in an optimizer's ``state_dict()`` the states of its sparsifiers lie, in a list."""


def bare_model(model: nn.Module) -> nn.Module:
    """The model inside its wrappers: `torch.compile`, DataParallel, DistributedDataParallel, an averaged copy.

    Args:
        model: wrapped or not.

    Returns:
        The model itself.

    Raises:
        GroupError: it is no module.
    """
    if not isinstance(model, nn.Module):
        raise GroupError(f"a model is needed, a torch.nn.Module, and this is of type {type(model).__name__}")
    inner = getattr(model, "module" if isinstance(model, _WRAPPERS) else "_orig_mod", None)
    return bare_model(inner) if isinstance(inner, nn.Module) else model


def plain_name(name: str) -> str:
    """A qualified name without what `torch.compile` puts in for compiled parts."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod") if "_orig_mod" in name else name


def check_whole(name: str, tensor: Tensor) -> None:
    """Check that a tensor of a model is here, with its shape.

    Args:
        name: its qualified name.
        tensor: the tensor.

    Raises:
        GroupError: a lazy layer will make it at its first forward pass, or other processes hold parts of it.
    """
    if is_lazy(tensor):
        raise GroupError(f"{name!r} has no shape yet (a lazy layer); run the model on one batch first: model(inputs)")
    if hasattr(tensor, "device_mesh"):
        raise GroupError(
            f"{name!r} is split over processes (a {type(tensor.data).__name__}, as fully_shard makes it), and groups "
            "need whole tensors; train in one process or under DistributedDataParallel, and split afterwards"
        )


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters by qualified name, shared ones once, as the unwrapped model calls them; all must be whole."""
    found = {plain_name(name): parameter for name, parameter in bare_model(model).named_parameters()}
    for name, parameter in found.items():
        check_whole(name, parameter)
    return found


def aliases_of(model: nn.Module) -> dict[str, list[str]]:
    """All names of each parameter and buffer, by the first of them: tensors that are tied have several."""
    bare, found = bare_model(model), dict[int, list[str]]()
    for held in (bare.named_parameters(remove_duplicate=False), bare.named_buffers(remove_duplicate=False)):
        for name, tensor in held:
            found.setdefault(id(tensor), []).append(plain_name(name))
    return {names[0]: names for names in found.values()}
