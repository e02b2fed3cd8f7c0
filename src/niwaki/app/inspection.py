"""What a model is made of, and what would stay of each layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ..core.contracts import Allocator
from ..core.errors import AddressError
from ..core.gates import counts_of
from ..core.group import Group
from ..core.names import parameters_of
from ..core.signals import Signals
from ..criteria import Magnitude
from ..measure.flops import count_flops
from .methods import allocator_named, groups_of
from .origin import recorded_size
from .saved import open_model


def example_of(model: nn.Module, size: str | None, texts: Sequence[str]) -> Tensor | None:
    """One input of the size asked for, else of the size its folder tells, else of that the model says it wants.

    Args:
        model: the model.
        size: such as ``3x32x32``.
        texts: addresses and folders, of this model and of those it is compared with.

    Returns:
        A batch of one, or nothing where nobody says.

    Raises:
        AddressError: a size of another form.
    """
    size = size or recorded_size(texts)
    if size is not None:
        if not re.fullmatch(r"\d+(x\d+)*", size) or "0" in size.split("x"):
            raise AddressError(f"the input size {size!r} needs the form 3x32x32: channels, height, width")
        return torch.zeros(1, *map(int, size.split("x")))
    usual = getattr(model, "default_cfg", None)
    if isinstance(usual, dict) and "input_size" in usual:
        return torch.zeros(1, *usual["input_size"])
    example = getattr(model, "example", None)
    return example() if callable(example) else None


def _macs(model: nn.Module, example: Tensor | None) -> tuple[dict[str, int], int | None, list[str]]:
    # Per tensor, in all, and the operators that could not be counted.
    if example is None:
        return {}, None, []
    flops = count_flops(model.eval(), (example,))
    return {name: round(f / 2) for name, f in flops.per_tensor.items()}, round(flops.total / 2), list(flops.uncounted)


def _kept(
    groups: Sequence[Group], parameters: Mapping[str, nn.Parameter], allocator: Allocator, density: float
) -> dict[str, int]:
    signals = Signals({"weight": {name: p.detach() for name, p in parameters.items()}})
    scores = {group.name: Magnitude()(group, signals) for group in groups}
    return counts_of(allocator(groups, scores, density))


def inspect_model(
    address: str,
    *,
    density: float | None = None,
    allocator: str = "erk",
    size: str | None = None,
    units: str = "weights",
    ignore: Sequence[str] = (),
) -> dict[str, Any]:
    """Take stock of a model.

    Args:
        address: of the model.
        density: what would stay, if given.
        allocator: how that would be shared out among the layers; all magnitudes ranked together for ``global``.
        size: of one input, such as ``3x32x32``; what the model says of itself if not given.
        units: what would be pruned: ``weights``, ``4x4``, ``2:4``.
        ignore: names and patterns of what stays whole.

    Returns:
        Plain data: totals, a row per layer, and what is left out with the reason.
    """
    model = open_model(address)
    groups = groups_of(model, units, ignore=ignore)
    parameters = parameters_of(model)
    total = sum(p.numel() for p in parameters.values())
    not_zero = {name: int(p.count_nonzero()) for name, p in parameters.items()}
    macs, all_macs, uncounted = _macs(model, example_of(model, size, [address]))
    kept = {} if density is None else _kept(groups, parameters, allocator_named(allocator), density)
    layers = []
    for group in groups:
        name = group.slices[0].tensor
        count = parameters[name].numel()
        row: dict[str, Any] = {"name": group.name, "shape": list(parameters[name].shape), "units": group.size}
        row |= {"parameters": count, "share": count / total, "macs": macs.get(name)}
        row["not_zero"] = not_zero[name]
        if density is not None:
            row |= {"kept": kept[group.name], "density": kept[group.name] / group.size}
        layers.append(row)
    return {
        "model": address,
        "parameters": total,
        "not_zero": sum(not_zero.values()),
        "prunable": sum(row["parameters"] for row in layers),
        "macs": all_macs,
        "density": None if density is None else sum(kept.values()) / sum(group.size for group in groups),
        "layers": layers,
        "left_out": dict(getattr(groups, "left_out", {})),
        "uncounted": uncounted,
    }


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def show(found: dict[str, Any], console: Console) -> None:
    """Print what `inspect_model` found.

    Args:
        found: the data.
        console: where to.
    """
    has_density = found["density"] is not None
    has_zeros = any(row["not_zero"] < row["parameters"] for row in found["layers"])
    columns = ["layer", "shape", "parameters", *(["not zero"] if has_zeros else []), "share", "MACs"]
    columns += ["stays", "density"] if has_density else []
    zeros = f" ({found['not_zero']:,} not zero)" if has_zeros else ""
    words = f"{found['parameters']:,} parameters{zeros}, {_count(found['macs'])} MACs an input"
    table = Table(title=f"{found['model']}: {words}")
    for column in columns:
        table.add_column(column, justify="left" if column in {"layer", "shape"} else "right", no_wrap=column == "layer")
    for row in found["layers"]:
        shape = " x ".join(map(str, row["shape"]))
        left = [f"{row['not_zero']:,} ({row['not_zero'] / row['parameters']:.1%})"] if has_zeros else []
        cells = [row["name"], shape, f"{row['parameters']:,}", *left, f"{row['share']:.1%}", _count(row["macs"])]
        table.add_row(*cells, *([f"{row['kept']:,}", f"{row['density']:.2%}"] if has_density else []))
    console.print(table)
    if has_density:
        units = sum(row["units"] for row in found["layers"])
        kept = sum(row["kept"] for row in found["layers"])
        console.print(f"{kept:,} of {units:,} units would stay: density {found['density']:.2%}")
    if found["macs"] is None:
        console.print("MACs are unknown without an input; give its size: --input 3x32x32")
    if found["uncounted"]:
        console.print(f"not counted in the MACs: {', '.join(found['uncounted'])}")
    reasons: dict[str, list[str]] = {}
    for name, why in found["left_out"].items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        console.print(f"left out: {', '.join(names[:3])}{more}: {why}", highlight=False, markup=False)
