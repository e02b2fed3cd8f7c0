"""Latencies of a model's layers at any width: what a cost in seconds is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..core.costs import NetworkCost
from ..core.errors import StoreError, said
from ..core.group import Group
from .environment import Environment
from .grid import Grid, grid_of
from .measuring import Lengths, Point
from .pricing import Row, dense_of, network_cost
from .table_file import FORMAT, points_as_data, points_from_data, read_json, write_json
from .widths import Forms


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """How long each layer of a model takes, measured at some widths and interpolated between them.

    Args:
        environment: where that holds.
        rows: the layers, in the order they run.
        points: what was measured, per key and lengths.
        shapes: of the model's parameters and buffers.
        whole: the measured latency of the dense model; ``None`` if it was not measured.
        overhead: what calling the operators from a model adds to the whole, in seconds; it never shrinks.
        unmeasured: layers that do not run alone or not at other lengths, with the reason: they count what they cost in
            the dense model, or nothing.
    """

    environment: Environment
    rows: tuple[Row, ...]
    points: Mapping[str, Mapping[Lengths, Point]]
    shapes: Mapping[str, tuple[int, ...]]
    whole: Point | None = None
    overhead: float = 0.0
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def grids(self) -> dict[str, Grid]:
        """The costs between the points, per key."""
        return {key: grid_of({at: p.seconds for at, p in found.items()}) for key, found in self.points.items()}

    @cached_property
    def dense_predicted(self) -> float:
        """The sum over the layers of the dense model, as they were measured alone."""
        return sum(dense_of(row, self.grids[row.key]) for row in self.rows)

    @property
    def dense_measured(self) -> float | None:
        """The latency of the dense model, measured whole."""
        return self.whole.seconds if self.whole is not None else None

    @property
    def scale(self) -> float:
        """What the layers are multiplied with, so that the dense model's prediction is the measured one."""
        if self.whole is None or not self.dense_predicted:
            return 1.0
        return (self.whole.seconds - self.overhead) / self.dense_predicted

    def cost(self, groups: Sequence[Group]) -> NetworkCost:
        """The latency of the model in seconds, as a function of how many units of these groups stay."""
        cost = network_cost(self.rows, self.grids, self.shapes, groups, self.scale)
        return replace(cost, fixed=cost.fixed + self.overhead)

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, to be read here or on another machine with `LatencyTable.read`."""
        content = {
            "format": FORMAT,
            "environment": asdict(self.environment),
            "points": points_as_data(self.points),
            "rows": [asdict(row) for row in self.rows],
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "whole": [self.whole.seconds, self.whole.spread] if self.whole is not None else None,
            "overhead": self.overhead,
            "unmeasured": dict(self.unmeasured),
        }
        write_json(Path(path), content)

    @staticmethod
    def read(path: str | Path) -> LatencyTable:
        """The table that `save` wrote.

        Args:
            path: the file.

        Returns:
            The table.

        Raises:
            StoreError: the file is missing, damaged, or something else.
        """
        data = read_json(Path(path))
        try:
            rows = tuple(
                Row(
                    row["name"],
                    row["key"],
                    tuple(row["sizes"]),
                    tuple(_forms(forms) for forms in row["forms"]),
                    int(row["groups"]),
                    tuple(_forms(forms) for forms in row["widths"]),
                )
                for row in data["rows"]
            )
            return LatencyTable(
                Environment(**data["environment"]),
                rows,
                points_from_data(data["points"]),
                {name: tuple(shape) for name, shape in data["shapes"].items()},
                Point(*map(float, data["whole"])) if data["whole"] is not None else None,
                float(data["overhead"]),
                dict(data["unmeasured"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{path} is a damaged latency table ({said(error)}); get it again, or measure anew"
            ) from error


def _forms(data: Any) -> Forms:
    return tuple(tuple((str(name), int(dim), float(each)) for name, dim, each in form) for form in data)
