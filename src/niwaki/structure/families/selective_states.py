"""The states of Mamba layers, whose systems change with every token: units, and a heuristic for their poles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...core.dynamics import DiagonalSystem, Dynamics
from ...core.group import Group, Size, Slice
from ...core.names import parameters_of
from .linear_states import Read, named


@dataclass(frozen=True, eq=False)
class _Frozen:
    """Each token's coefficients taken for a fixed system.

    ``step`` is ``[tokens, channels]``; ``inputs`` and ``outputs`` are ``[tokens, size, channels]``, or have one channel
    where all share them.
    """

    pole: str
    step: Tensor
    inputs: Tensor
    outputs: Tensor

    def __call__(self, of: Read) -> DiagonalSystem:
        real = torch.float64
        rates, step = -torch.exp(of(self.pole).to(real)), self.step.to(real)
        rates = rates.T if rates.dim() == 2 else rates[None]  # [size or 1, channels]
        pole = torch.exp(step[:, None] * rates).expand(len(step), self.inputs.shape[1], step.shape[1])
        b = (step[:, None] * self.inputs.to(real)).expand(pole.shape)
        c = self.outputs.to(real).expand(pole.shape)
        # The mode axis holds every channel at every token; the mean over tokens is a constant factor away.
        pole, b, c = (t.transpose(0, 1).flatten(1) for t in (pole, b, c))
        return DiagonalSystem(pole, torch.ones_like(pole), b[..., None], c[None, ..., None], "discrete")


def _has(module: nn.Module, *names: str) -> bool:
    return all(hasattr(module, name) for name in names)


def _is_mamba1(module: nn.Module) -> bool:
    return _has(module, "A_log", "x_proj", "dt_proj", "ssm_state_size", "time_step_rank") and isinstance(
        module.x_proj, nn.Linear
    )


def _is_mamba2(module: nn.Module) -> bool:
    return _has(module, "A_log", "in_proj", "conv1d", "dt_bias", "ssm_state_size", "n_groups", "intermediate_size")


def mamba_states(prefix: str, module: nn.Module, per_channel: bool) -> Group | str | None:
    """The states of a Mamba-1 or Mamba-2 mixer as `transformers` writes it: index ``n`` over the whole layer."""
    if not (_is_mamba1(module) or _is_mamba2(module)):
        return None
    if _has(module, "b_layernorm") or _has(module, "b_norm"):
        return "B and C are normalised over the states; without one, the others would change"
    size = cast(int, module.ssm_state_size)
    found = _mamba1(prefix, module, size) if _is_mamba1(module) else _mamba2(prefix, module, size)
    if isinstance(found, str):
        return f"{type(module).__name__} {found}"
    return found


def _mamba1(prefix: str, module: nn.Module, size: int) -> Group | str:
    first = cast(int, module.time_step_rank)
    one = torch.arange(size)[:, None]
    projection = cast(nn.Linear, module.x_proj).weight
    if projection.shape[0] != first + 2 * size:
        return f"has x_proj with {projection.shape[0]} outputs, not {first} + 2 * {size}; its layout is not known"
    rows = torch.cat([first + one, first + size + one], dim=1)
    where = Slice(named(prefix, "x_proj.weight"), tuple(projection.shape), dim=0, index=rows, role="out")
    pole = Slice(named(prefix, "A_log"), tuple(cast(Tensor, module.A_log).shape), dim=1, index=one)
    return Group(
        prefix or "states", size, (where,), kind="state", buffers=(pole,), sizes=(Size(prefix, "ssm_state_size"),)
    )


def _mamba2(prefix: str, module: nn.Module, size: int) -> Group | str:
    groups, inner = cast(int, module.n_groups), cast(int, module.intermediate_size)
    heads = cast(Tensor, module.dt_bias).shape[0]
    # In the convolution: the inputs x, then B of every group, then C of every group. The projection has a gate first.
    of_b = inner + torch.arange(size)[:, None] + size * torch.arange(groups)
    channels = torch.cat([of_b, of_b + groups * size], dim=1)
    projection, convolution = cast(nn.Linear, module.in_proj), cast(nn.Conv1d, module.conv1d)
    wanted = (2 * inner + 2 * groups * size + heads, inner + 2 * groups * size)
    if (projection.weight.shape[0], convolution.weight.shape[0]) != wanted:
        return f"has in_proj and conv1d of other sizes than {wanted}; its layout is not known"
    parts: list[tuple[str, nn.Linear | nn.Conv1d, Tensor]] = [
        ("in_proj", projection, inner + channels),
        ("conv1d", convolution, channels),
    ]
    slices = []
    for name, layer, index in parts:
        for kind, tensor in (("weight", layer.weight), ("bias", layer.bias)):
            if tensor is not None:
                role = "out" if kind == "weight" else "bias"
                full = named(prefix, f"{name}.{kind}")
                slices.append(Slice(full, tuple(tensor.shape), dim=0, index=index, role=role))
    return Group(
        prefix or "states", size, tuple(slices), kind="state",
        sizes=(Size(prefix, "ssm_state_size"), Size(prefix, "conv_dim", 2 * groups)),
    )  # fmt: skip


def _mamba1_coefficients(module: Any, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, b, c = torch.split(
        projected, [module.time_step_rank, module.ssm_state_size, module.ssm_state_size], dim=-1
    )  # fmt: skip
    return nn.functional.softplus(module.dt_proj(low)), b[..., None], c[..., None]


def _mamba2_coefficients(module: Any, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    size, groups, heads = module.ssm_state_size, module.n_groups, module.dt_bias.shape[0]
    _, mixed, step = torch.split(
        projected, [module.intermediate_size, module.intermediate_size + 2 * groups * size, heads], dim=-1
    )  # fmt: skip
    conv = module.conv1d
    time = mixed.shape[1]
    turned = nn.functional.conv1d(
        mixed.transpose(1, 2), conv.weight, conv.bias, padding=conv.weight.shape[-1] - 1, groups=conv.weight.shape[0]
    )
    mixed = module.act(turned[..., :time]).transpose(1, 2)[..., module.intermediate_size :]
    b, c = (part.unflatten(-1, (groups, size)).transpose(-1, -2) for part in mixed.chunk(2, dim=-1))
    step = nn.functional.softplus(step + module.dt_bias).clamp(*module.time_step_limit)
    per_group = heads // groups
    # [n, time, states, heads]: the heads of a group share its B and C.
    return step, b.repeat_interleave(per_group, -1), c.repeat_interleave(per_group, -1)


def _spread_evenly(values: list[Tensor], tokens: int) -> Tensor:
    together = torch.cat([v.flatten(0, 1) for v in values])
    chosen = torch.linspace(0, len(together) - 1, min(tokens, len(together))).long()
    return together[chosen.to(together.device)]


def frozen_dynamics(
    model: nn.Module,
    groups: Mapping[str, nn.Module],
    run: Callable[[Any], object],
    batches: Iterable[Any],
    tokens: int,
) -> dict[str, Dynamics]:
    """Take the coefficients of Mamba layers at some tokens for fixed systems.

    This is a heuristic: a selective layer has no transfer function. The score of a state becomes the mean over tokens
    of what it would be, were that token's coefficients there for ever.

    Args:
        model: in `eval` mode while measured.
        groups: the layers by the names of their groups.
        run: calls the model on a batch.
        batches: what it is called on.
        tokens: of all tokens seen, so many, evenly spread.

    Returns:
        The dynamics by the groups' names.
    """
    seen: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {name: [] for name in groups}
    full: dict[nn.Parameter, str] = {parameter: name for name, parameter in parameters_of(model).items()}
    poles = {name: full[cast(nn.Parameter, module.A_log)] for name, module in groups.items()}
    handles, was = [], {m: m.training for m in model.modules()}
    for name, module in groups.items():
        first = _is_mamba1(module)
        layer = cast(nn.Linear, module.x_proj if first else module.in_proj)

        def note(
            _: object, __: object, out: Tensor, name: str = name, module: Any = module, first: bool = first
        ) -> None:
            seen[name].append((_mamba1_coefficients if first else _mamba2_coefficients)(module, out.detach()))

        handles.append(layer.register_forward_hook(note))
    try:
        model.eval()
        with torch.no_grad():
            for batch in batches:
                run(batch)
    finally:
        for handle in handles:
            handle.remove()
        for m, training in was.items():
            m.training = training
    found = {}
    for name, parts in seen.items():
        if parts:
            step, b, c = (_spread_evenly([p[i] for p in parts], tokens) for i in range(3))
            found[name] = Dynamics((poles[name],), _Frozen(poles[name], step, b, c))
    return found
