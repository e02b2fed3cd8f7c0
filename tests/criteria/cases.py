"""Groups of every shape, with their members listed by hand, and random signals for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from niwaki.core import DiagonalSystem, Dynamics, Group, Signals, Slice

KINDS = (
    "weight", "grad", "grad_sq", "grad_batches_sq", "grad_batches_abs", "hessian_grad", "hessian_diag", "flow",
    "input_norm", "noise", "gate_grad_sq", "gate_hessian_diag",
)  # fmt: skip
NOT_NEGATIVE = {
    "grad_sq", "grad_batches_sq", "grad_batches_abs", "hessian_diag", "flow", "input_norm", "noise", "gate_grad_sq",
}  # fmt: skip

PER_UNIT = {"gate_grad_sq", "gate_hessian_diag"}

Member = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Case:
    """A group, its members as (tensor, position) for each unit, and a way to permute its units inside the tensors."""

    name: str
    group: Group
    members: tuple[tuple[Member, ...], ...]
    order: tuple[int, ...]
    permute: Callable[[str, Tensor], Tensor]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        # The rates of states lie beside their slices.
        beside = {"rate": (self.group.size,)} if self.group.dynamics else {}
        return {where.tensor: where.shape for where in self.group.slices} | beside

    @property
    def roles(self) -> dict[str, str]:
        """By tensor; enough where no tensor plays two of them."""
        return {where.tensor: where.role for where in self.group.slices}

    def moved(self, signals: Signals) -> Signals:
        """The signals with the units in another order."""
        return Signals(
            {
                kind: {n: t[list(self.order)] if kind in PER_UNIT else self.permute(n, t) for n, t in of.items()}
                for kind, of in signals.values.items()
            }
        )


def _rows(order):
    return lambda name, tensor: tensor[list(order)]


def _weights():
    # Rows 1, 2, 0 of a 3 x 4 matrix: units 4..7, 8..11, 0..3.
    group = Group("w", 12, (Slice("w", (3, 4)),))
    members = tuple((("w", (u // 4, u % 4)),) for u in range(12))
    return Case("weights", group, members, (4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3), _rows((1, 2, 0)))


def _blocks():
    # 4 x 5 in tiles of 2 x 2: two rows of tiles, three to a row, the last of them one column wide.
    group = Group("w", 6, (Slice("w", (4, 5), tile=(2, 2)),), kind="block")
    members = tuple(
        tuple(("w", (r, c)) for r in (2 * i, 2 * i + 1) for c in (2 * j, 2 * j + 1) if c < 5)
        for i in range(2)
        for j in range(3)
    )
    return Case("blocks", group, members, (3, 4, 5, 0, 1, 2), _rows((2, 3, 0, 1)))


def _inputs_first():
    # Units run along the inputs (axis 1) fastest: output, then height, then input.
    group = Group("w", 12, (Slice("w", (2, 3, 2), axes=(0, 2, 1)),))
    members = tuple((("w", (u // 6, u % 3, u // 3 % 2)),) for u in range(12))
    return Case("inputs_first", group, members, (6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5), _rows((1, 0)))


def _channels():
    # A channel is a row of the producer, its bias, and two columns of the consumer (flattened 1 x 2 maps).
    group = Group(
        "c", 3,
        (
            Slice("a", (3, 2), dim=0, index=torch.tensor([[0], [1], [2]])),
            Slice("bias", (3,), dim=0, index=torch.tensor([[0], [1], [2]])),
            Slice("b", (4, 6), dim=1, index=torch.tensor([[0, 1], [2, 3], [4, 5]])),
        ),
        kind="channel",
    )  # fmt: skip
    members = tuple(
        (
            *(("a", (u, i)) for i in range(2)),
            ("bias", (u,)),
            *(("b", (o, c)) for o in range(4) for c in (2 * u, 2 * u + 1)),
        )
        for u in range(3)
    )

    def permute(name, tensor):
        return tensor[:, [4, 5, 0, 1, 2, 3]] if name == "b" else tensor[[2, 0, 1]]

    return Case("channels", group, members, (2, 0, 1), permute)


def _wired():
    # A channel with all its roles: filters, biases, two norms, and the two columns of a consumer that it is read by.
    one, two = torch.tensor([[0], [1], [2]]), torch.tensor([[0, 1], [2, 3], [4, 5]])
    slices = [
        Slice("a", (3, 2, 2), dim=0, index=one, role="out"),
        Slice("a_bias", (3,), dim=0, index=one, role="bias"),
        Slice("scale", (3,), dim=0, index=one, role="scale"),
        Slice("shift", (3,), dim=0, index=one, role="shift"),
        Slice("late", (3,), dim=0, index=one, role="scale"),
        Slice("b", (4, 6), dim=1, index=two, role="in"),
    ]
    members = tuple(
        (
            *(("a", (u, i, k)) for i in range(2) for k in range(2)),
            *((name, (u,)) for name in ("a_bias", "scale", "shift", "late")),
            *(("b", (o, c)) for o in range(4) for c in (2 * u, 2 * u + 1)),
        )
        for u in range(3)
    )

    def permute(name, tensor):
        return tensor[:, [4, 5, 0, 1, 2, 3]] if name == "b" else tensor[[2, 0, 1]]

    return Case("wired", Group("c", 3, tuple(slices), kind="channel"), members, (2, 0, 1), permute)


def _stream():
    # A layer that reads and writes the same channels: row u and column u; element (u, u) belongs to unit u once.
    index = torch.tensor([[0], [1], [2]])
    group = Group(
        "s", 3, (Slice("w", (3, 3), dim=0, index=index), Slice("w", (3, 3), dim=1, index=index)), kind="channel"
    )
    members = tuple(
        (*(("w", (u, i)) for i in range(3)), *(("w", (i, u)) for i in range(3) if i != u)) for u in range(3)
    )
    return Case("stream", group, members, (1, 2, 0), lambda name, t: t[[1, 2, 0]][:, [1, 2, 0]])


def _states():
    # A state is a row of B, a column of C, and a rate that its pole is made of.
    one = torch.tensor([[0], [1], [2]])
    slices = (Slice("b", (3, 2), dim=0, index=one), Slice("c", (4, 3), dim=1, index=one))

    def read(of):
        rate = of("rate")
        pole = torch.complex(-rate.abs(), 2 * rate)[:, None]
        return DiagonalSystem(pole, torch.full_like(rate, 0.3)[:, None], of("b")[:, None], of("c").T[None, :, None])

    group = Group("ssm", 3, slices, kind="state", dynamics=Dynamics(("rate", "b", "c"), read))
    members = tuple((*(("b", (u, i)) for i in range(2)), *(("c", (o, u)) for o in range(4))) for u in range(3))
    return Case("states", group, members, (2, 0, 1), lambda name, t: t[:, [2, 0, 1]] if name == "c" else t[[2, 0, 1]])


CASES = (_weights(), _blocks(), _inputs_first(), _channels(), _stream(), _wired(), _states())


def signals_for(case: Case, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Signals:
    """Every kind of signal, random, none zero."""
    random = np.random.default_rng(seed)
    values: dict[str, dict[str, Tensor]] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        shapes = {case.group.name: (case.group.size,)} if kind in PER_UNIT else case.shapes
        for name, shape in shapes.items():
            drawn = random.uniform(0.1, 1.0, shape)
            if kind not in NOT_NEGATIVE:
                drawn *= random.choice((-1.0, 1.0), shape)
            values[kind][name] = torch.tensor(drawn).to(dtype)
    return Signals(values)


def of_unit(case: Case, signals: Signals, unit: int) -> dict[str, np.ndarray]:
    """The numbers of one unit's members, by kind, in float64; their roles; and the numbers that are the unit's own."""
    numbers = {
        kind: np.array([signals.of(kind, name)[place].double().item() for name, place in case.members[unit]])
        for kind in signals.values
        if kind not in PER_UNIT
    }
    own = {kind: np.array([signals.of(kind, case.group.name)[unit].double().item()]) for kind in PER_UNIT}
    return numbers | own | {"role": np.array([case.roles[name] for name, _ in case.members[unit]])}
