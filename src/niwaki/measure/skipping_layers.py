"""Layers that multiply by no zeros: linear ones by one product, convolutions by one for each shift of their input."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import TrainError

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Layer = nn.Linear | Convolution

_ROOM = 4 * 2**20  # bytes of laid-out inputs at a time: about what a processor keeps close to itself


@contextmanager
def _hushed() -> Generator[None, None, None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(CSR|csr|invariant)")
        yield


def _compressed(places: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    with _hushed():
        rows = torch.sparse_coo_tensor(places, values, size).to_sparse_csr()
    # The library multiplies with 32-bit places, and would convert wider ones in every call.
    return _rows(rows.crow_indices().int(), rows.col_indices().int(), rows.values(), rows.shape)


def _rows(starts: Tensor, columns: Tensor, values: Tensor, size: tuple[int, ...]) -> Tensor:
    with _hushed():
        return torch.sparse_csr_tensor(starts, columns, values, size)


def _product(start: Tensor, matrix: Tensor, columns: Tensor) -> Tensor:
    if columns.shape[1] == 1:  # the library is twice as fast with a vector as with a matrix of one column
        return torch.addmv(start, matrix, columns[:, 0])[:, None]
    return torch.addmm(start[:, None], matrix, columns)


class _Skipping(nn.Module):
    """What has the layer's bias, and can be copied and sent to other processes, which torch refuses for such rows."""

    bias: Tensor | None

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        bias = None if layer.bias is None else layer.bias.detach().clone()
        self.register_buffer("bias", bias, persistent=False)

    def __getstate__(self) -> dict[str, Any]:
        parts = {
            name: (held.crow_indices(), held.col_indices(), held.values(), (*held.shape,))
            if isinstance(held, Tensor) and held.layout == torch.sparse_csr
            else held
            for name, held in self._buffers.items()
        }
        return {**vars(self), "_buffers": parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        held = {name: _rows(*part) if isinstance(part, tuple) else part for name, part in state["_buffers"].items()}
        super().__setstate__({**state, "_buffers": held})  # type: ignore[no-untyped-call]


class SkippingProduct(_Skipping):
    """A linear layer that multiplies by no zeros; for running, not for training.

    ``weight`` is a matrix in compressed rows. Outputs are the layer's up to rounding: sums go in another order.

    Args:
        layer: an `nn.Linear`.
    """

    weight: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        matrix = layer.weight.detach()
        self.out_features, self.in_features = matrix.shape
        places = matrix.nonzero().t()
        self.register_buffer("weight", _compressed(places, matrix[tuple(places)], (*matrix.shape,)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """What the layer computes."""
        start = x.new_zeros(self.out_features) if self.bias is None else self.bias
        found = _product(start, self.weight, x.reshape(-1, self.in_features).t())
        return found.t().reshape(*x.shape[:-1], self.out_features).contiguous()

    def extra_repr(self) -> str:
        """Sizes, and how many weights there are."""
        return f"{self.in_features}, {self.out_features}, weights={self.weight.values().numel()}"


def _edges(layer: Convolution) -> list[tuple[int, int]]:
    """What is padded before and behind, in every dimension."""
    if layer.padding == "valid":
        return [(0, 0)] * len(layer.kernel_size)
    if layer.padding == "same":
        both = [step * (size - 1) for size, step in zip(layer.kernel_size, layer.dilation, strict=True)]
        return [(pad // 2, pad - pad // 2) for pad in both]
    return [(int(pad), int(pad)) for pad in layer.padding]


class SkippingConvolution(_Skipping):
    """A convolution that multiplies by no zeros; for running, not for training.

    The input is laid out once, one line per channel with its padding in between, so that where a weight stands in the
    kernel is a shift along the line: every shift costs one product with the weights that stand there. With a stride,
    the pixels between two outputs count as channels of their own. Dilation and groups only say where weights stand.

    Args:
        layer: a convolution, not a transposed one.
    """

    def __init__(self, layer: Convolution) -> None:
        super().__init__(layer)
        self.padding_mode, self.edges, self.around = layer.padding_mode, _edges(layer), [0]
        if layer.padding_mode != "zeros":
            self.around = [pad for pair in reversed(self.edges) for pad in pair]
            self.edges = [(0, 0)] * len(self.edges)
        self.in_channels, self.out_channels, self.stride = layer.in_channels, layer.out_channels, layer.stride
        spans = zip(layer.kernel_size, layer.dilation, strict=True)
        self.extent = [step * (size - 1) + 1 for size, step in spans]
        self.between = [min(pair) for pair in zip(self.extent, self.stride, strict=True)]
        self.shifts: list[list[int]] = []
        for shift, matrix in self._places(layer):
            self.register_buffer(f"weight_{len(self.shifts)}", matrix, persistent=False)
            self.shifts.append(shift)

    def _places(self, layer: Convolution) -> Iterator[tuple[list[int], Tensor]]:
        """The shifts that have weights, and a matrix of these for each."""
        weight = layer.weight.detach()
        outs, ins, *taps = weight.nonzero().t()
        values = weight[(outs, ins, *taps)]
        steps = torch.tensor(layer.dilation)[:, None] * torch.stack(taps)
        stride = torch.tensor(self.stride)[:, None]
        rows = outs // (layer.out_channels // layer.groups) * weight.shape[1] + ins
        for inside, width in zip(steps % stride, self.between, strict=True):
            rows = rows * width + inside
        size = (layer.out_channels, layer.in_channels * math.prod(self.between))
        shifts = torch.unique(steps // stride, dim=1).t() if len(values) else torch.zeros(1, len(taps), dtype=torch.int)
        for shift in shifts:
            here = (steps // stride == shift[:, None]).all(0)
            yield shift.tolist(), _compressed(torch.stack((outs[here], rows[here])), values[here], size)

    @property
    def weight(self) -> Tensor:
        """The weights at the first place of the kernel: what code reads that asks for type and device."""
        return self.get_buffer("weight_0")

    def _laid_out(self, x: Tensor, pitch: Sequence[int], reach: int) -> Tensor:
        """Lines of channels, and of the pixels between two outputs, with zeros where there is padding."""
        count, channels, *size = x.shape
        if reach == 0 and pitch == size and max(self.stride) == 1:
            return x.transpose(0, 1).reshape(channels, -1)
        width = math.prod(n // step for n, step in zip(pitch[1:], self.stride[1:], strict=True))
        rows = count * pitch[0] + -(-reach // width) * self.stride[0]
        room = x.new_zeros(channels, rows, *pitch[1:])
        inner = [slice(before, before + n) for (before, _), n in zip(self.edges, size, strict=True)]
        images = room[:, : count * pitch[0]].view(channels, count, *pitch)
        images[(slice(None), slice(None), *inner)] = x.transpose(0, 1)
        if max(self.stride) == 1:
            return room.flatten(1)
        for dim, (step, kept) in enumerate(zip(self.stride, self.between, strict=True)):
            before, behind = room.shape[: 1 + 2 * dim], room.shape[2 + 2 * dim :]
            room = room.view(*before, -1, step, *behind).narrow(2 + 2 * dim, 0, kept)
        dims = range(1, room.dim(), 2)
        return room.permute(0, *(dim + 1 for dim in dims), *dims).reshape(channels * math.prod(self.between), -1)

    def _sizes(self, size: Sequence[int]) -> tuple[list[int], list[int]]:
        """The size of outputs, and the places a line has for every dimension.

        Neighbours share their padding: what lies behind a row is what lies before the next one.

        Raises:
            TrainError: the kernel does not fit into the input.
        """
        outs, pitch = [], []
        for n, edges, extent, step in zip(size, self.edges, self.extent, self.stride, strict=True):
            outs.append((n + sum(edges) - extent) // step + 1)
            pitch.append(-(-max(n + max(edges), outs[-1] * step) // step) * step)
        if min(outs) < 1:
            raise TrainError(f"inputs of size {list(size)} are smaller than the kernel, which spans {self.extent}")
        return outs, pitch

    def _run(self, x: Tensor, outs: Sequence[int], pitch: Sequence[int]) -> Tensor:
        places = [n // step for n, step in zip(pitch, self.stride, strict=True)]
        width = [math.prod(places[dim + 1 :]) for dim in range(len(places))]
        starts = [sum(a * b for a, b in zip(shift, width, strict=True)) for shift in self.shifts]
        lines = self._laid_out(x, pitch, max(starts))
        length = len(x) * math.prod(places)
        found = x.new_zeros(self.out_channels) if self.bias is None else self.bias
        for number, start in enumerate(starts):
            matrix, columns = getattr(self, f"weight_{number}"), lines[:, start : start + length]
            found = found.addmm_(matrix, columns) if number else _product(found, matrix, columns)
        kept = (slice(n) for n in outs)
        images = found.view(self.out_channels, len(x), *places).transpose(0, 1)
        return images[(slice(None), slice(None), *kept)]

    def forward(self, x: Tensor) -> Tensor:
        """What the layer computes."""
        if x.dim() == 1 + len(self.extent):
            return self.forward(x[None])[0]
        is_last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        if any(self.around):
            x = functional.pad(x, self.around, self.padding_mode)
        outs, pitch = self._sizes(x.shape[2:])
        layout = torch.channels_last if is_last else torch.contiguous_format
        size = (len(x), self.out_channels, *outs)
        out = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
        images = max(1, _ROOM // (x.element_size() * x.shape[1] * math.prod(pitch)))
        for at in range(0, len(x), images):
            out[at : at + images] = self._run(x[at : at + images], outs, pitch)
        return out

    def extra_repr(self) -> str:
        """Sizes, and how many weights there are at how many places of the kernel."""
        count = sum(matrix.values().numel() for name, matrix in self.named_buffers() if name != "bias")
        return f"{self.in_channels}, {self.out_channels}, weights={count}, places={len(self.shifts)}"
