"""S5: a state-space layer with many inputs, many outputs and one shared set of diagonal states."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from .pairs import exponential, exponential_less_one, one_like, over, times
from .scan import scan
from .sequence import Norm, SequenceNet, per_layer


def hippo_modes(size: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of the normal part of HiPPO-LegS (HiPPO-N), complex128.

    With ``P_n = sqrt(n + 1/2)`` the matrix ``HiPPO + P P^T`` is ``-1/2 I`` plus a skew-symmetric one, so that all
    eigenvalues have the real part ``-1/2``.

    Args:
        size: of the matrix.

    Returns:
        Eigenvalues ``[size]`` by ascending imaginary part, and the unitary matrix of eigenvectors.

    Source: A. Gu, A. Gupta, K. Goel, C. Re, On the Parameterization and Initialization of Diagonal State Space Models,
    2022.
    """
    index = torch.arange(size, dtype=torch.float64)
    scale = torch.sqrt(2 * index + 1)
    hippo = -torch.tril(torch.outer(scale, scale)) + torch.diag(index)
    low_rank = torch.sqrt(index + 0.5)
    normal = hippo + torch.outer(low_rank, low_rank)
    skew = normal + 0.5 * torch.eye(size, dtype=torch.float64)
    imaginary, vectors = torch.linalg.eigh(-1j * skew)
    return torch.complex(torch.full_like(imaginary, -0.5), imaginary), vectors


def _as_pairs(values: Tensor) -> nn.Parameter:
    return nn.Parameter(torch.view_as_real(values.to(torch.complex64).contiguous()).clone())


class S5Layer(nn.Module):
    """``dx/dt = Lambda x + B u``, ``y = C x + D u`` with a diagonal complex ``Lambda``, made discrete state by state.

    With ``conjugate`` one member of each conjugate pair is stored, and ``y = 2 Re(C x) + D u``; without it all are, and
    ``y = Re(C x) + D u``. With ``bidirectional`` the states also run backwards over the sequence, and ``C`` has a
    second half of columns for them. Complex numbers lie in a last axis of two.

    Shapes: ``lambda_re``, ``lambda_im`` and ``log_step`` ``[states]``; ``B`` ``[states, width, 2]``; ``C``
    ``[width, states, 2]``, or ``[width, 2 states, 2]``; ``D`` ``[width]``.

    Args:
        width: inputs and outputs.
        states: real states; with ``conjugate`` half of them are stored.
        blocks: how many independent HiPPO matrices the states start from.
        conjugate: whether pairs are stored as one.
        bidirectional: whether the states also run backwards.
        discretisation: ``zoh``, the zero-order hold, or ``bilinear``.
        clip: keep the real part of ``Lambda`` at ``-1e-4`` or below, so that training cannot make a state unstable.
        steps: the range that the first time steps are drawn from, uniform in the logarithm.
        generator: the source of the initial values.

    Raises:
        ValueError: sizes that do not divide, or another discretisation.

    Source: J. Smith, A. Warrington, S. Linderman, Simplified State Space Layers for Sequence Modeling, 2023.
    """

    def __init__(
        self, width: int, states: int, *, blocks: int = 1, conjugate: bool = True, bidirectional: bool = False,
        discretisation: Literal["zoh", "bilinear"] = "zoh", clip: bool = True,
        steps: tuple[float, float] = (0.001, 0.1), generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if states % (blocks * (2 if conjugate else 1)):
            raise ValueError(f"{states} states cannot be cut into {blocks} blocks{' of pairs' if conjugate else ''}")
        if discretisation not in ("zoh", "bilinear"):
            raise ValueError(f"discretisation={discretisation!r} is unknown; choose 'zoh' or 'bilinear'")
        self.width, self.states = width, states // 2 if conjugate else states
        self.conjugate, self.bidirectional, self.clip = conjugate, bidirectional, clip
        self.discretisation = discretisation
        poles, vectors = hippo_modes(states // blocks)
        chosen = slice(len(poles) // 2, None) if conjugate else slice(None)
        kept: Tensor = torch.block_diag(*[vectors[:, chosen]] * blocks)  # type: ignore[no-untyped-call]
        self.lambda_re = nn.Parameter(poles[chosen].real.repeat(blocks).float())
        self.lambda_im = nn.Parameter(poles[chosen].imag.repeat(blocks).float())
        b = torch.randn(states, width, generator=generator, dtype=torch.float64) / math.sqrt(states)
        directions = 2 if bidirectional else 1
        c = torch.randn(directions, width, states, 2, generator=generator, dtype=torch.float64) / math.sqrt(states)
        self.B = _as_pairs(kept.mH @ b.to(kept.dtype))
        self.C = _as_pairs((torch.view_as_complex(c) @ kept).permute(1, 0, 2).flatten(1))
        self.D = nn.Parameter(torch.randn(width, generator=generator))
        low, high = math.log(steps[0]), math.log(steps[1])
        self.log_step = nn.Parameter(torch.rand(self.states, generator=generator) * (high - low) + low)

    def discrete(self) -> tuple[Tensor, Tensor]:
        """The discrete poles ``[states]`` and the factors ``[states]`` that make ``B`` discrete."""
        real = self.lambda_re.clamp(max=-1e-4) if self.clip else self.lambda_re
        step = torch.exp(self.log_step)
        turn = torch.complex(real, self.lambda_im) * step
        if self.discretisation == "bilinear":
            below = 1 / (1 - turn / 2)
            return (1 + turn / 2) * below, step * below
        pole = torch.exp(turn)
        small = turn.abs() < 1e-4  # 0 / 0 has no digits
        safe = torch.where(small, torch.ones_like(turn), turn)
        return pole, step * torch.where(small, 1 + turn / 2, torch.expm1(safe) / safe)

    def forward(self, u: Tensor) -> Tensor:
        """``[n, time, width]`` to the same shape."""
        if torch.compiler.is_exporting():
            return self.real(u)
        pole, factor = self.discrete()
        b = torch.view_as_real(factor.unsqueeze(1) * torch.view_as_complex(self.B))
        drive = nn.functional.linear(u, b.transpose(1, 2).flatten(0, 1))
        drive = torch.view_as_complex(drive.reshape(*u.shape[:-1], -1, 2))
        if self.bidirectional:
            both = scan(pole, torch.stack([drive, drive.flip(-2)]))
            x = torch.cat([both[0], both[1].flip(-2)], dim=-1)
        else:
            x = scan(pole, drive)
        # Re(C x) as one real product: the imaginary part of C enters with the other sign.
        c = torch.stack([self.C[..., 0], -self.C[..., 1]], dim=-1) * (2 if self.conjugate else 1)
        return nn.functional.linear(torch.view_as_real(x).flatten(-2), c.flatten(1)) + self.D * u

    def _discrete_pairs(self) -> tuple[Tensor, Tensor]:
        real = self.lambda_re.clamp(max=-1e-4) if self.clip else self.lambda_re
        step = torch.exp(self.log_step)
        turn = torch.stack([real, self.lambda_im]) * step
        one = one_like(turn)
        if self.discretisation == "bilinear":
            below = over(one, one - turn / 2)
            return times(one + turn / 2, below), step * below
        pole = exponential(turn)
        small = turn.square().sum(0) < 1e-8
        safe = torch.where(small, one, turn)
        return pole, step * torch.where(small, one + turn / 2, over(exponential_less_one(safe), safe))

    def real(self, u: Tensor) -> Tensor:
        """The same without complex numbers, which ONNX lacks; programs are made of this form."""
        pole, factor = self._discrete_pairs()
        b = times(factor.unsqueeze(-1), self.B.movedim(-1, 0))
        drive = torch.stack([nn.functional.linear(u, part) for part in b.unbind()])
        x = scan(pole.unsqueeze(1), drive, times)
        if self.bidirectional:
            x = torch.cat([x, scan(pole.unsqueeze(1), drive.flip(-2), times).flip(-2)], dim=-1)
        c = self.C * (2 if self.conjugate else 1)
        return nn.functional.linear(x[0], c[..., 0]) - nn.functional.linear(x[1], c[..., 1]) + self.D * u

    def extra_repr(self) -> str:
        """What the layer is, for printing."""
        return f"{self.width}, stored states={self.states}, bidirectional={self.bidirectional}, {self.discretisation}"


def s5(
    channels: int = 1, classes: int = 10, width: int = 32, states: int | tuple[int, ...] = 32, layers: int = 4,
    *, tokens: int = 0, blocks: int = 1, conjugate: bool = True, bidirectional: bool = False,
    discretisation: Literal["zoh", "bilinear"] = "zoh", clip: bool = True, steps: tuple[float, float] = (0.001, 0.1),
    norm: Norm = "layer", dropout: float = 0.0, generator: torch.Generator | None = None,
) -> SequenceNet:  # fmt: skip
    """An S5 classifier of sequences, of pictures pixel by pixel, or of tokens.

    Args:
        channels: of the sequence or the pictures.
        classes: how many.
        width: features of every layer.
        states: real states of every layer, or one number for each layer.
        layers: how many.
        tokens: for sequences of whole numbers, how many there are, the empty place 0 included.
        blocks: as for `S5Layer`, and so are the others.
        conjugate: whether pairs are stored as one.
        bidirectional: whether the states also run backwards.
        discretisation: ``zoh`` or ``bilinear``.
        clip: whether training is kept from making a state unstable.
        steps: the range of the first time steps.
        norm: ``layer`` or ``batch``.
        dropout: after each layer.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.

    >>> s5(states=8, layers=2)(torch.zeros(3, 20, 1)).shape
    torch.Size([3, 10])
    """
    sizes = per_layer(states, layers)

    def make(i: int) -> S5Layer:
        return S5Layer(
            width, sizes[i], blocks=blocks, conjugate=conjugate, bidirectional=bidirectional, clip=clip,
            discretisation=discretisation, steps=steps, generator=generator,
        )  # fmt: skip

    return SequenceNet(
        make, layers, width, channels, classes, tokens, norm=norm, dropout=dropout, generator=generator
    )  # fmt: skip
