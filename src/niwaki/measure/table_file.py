"""Measured points on the disk: one file per environment, written whole or not at all, as the points come."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.errors import StoreError
from .environment import Environment
from .measuring import Lengths, Point

FORMAT = "niwaki latency table, 2"

Points = dict[str, dict[Lengths, Point]]


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a file in one step: afterwards it holds all of this, or what it held before.

    Args:
        path: the file; its folder is made if it does not exist.
        data: plain data.

    Raises:
        StoreError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w") as file:
            json.dump(data, file, indent=0)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror or error}; choose another place") from error


def points_as_data(points: Mapping[str, Mapping[Lengths, Point]]) -> dict[str, list[list[Any]]]:
    """Points as plain data: per key rows of ``[lengths, seconds, spread]``."""
    return {key: [[list(at), p.seconds, p.spread] for at, p in found.items()] for key, found in points.items()}


def points_from_data(data: Mapping[str, Any]) -> Points:
    """The points that `points_as_data` described."""
    return {
        str(key): {tuple(int(n) for n in at): Point(float(seconds), float(spread)) for at, seconds, spread in rows}
        for key, rows in data.items()
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a table's file.

    Args:
        path: the file.

    Returns:
        What it holds.

    Raises:
        StoreError: it is missing, damaged, or something else.
    """
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise StoreError(f"there is no latency table {path}; LatencyTable.save writes one") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read as a latency table ({error}); measure it anew") from error
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise StoreError(f"{path} is not a latency table: its format is {found!r}, not {FORMAT!r}")
    return dict(data)


class Cache:
    """The points known in one environment, and the file they are kept in.

    Args:
        path: of the file; ``None`` keeps nothing.
        environment: where the points hold; a file of another one is refused.
        every: seconds between two writes.
        clock: gives seconds.
    """

    def __init__(
        self,
        path: Path | None,
        environment: Environment,
        *,
        every: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self.environment, self.every, self.clock = path, environment, every, clock
        self.points: Points = {}
        self.models: dict[str, list[float]] = {}
        self._written = clock()
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            data = read_json(path)
            if data["environment"] != asdict(self.environment):
                raise StoreError(f"{path} was measured in another environment")
            self.points, self.models = points_from_data(data["points"]), dict(data["models"])
        except (StoreError, KeyError, TypeError, ValueError, AttributeError) as error:
            # What can be measured again is no loss; what is damaged would give wrong costs.
            self.points, self.models = {}, {}
            why = " ".join(str(error).split())
            warnings.warn(f"{path} is passed over and will be measured anew: {why}", UserWarning, stacklevel=4)

    def get(self, key: str) -> Mapping[Lengths, Point]:
        """What is known of one operator."""
        return self.points.get(key, {})

    def put(self, key: str, lengths: Lengths, point: Point) -> None:
        """Keep one more point; it is on the disk within seconds."""
        self.points.setdefault(key, {})[lengths] = point
        if self.clock() - self._written >= self.every:
            self.write()

    def write(self) -> None:
        """Put everything on the disk now."""
        self._written = self.clock()
        if self.path is not None:
            content = {"points": points_as_data(self.points), "models": self.models}
            write_json(self.path, {"format": FORMAT, "environment": asdict(self.environment), **content})
