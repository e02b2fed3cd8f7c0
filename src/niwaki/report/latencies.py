"""What a result says of latency: asked, predicted, measured, layer by layer, and the table it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .read import Record, number, text
from .readable import counted
from .series import Array


@dataclass(frozen=True)
class Model:
    """Seconds of one model: what the table predicted and what was measured, with the quartiles' distance over that."""

    predicted: float | None
    measured: float | None
    spread: float | None


@dataclass(frozen=True, eq=False)
class Shape:
    """What layers of one shape take: seconds ``[inputs, outputs]``; a layer of one width has no inputs."""

    key: str
    layers: tuple[str, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    seconds: Array

    @property
    def title(self) -> str:
        """The kind of layer and its full widths; the whole key, which is long, stands above the numbers."""
        if "(" not in self.key:
            return self.key
        widths = [f"{axis[-1]:,}" for axis in (self.inputs, self.outputs) if axis]
        return f"{self.key.partition('(')[0].replace('_', ' ')}, {' to '.join(widths)}"


@dataclass(frozen=True, eq=False)
class Latency:
    """Both models in seconds, measured in turns; ``ratio`` with the ends of its 95 % interval.

    ``where`` tells settings apart that must not be mixed: backend, threads, batch, number type and machine.
    """

    where: str
    backend: str
    asked: float | None
    target: float | None
    dense: Model
    small: Model
    ratio: float | None
    low: float | None
    high: float | None
    layers: tuple[tuple[str, float, float], ...]
    table: tuple[Shape, ...]
    notes: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """The setting without number type and machine."""
        return ", ".join(self.where.split(", ")[:3])


def latency_of(result: Record | None) -> Latency | None:
    """The latency in a result; nothing where it was not measured.

    Args:
        result: what ``result.json`` holds.

    Returns:
        The latency, or ``None``. What is missing in it is ``None`` or left out.
    """
    found = None if result is None else result.get("latency")
    if not isinstance(found, Mapping):
        return None
    dense, small = (_record(found, name) for name in ("dense", "small"))
    layers = [(text(row, "name"), number(row, "dense"), number(row, "small")) for row in _rows(found, "layers")]
    shapes = [shape for row in _rows(found, "table") if (shape := _shape(row)) is not None]
    return Latency(
        _where(found),
        text(found, "backend"),
        number(found, "asked"),
        number(found, "target_seconds"),
        _model(dense),
        _model(small),
        number(small, "ratio"),
        number(small, "low"),
        number(small, "high"),
        tuple((name, a, b) for name, a, b in layers if a is not None and b is not None),
        tuple(shapes),
        tuple(map(str, found.get("notes") or ())),
    )


def _model(found: Mapping[str, Any]) -> Model:
    return Model(number(found, "predicted"), number(found, "measured"), number(found, "spread"))


def _record(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = found.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _rows(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = found.get(name)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []


def _where(found: Mapping[str, Any]) -> str:
    words = [text(found, "backend")]
    for key, noun in (("threads", "thread"), ("batch", "batch")):
        value = number(found, key)
        if value is not None:
            words.append(counted(round(value), noun) if key == "threads" else f"batch {value:.0f}")
    return ", ".join([*words, *(text(found, key, "") for key in ("dtype", "machine"))])


def _shape(row: Mapping[str, Any]) -> Shape | None:
    inputs, outputs = (_widths(row, key) for key in ("inputs", "outputs"))
    try:
        seconds = np.array(row.get("seconds"), dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if not outputs or seconds.shape != (max(1, len(inputs)), len(outputs)) or not np.isfinite(seconds).all():
        return None
    names: Sequence[Any] = row.get("layers") or ()
    return Shape(text(row, "key"), tuple(map(str, names)), inputs, outputs, seconds)


def _widths(row: Mapping[str, Any], key: str) -> tuple[int, ...]:
    found = row.get(key)
    return tuple(int(n) for n in found if isinstance(n, int | float)) if isinstance(found, list | tuple) else ()
