"""Attributes follow the tensors: one line per layer type, both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..core.errors import GroupError

Value = int | tuple[int, ...]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Seen:
    """A layer as it will be: the shapes of its tensors, the positions they keep, attributes that are settled already.

    ``cuts`` gives, for a tensor that loses something, the kept positions per axis; it is asked by tensor.
    """

    name: str
    module: Any  # a module; each rule knows which attributes its own have
    cuts: Callable[[Tensor], Mapping[int, Tensor]]
    settled: Mapping[str, Value]

    def tensor(self, name: str) -> Tensor | None:
        """One of the layer's tensors, its children's by dotted name; None where the layer goes without."""
        owner, _, own = name.rpartition(".")
        found = getattr(self.module.get_submodule(owner) if owner else self.module, own, None)
        return found if isinstance(found, Tensor) else None

    def shape(self, name: str) -> Shape:
        """The shape a tensor will have; empty where the layer goes without it."""
        tensor = self.tensor(name)
        if tensor is None:
            return ()
        cuts = self.cuts(tensor)
        return tuple(len(cuts[axis]) if axis in cuts else size for axis, size in enumerate(tensor.shape))

    def value(self, attribute: str) -> Any:
        """What an attribute will be."""
        return self.settled[attribute] if attribute in self.settled else getattr(self.module, attribute)

    def parts_left(self, attribute: str, tensor: str, axis: int, *, rows: int | None = None) -> int:
        """How many of ``attribute`` equal parts of an axis (of its first ``rows`` positions) keep anything.

        Raises:
            GroupError: parts that stay would have different sizes.
        """
        if attribute in self.settled:
            return int(self.value(attribute))
        parts, whole = int(getattr(self.module, attribute)), self.tensor(tensor)
        kept = None if whole is None else self.cuts(whole).get(axis)
        if whole is None or kept is None or parts == 1:
            return parts
        rows = rows or whole.shape[axis]
        counts = (kept[kept < rows] // (rows // parts)).bincount(minlength=parts).tolist()
        if len({count for count in counts if count}) != 1:
            raise GroupError(
                f"{self.name!r} ({type(self.module).__name__}) has {attribute}={parts}, and of these parts {counts} "
                f"positions of {tensor!r} would stay; each part that stays must keep the same number"
            )
        return sum(1 for count in counts if count)


def _conv(s: Seen) -> dict[str, Value]:
    groups, weight = s.parts_left("groups", "weight", 0), s.shape("weight")
    return {"groups": groups, "in_channels": weight[1] * groups, "out_channels": weight[0]}


def _conv_transpose(s: Seen) -> dict[str, Value]:
    groups, weight = s.parts_left("groups", "weight", 0), s.shape("weight")
    return {"groups": groups, "in_channels": weight[0], "out_channels": weight[1] * groups}


def _group_norm(s: Seen) -> dict[str, Value]:
    return {"num_groups": s.parts_left("num_groups", "weight", 0), "num_channels": _length(s, "num_channels", "weight")}


def _length(s: Seen, attribute: str, *tensors: str) -> int:
    return next((s.shape(name)[0] for name in tensors if s.shape(name)), s.value(attribute))


def _embedding(s: Seen) -> dict[str, Value]:
    rows, width = s.shape("weight")
    weight, padding = s.tensor("weight"), s.module.padding_idx
    kept = None if weight is None else s.cuts(weight).get(0)
    if kept is None or padding is None:
        return {"num_embeddings": rows, "embedding_dim": width}
    place = torch.eq(kept, padding).nonzero()
    if not len(place):
        raise GroupError(f"the embedding {s.name!r} would lose row {padding}, its padding_idx; keep that unit")
    return {"num_embeddings": rows, "embedding_dim": width, "padding_idx": int(place)}


def _rnn(s: Seen) -> dict[str, Value]:
    sizes = {"input_size": s.shape("weight_ih_l0")[1], "hidden_size": s.shape("weight_hh_l0")[1]}
    if s.module.proj_size:
        sizes["proj_size"], sizes["hidden_size"] = s.shape("weight_hr_l0")
    return dict(sizes)


def _attention(s: Seen) -> dict[str, Value]:
    packed, old = s.tensor("in_proj_weight") is not None, s.module.num_heads * s.module.head_dim
    first = "in_proj_weight" if packed else "q_proj_weight"
    width, inner = s.shape(first)[1], s.shape("out_proj.weight")[1]
    heads = s.parts_left("num_heads", first, 0, rows=old)
    keys, values = (width, width) if packed else (s.shape("k_proj_weight")[1], s.shape("v_proj_weight")[1])
    return {"embed_dim": width, "kdim": keys, "vdim": values, "num_heads": heads, "head_dim": inner // heads}


def _rnn_shapes(s: Seen) -> dict[str, Shape]:
    hidden, out = s.value("hidden_size"), s.value("proj_size") or s.value("hidden_size")
    rows = {"LSTM": 4, "GRU": 3}.get(s.module.mode, 1) * hidden
    ways = ("", "_reverse") if s.module.bidirectional else ("",)
    shapes: dict[str, Shape] = {}
    for layer in range(s.module.num_layers):
        inputs = s.value("input_size") if layer == 0 else out * len(ways)
        for way in ways:
            end = f"_l{layer}{way}"
            shapes |= {f"weight_ih{end}": (rows, inputs), f"weight_hh{end}": (rows, out)}
            shapes |= {f"bias_ih{end}": (rows,), f"bias_hh{end}": (rows,), f"weight_hr{end}": (out, hidden)}
    return shapes


def _cell_shapes(s: Seen) -> dict[str, Shape]:
    hidden = s.value("hidden_size")
    rows = (4 if isinstance(s.module, nn.LSTMCell) else 3 if isinstance(s.module, nn.GRUCell) else 1) * hidden
    shapes: dict[str, Shape] = {"weight_ih": (rows, s.value("input_size")), "weight_hh": (rows, hidden)}
    return shapes | {"bias_ih": (rows,), "bias_hh": (rows,)}


def _attention_shapes(s: Seen) -> dict[str, Shape]:
    width, inner = s.value("embed_dim"), s.value("num_heads") * s.value("head_dim")
    shapes: dict[str, Shape] = {"in_proj_weight": (3 * inner, width), "in_proj_bias": (3 * inner,)}
    shapes |= {"q_proj_weight": (inner, width), "k_proj_weight": (inner, s.value("kdim"))}
    shapes |= {"v_proj_weight": (inner, s.value("vdim")), "bias_k": (1, 1, inner), "bias_v": (1, 1, inner)}
    return shapes | {"out_proj.weight": (s.shape("out_proj.weight")[0], inner)}  # what comes out may have another width


def _per_channel(attribute: str) -> Callable[[Seen], dict[str, Shape]]:
    names = ("weight", "bias", "running_mean", "running_var")
    return lambda s: {name: (s.value(attribute),) for name in names}


def _whole(s: Seen) -> dict[str, Shape]:
    return {name: tuple(s.value("normalized_shape")) for name in ("weight", "bias")}


# fmt: off
_LAYERS: tuple[tuple[Any, Callable[[Seen], dict[str, Value]], Callable[[Seen], dict[str, Shape]]], ...] = (
    (nn.Linear,
     lambda s: {"out_features": s.shape("weight")[0], "in_features": s.shape("weight")[1]},
     lambda s: {"weight": (s.value("out_features"), s.value("in_features")), "bias": (s.value("out_features"),)}),
    (_ConvTransposeNd, _conv_transpose,
     lambda s: {"weight": (s.value("in_channels"), s.value("out_channels") // s.value("groups"), *s.module.kernel_size),
                "bias": (s.value("out_channels"),)}),
    (_ConvNd, _conv,
     lambda s: {"weight": (s.value("out_channels"), s.value("in_channels") // s.value("groups"), *s.module.kernel_size),
                "bias": (s.value("out_channels"),)}),
    (_NormBase, lambda s: {"num_features": _length(s, "num_features", "weight", "running_mean")},
     _per_channel("num_features")),
    (nn.GroupNorm, _group_norm, _per_channel("num_channels")),
    ((nn.LayerNorm, nn.RMSNorm),
     lambda s: {"normalized_shape": s.shape("weight") or s.value("normalized_shape")}, _whole),
    ((nn.Embedding, nn.EmbeddingBag), _embedding,
     lambda s: {"weight": (s.value("num_embeddings"), s.value("embedding_dim"))}),
    (nn.PReLU, lambda s: {"num_parameters": s.shape("weight")[0]}, lambda s: {"weight": (s.value("num_parameters"),)}),
    (nn.Bilinear,
     lambda s: dict(zip(("out_features", "in1_features", "in2_features"), s.shape("weight"), strict=True)),
     lambda s: {"weight": tuple(s.value(a) for a in ("out_features", "in1_features", "in2_features")),
                "bias": (s.value("out_features"),)}),
    (nn.RNNBase, _rnn, _rnn_shapes),
    (nn.RNNCellBase, lambda s: {"input_size": s.shape("weight_ih")[1], "hidden_size": s.shape("weight_hh")[1]},
     _cell_shapes),
    (nn.MultiheadAttention, _attention, _attention_shapes),
)
# fmt: on


def resized(seen: Seen) -> dict[str, Value]:
    """The attributes of a layer that change with its tensors, after a check that they and all its tensors agree.

    Args:
        seen: the layer as it will be.

    Returns:
        The new values of attributes that change. A layer of a kind that torch does not have gives none.

    Raises:
        GroupError: the tensors would not fit each other, or an attribute that is settled would not fit them.
    """
    for kind, attributes, shapes in _LAYERS:
        if not isinstance(seen.module, kind):
            continue
        found = attributes(seen)
        for attribute, value in seen.settled.items():
            if found.get(attribute, value) != value:
                raise GroupError(
                    f"{seen.name!r} ({type(seen.module).__name__}): its tensors ask for {attribute}="
                    f"{found[attribute]}, the groups' sizes for {value}; make the groups anew from this model"
                )
        now = Seen(seen.name, seen.module, seen.cuts, {**seen.settled, **found})
        for name, wanted in shapes(now).items():
            if now.tensor(name) is not None and now.shape(name) != wanted:
                raise GroupError(
                    f"{seen.name!r} ({type(seen.module).__name__}) does not fit together after the cut: {name!r} would "
                    f"have shape {now.shape(name)}, the layer needs {wanted}; groups must cut all tensors of a layer"
                )
        return {name: value for name, value in found.items() if getattr(seen.module, name) != value}
    return {}
