"""The states of S5 and S4D layers: which tensors hold them, and the systems they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ...core.dynamics import DiagonalSystem, Dynamics
from ...core.group import Group, Size, Slice

Read = Callable[[str], Tensor]


def is_a(module: nn.Module, *names: str) -> bool:
    """Whether a module's class, or one that it comes from, has one of these full names; nothing is imported for it."""
    return any(f"{c.__module__}.{c.__qualname__}" in names for c in type(module).__mro__)


def named(prefix: str, name: str) -> str:
    """The full name of what lies in a module; the model itself has no name."""
    return f"{prefix}.{name}" if prefix else name


def along(module: nn.Module, prefix: str, name: str, dim: int, index: Tensor, role: str = "") -> Slice:
    """The slice of a module's tensor in which unit ``u`` owns the positions ``index[u]`` of axis ``dim``."""
    return Slice(named(prefix, name), tuple(getattr(module, name).shape), dim=dim, index=index, role=role)


def as_complex(values: Tensor) -> Tensor:
    """A complex tensor as it is, pairs of real numbers in a last axis as complex numbers."""
    return values if values.is_complex() else torch.view_as_complex(values.contiguous())


@dataclass(frozen=True, eq=False)
class _S5:
    prefix: str
    scheme: Literal["zoh", "bilinear"]
    directions: int
    clip: bool
    members: Tensor

    def __call__(self, of: Read) -> DiagonalSystem:
        real = of(named(self.prefix, "lambda_re"))
        pole = torch.complex(real.clamp(max=-1e-4) if self.clip else real, of(named(self.prefix, "lambda_im")))
        b, c = as_complex(of(named(self.prefix, "B"))), as_complex(of(named(self.prefix, "C")))
        outputs = c.unflatten(1, (self.directions, -1)).permute(1, 2, 0)  # type: ignore[no-untyped-call]
        step = torch.exp(of(named(self.prefix, "log_step")))
        chosen = self.members.to(pole.device)
        return DiagonalSystem(pole[chosen], step[chosen], b[chosen], outputs[:, chosen], self.scheme)


def conjugate_pairs(poles: Tensor) -> Tensor | None:
    """Which stored poles are each other's conjugates.

    Each pole, in turn, takes the free one that is nearest to its conjugate. Training moves the members of a pair apart,
    so near means: by a tenth of the pole's own modulus.

    Args:
        poles: ``[size]``, complex.

    Returns:
        ``[size / 2, 2]``, by the lower index, or None if some pole has no partner.
    """
    values, free, pairs = poles.to(torch.complex128), set(range(len(poles))), []
    while free:
        one = min(free)
        free.remove(one)
        if not free:
            return None
        rest = sorted(free)
        distance = (values[rest] - values[one].conj()).abs()
        best = int(distance.argmin())
        if float(distance[best]) > 0.1 * float(values[one].abs()):
            return None
        free.remove(rest[best])
        pairs.append((one, rest[best]))
    return torch.tensor(pairs)


def _members(poles: Tensor, *, paired: bool) -> Tensor:
    # The stored states of each unit.
    pairs = conjugate_pairs(poles.detach()) if paired else None
    return torch.arange(len(poles))[:, None] if pairs is None else pairs


def s5_states(prefix: str, module: nn.Module, per_channel: bool) -> Group | str | None:
    """The states of an `S5Layer`, each with its pole, row of B, columns of C and step."""
    if not is_a(module, "niwaki.zoo.s5.S5Layer"):
        return None
    size, both = cast(int, module.states), bool(module.bidirectional)
    poles = torch.complex(cast(Tensor, module.lambda_re), cast(Tensor, module.lambda_im))
    one = _members(poles, paired=not module.conjugate)
    columns = torch.cat([one, one + size], dim=1) if both else one
    scheme = cast(Literal["zoh", "bilinear"], module.discretisation)
    reader = _S5(prefix, scheme, 2 if both else 1, bool(module.clip), one)
    names = ("lambda_re", "lambda_im", "log_step", "B", "C")
    return Group(
        prefix or "states", len(one),
        (along(module, prefix, "B", 0, one, "out"), along(module, prefix, "C", 1, columns, "in")),
        kind="state",
        buffers=tuple(along(module, prefix, name, 0, one) for name in names[:3]),
        sizes=(Size(prefix, "states", one.shape[1]),),
        dynamics=Dynamics(tuple(named(prefix, name) for name in names), reader),
    )  # fmt: skip


@dataclass(frozen=True)
class _S4D:
    prefix: str
    per_channel: bool

    def __call__(self, of: Read) -> DiagonalSystem:
        pole = torch.complex(-torch.exp(of(named(self.prefix, "log_a_real"))), of(named(self.prefix, "a_imag")))
        c = as_complex(of(named(self.prefix, "C")))
        step = torch.exp(of(named(self.prefix, "log_step")))[:, None].expand(pole.shape)
        # Units first: every pair of channel and state by itself, or every index with a mode in each channel.
        pole, c, step = (t.reshape(-1, 1) if self.per_channel else t.T for t in (pole, c, step))
        return DiagonalSystem(pole, step, torch.ones_like(c)[..., None], c[None, ..., None])


def s4d_states(prefix: str, module: nn.Module, per_channel: bool) -> Group | str | None:
    """The states of an `S4DLayer`: each index over all channels, or of each channel, which can be masked only."""
    if not is_a(module, "niwaki.zoo.s4d.S4DLayer"):
        return None
    size, width = cast(int, module.states), cast(int, module.width)
    names = ("log_a_real", "a_imag", "log_step", "C")
    dynamics = Dynamics(tuple(named(prefix, name) for name in names), _S4D(prefix, per_channel))
    if per_channel:
        where = Slice(named(prefix, "C"), (width, size, 2), tile=(1, 2), role="in")
        return Group(prefix or "states", width * size, (where,), kind="state", dynamics=dynamics)
    one = torch.arange(size)[:, None]
    return Group(
        prefix or "states", size,
        (along(module, prefix, "C", 1, one, "in"),),
        kind="state",
        buffers=tuple(along(module, prefix, name, 1, one) for name in names[:2]),
        sizes=(Size(prefix, "states"),),
        dynamics=dynamics,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _S5Pytorch:
    prefix: str
    scheme: Literal["zoh", "bilinear"]
    directions: int
    members: Tensor

    def __call__(self, of: Read) -> DiagonalSystem:
        pole, b = of(named(self.prefix, "Lambda")), as_complex(of(named(self.prefix, "B")))
        c = of(named(self.prefix, "C"))
        outputs = c.unflatten(1, (self.directions, -1)).permute(1, 2, 0)  # type: ignore[no-untyped-call]
        step = torch.exp(of(named(self.prefix, "log_step"))).flatten()
        chosen = self.members.to(pole.device)
        return DiagonalSystem(pole[chosen], step[chosen], b[chosen], outputs[:, chosen], self.scheme)


def s5_pytorch_states(prefix: str, module: nn.Module, per_channel: bool) -> Group | str | None:
    """The states of an ``S5SSM`` of the package s5-pytorch, which stores both members of each conjugate pair."""
    if not is_a(module, "s5.s5_model.S5SSM"):
        return None
    if module.liquid:
        return "liquid=True makes its poles depend on the input; there is no fixed system to score"
    if module.degree != 1:
        return f"degree={module.degree} wants a square B; with fewer states it would not run"
    if module.bcInit == "factorized":
        return "B and C are products of factors; a state has no rows and columns of its own in them"
    poles = cast(Tensor, module.Lambda)
    members, both = _members(poles, paired=True), bool(module.bidir)
    columns = torch.cat([members, members + len(poles)], dim=1) if both else members
    scheme = "bilinear" if "bilinear" in getattr(module.discretize, "__name__", "") else "zoh"
    reader = _S5Pytorch(prefix, cast(Literal["zoh", "bilinear"], scheme), 2 if both else 1, members)
    names = ("Lambda", "log_step", "B", "C")
    return Group(
        prefix or "states", len(members),
        (along(module, prefix, "B", 0, members, "out"), along(module, prefix, "C", 1, columns, "in")),
        kind="state",
        buffers=tuple(along(module, prefix, name, 0, members) for name in names[:2]),
        dynamics=Dynamics(tuple(named(prefix, name) for name in names), reader),
    )  # fmt: skip
