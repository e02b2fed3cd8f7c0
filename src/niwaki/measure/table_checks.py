"""Whether a latency table fits: its machine, its layers, its noise."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..core.errors import StoreError
from .environment import Environment, differences
from .layer_table import LatencyTable
from .pricing import Row

_NOISY = 0.25
_MATTERS = 0.01


def looked_up(
    table: LatencyTable, rows: Sequence[Row], shapes: Mapping[str, tuple[int, ...]], here: Environment
) -> LatencyTable:
    """The table of a model whose layers were measured earlier or elsewhere.

    Args:
        table: what was measured.
        rows: the model's layers.
        shapes: of its parameters and buffers.
        here: how it would be measured here.

    Returns:
        The table of this model, with the scale of the other one if that has the same layers.

    Raises:
        StoreError: a layer that it does not have.
    """
    other = differences(table.environment, here)
    if other:
        warnings.warn(
            f"this latency table was made for {'; '.join(other)}; its costs hold there, not here",
            UserWarning,
            stacklevel=3,
        )
    kept = tuple(row for row in rows if row.name not in table.unmeasured or row.key in table.points)
    missing = [row for row in kept if row.key not in table.points]
    if missing:
        raise StoreError(
            f"the latency table has no layer like {missing[0].name!r} ({len(missing)} of {len(rows)} are missing); its "
            f"key is {missing[0].key!r}; measure it where the table was made"
        )
    same = [row.key for row in kept] == [row.key for row in table.rows]
    points = {row.key: table.points[row.key] for row in kept}
    bare = LatencyTable(table.environment, kept, points, shapes, unmeasured=table.unmeasured)
    return replace(bare, whole=table.whole, overhead=table.overhead) if same else bare


def warn_of_noise(table: LatencyTable) -> None:
    """Warn of layers that matter and whose timings spread too widely to rank widths by them."""
    noisy: dict[str, float] = {}
    total = table.dense_predicted
    for row in table.rows:
        found = table.points[row.key]
        spread = max((p.spread for p in found.values() if p.seconds >= _MATTERS * total), default=0.0)
        if spread > _NOISY:
            noisy[row.name] = spread
    if noisy:
        worst = sorted(noisy, key=lambda name: -noisy[name])[:5]
        named = ", ".join(f"{name} ({noisy[name]:.0%})" for name in worst)
        layers = "layer" if len(noisy) == 1 else "layers"
        alone = ", or with one thread" if table.environment.threads > 1 else ""
        warnings.warn(
            f"the timings of {len(noisy)} {layers} are too noisy to rank widths, by the spread between quartiles: "
            f"{named}; measure again when the machine is quiet{alone}",
            UserWarning,
            stacklevel=3,
        )
