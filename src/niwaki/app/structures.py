"""What moves together in a model: its channels, heads or states, and why the rest stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from ..core.errors import AddressError
from ..core.names import parameters_of
from .inspection import example_of
from .methods import groups_of
from .saved import open_model

KINDS = ("channels", "heads", "all", "states")
_SHOWN = 6


def inspect_structure(
    address: str, *, units: str, size: str | None = None, graph: bool = False, ignore: Sequence[str] = ()
) -> dict[str, Any]:
    """Take stock of what moves together.

    Args:
        address: of the model.
        units: one of `KINDS`.
        size: of one input, such as ``3x32x32``; what the model says of itself if not given.
        graph: also the groups that only a graph made of the model can lose.
        ignore: names and patterns of what stays whole.

    Returns:
        Plain data: a row per group with the tensors it lies in, and what is left out with the reason.

    Raises:
        AddressError: units of another kind.
    """
    if units not in KINDS:
        raise AddressError(f"the units {units!r} are none of {', '.join(KINDS)}")
    model = open_model(address)
    groups = groups_of(model, units, example_of(model, size, [address]), graph=graph, ignore=ignore)
    parameters = parameters_of(model)
    rows = []
    for group in groups:
        # What one unit takes with it: its share of every tensor it lies in.
        taken = sum(
            parameters[where.tensor].numel() // where.shape[where.dim] * where.index.shape[1]
            for where in group.slices
            if where.dim is not None and where.index is not None
        )
        tensors = [{"name": where.tensor, "axis": where.dim, "role": where.role} for where in group.slices]
        tensors += [{"name": where.tensor, "axis": where.dim, "role": "cut along"} for where in group.buffers]
        sizes = [f"{found.module}.{found.attribute}".lstrip(".") for found in group.sizes]
        rows.append(
            {"name": group.name, "kind": group.kind, "units": group.size, "parameters_per_unit": taken,
             "exact": group.exact, "needs_graph": group.needs_graph, "tensors": tensors, "sizes": sizes}
        )  # fmt: skip
    return {
        "model": address,
        "parameters": sum(p.numel() for p in parameters.values()),
        "groups": rows,
        "left_out": dict(getattr(groups, "left_out", {})),
    }


def show_structure(found: dict[str, Any], console: Console) -> None:
    """Print what `inspect_structure` found, as a tree of groups and a table of reasons.

    Args:
        found: the data.
        console: where to.
    """
    rows = found["groups"]
    tree = Tree(f"{escape(found['model'])}: {found['parameters']:,} parameters, {len(rows)} groups")
    for row in rows:
        marks = ("" if row["exact"] else ", not exact") + (", by a graph" if row["needs_graph"] else "")
        words = f"{row['units']} {row['kind']}s, {row['parameters_per_unit']:,} parameters each{marks}"
        branch = tree.add(f"[bold]{escape(row['name'])}[/bold]: {words}")
        for tensor in row["tensors"][:_SHOWN]:
            branch.add(
                escape(f"{tensor['name']} axis {tensor['axis']}" + (f", {tensor['role']}" if tensor["role"] else ""))
            )
        if len(row["tensors"]) > _SHOWN:
            branch.add(f"and {len(row['tensors']) - _SHOWN} more")
        for size in row["sizes"]:
            branch.add(escape(f"{size} falls along"))
    console.print(tree)
    reasons: dict[str, list[str]] = {}
    for name, why in found["left_out"].items():
        reasons.setdefault(why, []).append(name)
    table = Table("why", "tensors", "such as", title="what stays whole")
    for why, names in reasons.items():
        table.add_row(escape(why), str(len(names)), escape(", ".join(names[:3])))
    if reasons:
        console.print(table)
