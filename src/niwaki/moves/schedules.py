r"""Schedules: functions of the step.

Each function here returns a `Curve`, which runs from a start to an end value over ``steps`` steps and stays there. With
:math:`\tau` the share of the way done, from 0 to 1:

=============  =====================================================================================
law            value
=============  =====================================================================================
linear         :math:`a + (b - a)\,\tau`
cosine         :math:`b + (a - b)\,(1 + \cos \pi\tau)/2`
polynomial     :math:`b + (a - b)\,(1 - \tau)^k`
geometric      :math:`a^{1-\tau}\, b^{\tau}`
exponential    :math:`a\, e^{-\lambda\tau}`
=============  =====================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ..core.errors import BudgetError, TrainError

Law = Literal["linear", "cosine", "polynomial", "geometric", "exponential"]


@dataclass(frozen=True)
class Curve:
    """A schedule as plain data: it prints, compares, pickles, and goes to JSON and back (``Curve(**asdict(curve))``).

    Args:
        law: the shape, as in the table above.
        start: the value at ``begin`` and before.
        end: the value at ``begin + steps`` and after.
        steps: how long the way is.
        begin: the step at which it starts.
        rate: the exponent of a polynomial, the decay of an exponential.
    """

    law: Law
    start: float
    end: float
    steps: int = 1
    begin: int = 0
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.law not in get_args(Law):
            raise TrainError(f"schedule: law {self.law!r} is unknown; choose from {', '.join(get_args(Law))}")
        if self.steps < 1 or self.begin < 0:
            raise TrainError(
                f"schedule: {self.steps} steps from step {self.begin} on is no span of time; give at least one step, "
                "and a beginning at step 0 or later"
            )
        if not all(map(math.isfinite, (self.start, self.end, self.rate))):
            raise BudgetError(f"schedule: {self} holds a value that is not finite")
        if self.rate <= 0:
            raise BudgetError(f"schedule: a rate of {self.rate} makes no way from start to end; give one above 0")
        if self.law == "geometric" and min(self.start, self.end) <= 0:
            raise BudgetError(f"schedule: a geometric one needs values above 0, not {self.start} and {self.end}")

    def __call__(self, step: int) -> float:
        """The value at a step."""
        done = min(1.0, max(0.0, (step - self.begin) / self.steps))
        if done == 0 or done == 1:
            return self.end if done else self.start
        match self.law:
            case "linear":
                value = self.start + (self.end - self.start) * done
            case "cosine":
                value = self.end + (self.start - self.end) * (1 + math.cos(math.pi * done)) / 2
            case "polynomial":
                value = self.end + (self.start - self.end) * (1 - done) ** self.rate
            case "geometric":
                value = math.exp((1 - done) * math.log(self.start) + done * math.log(self.end))
            case "exponential":
                value = self.start * math.exp(-self.rate * done)
        # Rounding must not lead outside the two ends.
        return min(max(value, min(self.start, self.end)), max(self.start, self.end))


def constant(value: float) -> Curve:
    """The same value at every step.

    >>> constant(0.1)(1000)
    0.1
    """
    return Curve("linear", value, value)


def linear(start: float, end: float, steps: int, begin: int = 0) -> Curve:
    """From ``start`` to ``end`` in equal steps.

    >>> linear(1.0, 0.0, 4)(1)
    0.75
    """
    return Curve("linear", start, end, steps, begin)


def cosine(start: float, end: float, steps: int, begin: int = 0) -> Curve:
    r"""From ``start`` to ``end`` along half a cosine: slow, fast, slow.

    >>> cosine(1.0, 0.0, 4)(2)
    0.5
    """
    return Curve("cosine", start, end, steps, begin)


def rigl_cosine(alpha: float, end: int) -> Curve:
    r"""The share of units to move: :math:`\frac{\alpha}{2}(1 + \cos(\pi t / T))` before step :math:`T`, 0 after.

    Args:
        alpha: the share at step 0.
        end: :math:`T`, the end of the update period.

    Source: Evci et al. 2020 (RigL).

    >>> round(rigl_cosine(0.3, 100)(50), 12), rigl_cosine(0.3, 100)(100)
    (0.15, 0.0)
    """
    return Curve("cosine", alpha, 0.0, end)


def cubic(start: float, end: float, steps: int, begin: int = 0) -> Curve:
    r"""Gradual pruning: :math:`d_t = d_f + (d_i - d_f)(1 - (t - t_0)/n)^3`, fast at first and slow at the end.

    Args:
        start: the density :math:`d_i` up to step ``begin``.
        end: the density :math:`d_f` from step ``begin + steps`` on.
        steps: :math:`n`.
        begin: :math:`t_0`.

    Source: Zhu and Gupta 2017.

    >>> cubic(1.0, 0.2, 10)(5)  # 0.2 + 0.8 / 8
    0.30000000000000004
    """
    return Curve("polynomial", start, end, steps, begin, rate=3.0)


def polynomial(alpha: float, end: int, power: float) -> Curve:
    r"""The share of units to move: :math:`\alpha (1 - t / T)^k` before step :math:`T`, 0 after.

    Args:
        alpha: the share at step 0.
        end: :math:`T`, the end of the update period.
        power: :math:`k`.

    >>> polynomial(0.4, 10, 2)(5)
    0.1
    """
    return Curve("polynomial", alpha, 0.0, end, rate=power)


def exponential(alpha: float, end: int, decay: float = 5.0) -> Curve:
    r"""The share of units to move: :math:`\alpha e^{-\lambda t / T}` up to step :math:`T`; its last value stays.

    Args:
        alpha: the share at step 0.
        end: :math:`T`, the end of the update period.
        decay: :math:`\lambda`; 0 keeps the share as it is.

    >>> round(exponential(0.3, 10, decay=2.0)(5), 4)  # 0.3 / e
    0.1104
    """
    if decay == 0:
        return constant(alpha)
    return Curve("exponential", alpha, alpha * math.exp(-max(decay, 0.0)), end, rate=decay)


def geometric(start: float, end: float, steps: int, begin: int = 0) -> Curve:
    r"""From one density to another by equal factors: :math:`\exp(\tau \ln b + (1 - \tau) \ln a)`.

    Args:
        start: :math:`a`, above 0.
        end: :math:`b`, above 0.
        steps: over how many steps :math:`\tau` goes from 0 to 1.
        begin: the step at which it starts.

    Source: the schedule of Shen et al. 2022 (HALP), there for a latency.

    >>> round(geometric(1.0, 0.01, 4)(2), 12)
    0.1
    """
    return Curve("geometric", start, end, steps, begin)
