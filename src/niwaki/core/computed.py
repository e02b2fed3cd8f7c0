"""Tensors that modules computed and hold beside parameters and buffers, such as weights under a norm or a mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.utils._pytree import tree_leaves


def _is_refused(tensor: Tensor) -> bool:
    # Transforms such as vmap leave their wrappers behind in modules that keep what they computed.
    return not tensor.is_leaf or torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def detached(model: nn.Module) -> dict[int, object]:
    """Copies without history of the tensors that `copy.deepcopy` refuses to copy.

    Args:
        model: the model.

    Returns:
        A memo for `copy.deepcopy`.
    """
    held = (value for module in model.modules() for value in tree_leaves(vars(module)) if isinstance(value, Tensor))
    return {id(tensor): tensor.detach().clone() for tensor in held if _is_refused(tensor)}


@torch.no_grad()
def compute_anew(model: nn.Module) -> None:
    """Compute the weights that layers compute before every pass: the tensors they are made from have other values now.

    The weights of `torch.nn.utils.weight_norm`, `spectral_norm` and `prune`; parametrizations keep none.

    Args:
        model: changed in place.
    """
    for module in model.modules():
        hooks = list(module._forward_pre_hooks.values())
        for hook in hooks * len(hooks):  # one may read what a later one computes
            if isinstance(hook, SpectralNorm):  # without the step that a pass in training mode takes
                setattr(module, hook.name, hook.compute_weight(module, do_power_iteration=False))
            elif isinstance(hook, WeightNorm | BasePruningMethod):
                hook(module, ())
