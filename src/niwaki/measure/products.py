"""Which operators are products, what they cost, and which parameter each belongs to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten

# Where the two factors stand among the arguments; the first named is the one that layers put their weight in.
_FACTORS: Mapping[Any, tuple[int, int]] = {
    _aten.mm: (1, 0),
    _aten.addmm: (2, 1),
    _aten.bmm: (1, 0),
    _aten.baddbmm: (2, 1),
    _aten.addbmm: (2, 1),
    _aten.mv: (0, 1),
    _aten.addmv: (1, 2),
    _aten.dot: (1, 0),
    _aten._scaled_mm: (1, 0),
    _aten.convolution: (1, 0),
    _aten._convolution: (1, 0),
    _aten.cudnn_convolution: (1, 0),
    _aten.convolution_overrideable: (1, 0),
    _aten._slow_conv2d_forward: (1, 0),
    _aten.convolution_backward: (2, 1),  # where a forward pass differentiates
}

# Words in the names of operators that multiply matrices. One without a formula is reported, not passed over.
_HEAVY = frozenset(
    "mm bmm mv dot matmul linear conv convolution attention lstm gru rnn fft linalg cdist trilinear einsum".split()
)
_LIGHT = frozenset({"linalg_vector_norm", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"})


def _vector_formulas() -> dict[Any, Callable[..., int]]:
    def mv(matrix: Tensor, vector: Tensor, **_: Any) -> int:
        return 2 * matrix.numel()

    def addmv(bias: Tensor, matrix: Tensor, vector: Tensor, **_: Any) -> int:
        return 2 * matrix.numel()

    def dot(a: Tensor, b: Tensor, **_: Any) -> int:
        return 2 * a.numel()

    def addbmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> int:
        return 2 * a.numel() * b.shape[2]

    return {_aten.mv: mv, _aten.addmv: addmv, _aten.dot: dot, _aten.addbmm: addbmm}


def formulas() -> dict[Any, Callable[..., int]]:
    """FLOP formulas per operator: those of `torch.utils.flop_counter`, and those that it lacks."""
    from torch.utils.flop_counter import flop_registry  # a quarter of a second to import

    # Attention on the CPU has a formula of its own only in newer versions; it is the one of attention anywhere.
    attention = flop_registry[_aten._scaled_dot_product_flash_attention]
    on_cpu = {_aten._scaled_dot_product_flash_attention_for_cpu: attention}
    return {**_vector_formulas(), **on_cpu, **flop_registry}


def recurrent_weights(packet: Any, args: Sequence[Any]) -> Iterator[tuple[Tensor, int]]:
    """The matrices of a fused recurrent layer and what each costs: one product for every element of the sequence."""
    tokens = args[0].numel() // args[0].shape[-1]
    weights = args[1:3] if packet is _aten.mkldnn_rnn_layer else args[1]
    for weight in weights:
        if weight.dim() == 2:
            yield weight, 2 * tokens * weight.numel()


_RECURRENT = frozenset({_aten.mkldnn_rnn_layer, _aten._cudnn_rnn, _aten.miopen_rnn})


class Owners:
    """Which parameter a tensor is: itself, a view of it, or what was made of parameters and buffers alone.

    The last covers casts, masks and reparametrisations, for example ``weight.to(bfloat16)`` or ``weight * mask``: the
    outcome belongs to the one among its sources that has as many elements.
    """

    def __init__(self, parameters: Mapping[str, Tensor], buffers: Sequence[Tensor]) -> None:
        # Storages are known by address, and an address is used again once its storage is gone: so all are kept.
        self._alive: list[Tensor] = []
        self._spans: dict[int, list[tuple[int, float, str]]] = {}
        for name, parameter in parameters.items():
            self._add(parameter, name, int(parameter.storage_offset()), parameter.numel())
        for buffer in buffers:
            self._add(buffer, "", 0, math.inf)

    def _add(self, tensor: Tensor, name: str, start: int, length: float) -> None:
        self._alive.append(tensor)
        self._spans.setdefault(tensor.untyped_storage()._cdata, []).append((start, start + length, name))

    def of(self, tensor: Any) -> str | None:
        """The parameter's name; empty for a buffer and the like, ``None`` for what depends on the input."""
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            return None
        spans = self._spans.get(tensor.untyped_storage()._cdata, [])
        return next((name for start, end, name in spans if start <= tensor.storage_offset() < end), None)

    def derive(self, sources: Sequence[Any], out: Any, *, is_product: bool = False) -> None:
        """Note what an operator made, if it made it of parameters and buffers alone. A product belongs to neither."""
        tensors = [t for t in tree_leaves(sources) if isinstance(t, Tensor)]
        names = [self.of(t) for t in tensors]
        if not names or None in names:
            return
        for made in tree_leaves(out):
            if isinstance(made, Tensor) and made.layout == torch.strided and self.of(made) is None:
                same = (n for t, n in zip(tensors, names, strict=True) if n and t.numel() == made.numel())
                self._add(made, "" if is_product else next(same, ""), 0, math.inf)


class ProductMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the products of whatever runs inside it, per parameter."""

    supports_higher_order_operators = True

    def __init__(self, owners: Owners) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.per_tensor: dict[str, float] = {}
        self.other = 0.0
        self.uncounted: set[str] = set()
        self._owners = owners
        self._formulas = formulas()

    def _add(self, flops: float, factors: Sequence[Any]) -> None:
        name = next((name for name in map(self._owners.of, factors) if name), None)
        if name is None:
            self.other += flops
        else:
            self.per_tensor[name] = self.per_tensor.get(name, 0.0) + flops

    def _note(self, packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        if packet in _RECURRENT:
            for weight, flops in recurrent_weights(packet, args):
                self._add(flops, [weight])
        elif packet in self._formulas:
            places = [place for place in _FACTORS.get(packet, ()) if place < len(args)]
            self._add(self._formulas[packet](*args, **kwargs, out_val=out), [args[place] for place in places])
            self._owners.derive([args, kwargs], out, is_product=True)
        else:
            namespace, _, name = str(packet).partition(".")
            known = namespace in {"aten", "prim", "prims"}
            if not known or (_HEAVY & set(name.split("_")) and name not in _LIGHT):
                self.uncounted.add(str(packet))
            self._owners.derive([args, kwargs], out)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and note what it costs."""
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", func)
        counted = packet in self._formulas or packet in _RECURRENT
        if not counted and hasattr(func, "decompose") and func is not torch.ops.prim.device.default:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        out = func(*args, **kwargs)
        self._note(packet, args, kwargs, out)
        return out
