"""Groups of the states of state-space models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import GroupError
from ...core.group import Group, Groups
from ...core.names import bare_model, parameters_of, plain_name
from .linear_states import named, s4d_states, s5_pytorch_states, s5_states
from .selective_states import frozen_dynamics, mamba_states

Adapter = Callable[[str, nn.Module, bool], Group | str | None]
"""``adapter(name, module, per_channel)``: a layer's group, why it has none, or None for layers of another kind."""

_KNOWN = "S5Layer and S4DLayer of the zoo, S5SSM of s5-pytorch, Mamba and Mamba-2 mixers of transformers"
_COUPLED = ("SSMKernelDPLR", "SSKernelNPLR", "SSMKernelNPLR")


def _refused(name: str, module: nn.Module, per_channel: bool) -> Group | str | None:
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return f"{type(module).__name__} mixes its states in a full matrix; none of them stands alone"
    if type(module).__name__ in _COUPLED:
        return "a low-rank term couples its states; the gain of one alone says nothing"
    return None


_OURS: tuple[Adapter, ...] = (s5_states, s4d_states, s5_pytorch_states, mamba_states, _refused)


def _call(model: nn.Module, batch: Any) -> object:
    inputs = batch[0] if isinstance(batch, tuple | list) else batch
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def states(
    model: nn.Module,
    *,
    per_channel: bool = False,
    calibration: Iterable[Any] | None = None,
    tokens: int = 64,
    adapters: Sequence[Adapter] = (),
) -> Groups:
    """Every state of a state-space model a unit: one group per layer.

    A state is an independent first-order system; removing it takes away its pole, its row of B, its column of C and its
    step. Where one member of a conjugate pair is stored, the unit is the pair; where both are, as in s5-pytorch, they
    are one unit as long as they can be told to belong together.

    A layer of S4D keeps as many states in every channel. Its unit is one index over all channels, which suits a network
    whose channels order their states alike (`align_states` sees to it); with ``per_channel`` every state of every
    channel is a unit of its own, which can be masked but not cut out.

    Mamba layers have units too, one index over the whole layer. Their systems change with every token, so that scores
    from poles and gains are undefined; with ``calibration`` the coefficients at some tokens are taken for fixed
    systems, which is a heuristic. Criteria that need no poles work without.

    Args:
        model: the model.
        per_channel: for S4D, see above.
        calibration: batches to run a model with Mamba layers on, inputs alone or pairs of which the first are inputs.
        tokens: how many tokens to take from them.
        adapters: ``adapter(name, module, per_channel)`` for layers of your own, asked before ours.

    Returns:
        The groups, with the reason for every layer that has states but no group.

    Raises:
        GroupError: the model has no states that can be pruned.
    """
    inner = bare_model(model)
    layers: dict[str, nn.Module] = {}
    groups: list[Group] = []
    left: dict[str, str] = {}
    for raw, module in inner.named_modules():
        name = plain_name(raw)
        answers = (adapter(name, module, per_channel) for adapter in (*adapters, *_OURS))
        answer = next((a for a in answers if a is not None), None)
        if isinstance(answer, Group):
            groups.append(answer)
            layers[answer.name] = module
        elif answer is not None:
            left[name or type(module).__name__] = answer
    if not groups:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(left.items())[:5]) or f"known are {_KNOWN}"
        raise GroupError(
            f"{type(inner).__name__} has no states that can be pruned ({why}). "
            "For a layer of your own give adapters=[...], a function that makes its group"
        )
    if calibration is not None:
        groups = _with_frozen(inner, groups, layers, calibration, tokens)
    return Groups(tuple(groups), left)


def _with_frozen(
    model: nn.Module, groups: Sequence[Group], layers: Mapping[str, nn.Module], batches: Iterable[Any], tokens: int
) -> list[Group]:
    wanted = {group.name: layers[group.name] for group in groups if group.dynamics is None}
    found = frozen_dynamics(model, wanted, lambda batch: _call(model, batch), batches, tokens)
    return [replace(group, dynamics=found.get(group.name, group.dynamics)) for group in groups]


def align_states(model: nn.Module, groups: Sequence[Group], scores: Mapping[str, Tensor]) -> None:
    """Sort the states of every S4D channel, the best first, so that one index means one rank in all channels.

    The states of a channel may stand in any order: the function stays the same. Afterwards the units of `states` are
    ranks, and each channel keeps its own best when some are removed.

    Args:
        model: changed in place.
        groups: those of ``states(model, per_channel=True)``.
        scores: of these groups.

    Raises:
        GroupError: a group of another kind.

    Example: ``align_states(model, each, nw.score(nw.HInfinity(), model, each))`` with
    ``each = nw.states(model, per_channel=True)``.
    """
    parameters = parameters_of(model)
    for group in groups:
        where = group.slices[0]
        prefix = where.tensor.rpartition(".")[0]
        if where.dim is not None or group.dynamics is None or named(prefix, "a_imag") not in parameters:
            raise GroupError(
                f"group {group.name!r} has no states of single channels to sort; make the groups with "
                "states(model, per_channel=True), and leave those of other layers out"
            )
        order = scores[group.name].reshape(where.shape[:2]).argsort(dim=1, descending=True, stable=True)
        with torch.no_grad():
            for name in ("log_a_real", "a_imag", "C"):
                tensor = parameters[named(prefix, name)]
                index = order if tensor.dim() == 2 else order[..., None].expand(tensor.shape)
                tensor.copy_(tensor.gather(1, index.to(tensor.device)))
