"""S4D: one small diagonal state-space system for every channel, applied as a long convolution."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from .pairs import convolve_exponentials, exponential_less_one, over, times
from .scan import convolve, exponential_sums
from .sequence import Norm, SequenceNet, per_layer


class S4DLayer(nn.Module):
    """For each channel, ``y = K * u + D u`` with ``K(t) = 2 Re sum_n C_n (exp(A_n dt) - 1) / A_n exp(A_n dt t)``.

    ``B`` is one. One member of each conjugate pair is stored; ``A = -exp(log_a_real) + i a_imag``, which is stable
    whatever training does. The time step belongs to the channel, not to the state.

    Shapes: ``log_a_real`` and ``a_imag`` ``[width, stored]``; ``C`` ``[width, stored, 2]``; ``log_step`` and ``D``
    ``[width]``.

    Args:
        width: channels.
        states: real states of each channel; half of them are stored.
        init: ``lin``, ``A_n = -1/2 + i pi n``, or ``inv``, ``A_n = -1/2 + i (N / pi) (N / (2 n + 1) - 1)``.
        steps: the range that the first time steps are drawn from, uniform in the logarithm.
        generator: the source of the initial values.

    Raises:
        ValueError: an odd number of states, or another start.

    Source: A. Gu, A. Gupta, K. Goel, C. Re, On the Parameterization and Initialization of Diagonal State Space Models,
    2022.
    """

    def __init__(
        self, width: int, states: int, *, init: Literal["lin", "inv"] = "lin",
        steps: tuple[float, float] = (0.001, 0.1), generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if states % 2 or init not in ("lin", "inv"):
            raise ValueError(f"S4D needs an even number of states and init 'lin' or 'inv', not {states} and {init!r}")
        self.width, self.states = width, states // 2
        n = torch.arange(self.states, dtype=torch.float32)
        imaginary = math.pi * n if init == "lin" else states / math.pi * (states / (2 * n + 1) - 1)
        self.log_a_real = nn.Parameter(torch.full((width, self.states), math.log(0.5)))
        self.a_imag = nn.Parameter(imaginary.repeat(width, 1))
        self.C = nn.Parameter(torch.randn(width, self.states, 2, generator=generator) * math.sqrt(0.5))
        self.D = nn.Parameter(torch.randn(width, generator=generator))
        low, high = math.log(steps[0]), math.log(steps[1])
        self.log_step = nn.Parameter(torch.rand(width, generator=generator) * (high - low) + low)

    def kernel(self, time: int) -> Tensor:
        """The impulse response of every channel, ``[width, time]``."""
        pole = torch.complex(-torch.exp(self.log_a_real), self.a_imag)
        turn = pole * torch.exp(self.log_step).unsqueeze(1)
        weights = torch.view_as_complex(self.C) * torch.expm1(turn) / pole
        return 2 * exponential_sums(weights, turn, time).real

    def forward(self, u: Tensor) -> Tensor:
        """``[n, time, width]`` to the same shape."""
        if torch.compiler.is_exporting():
            return self.real(u)
        return convolve(self.kernel(u.shape[1]), u.transpose(1, 2)).transpose(1, 2) + self.D * u

    def real(self, u: Tensor) -> Tensor:
        """The same without complex numbers and FFT, which ONNX lacks; programs are made of this form."""
        pole = torch.stack([-torch.exp(self.log_a_real), self.a_imag])
        turn = pole * torch.exp(self.log_step).unsqueeze(1)
        weights = 2 * times(self.C.movedim(-1, 0), over(exponential_less_one(turn), pole))
        return convolve_exponentials(weights, turn, u.transpose(1, 2)).transpose(1, 2) + self.D * u

    def extra_repr(self) -> str:
        """What the layer is, for printing."""
        return f"{self.width}, stored states={self.states} for each channel"


def s4d(
    channels: int = 1, classes: int = 10, width: int = 32, states: int | tuple[int, ...] = 32, layers: int = 4,
    *, tokens: int = 0, init: Literal["lin", "inv"] = "lin", steps: tuple[float, float] = (0.001, 0.1),
    norm: Norm = "layer", dropout: float = 0.0, generator: torch.Generator | None = None,
) -> SequenceNet:  # fmt: skip
    """An S4D classifier of sequences, of pictures pixel by pixel, or of tokens.

    Args:
        channels: of the sequence or the pictures.
        classes: how many.
        width: features of every layer.
        states: real states of every channel, or one number for each layer.
        layers: how many.
        tokens: for sequences of whole numbers, how many there are, the empty place 0 included.
        init: as for `S4DLayer`.
        steps: the range of the first time steps.
        norm: ``layer`` or ``batch``.
        dropout: after each layer.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.

    >>> s4d(states=8, layers=2)(torch.zeros(3, 20, 1)).shape
    torch.Size([3, 10])
    """
    sizes = per_layer(states, layers)
    return SequenceNet(
        lambda i: S4DLayer(width, sizes[i], init=init, steps=steps, generator=generator),
        layers, width, channels, classes, tokens, norm=norm, dropout=dropout, generator=generator,
    )  # fmt: skip
