"""The latency of one smaller model: asked, predicted and measured, layer by layer, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..charts.axes import Axis
from ..charts.heat import LEVELS, bounds
from ..charts.rows import RowChart, Value, draw_rows
from ..charts.surface import SurfaceChart, draw_surface
from ..document import Cell, Figure, Group, Namer, Section, Table, cells, drawn, heat_keys, point_keys, sentence
from ..latencies import Latency, Shape
from ..readable import UNKNOWN, counted, listed, moment, plain, share

_NAMES = "latency", "Latency", "How long it takes"
_MOST_LAYERS = 120
_MOST_SHAPES = 9
_MS = 1e3


def latency_section(found: Latency, name: Namer) -> Section:
    """The latency of one model against its dense one.

    Args:
        found: what was measured.
        name: gives figures their names.

    Returns:
        The section.
    """
    figures = [figure for figure in (_compared(found, name), _layers(found, name)) if figure is not None]
    groups = [Group("", figures)] if figures else []
    shapes = sorted(found.table, key=lambda shape: -float(shape.seconds.max()) * max(1, len(shape.layers)))
    if shapes:
        heading = "What a layer of each shape takes, by its widths"
        groups.append(Group(heading, [_surface(shape, name) for shape in shapes[:_MOST_SHAPES]]))
    notes = [f"Measured with {found.where}.", *(f"{sentence(note)}." for note in found.notes)]
    if len(shapes) > _MOST_SHAPES:
        notes.append(f"Drawn are the {_MOST_SHAPES} of {len(shapes)} shapes that take longest.")
    return Section(*_NAMES, lead=in_words(found), groups=groups, tables=[_facts(found)], notes=notes)


def in_words(found: Latency) -> str:
    """Faster or not, in a sentence.

    Args:
        found: what was measured.

    Returns:
        The sentence; no gain is said plainly.
    """
    if found.ratio is None:
        return "The latency was predicted, but not measured."
    before, after = moment(found.dense.measured), moment(found.small.measured)
    words = f"{before} before, {after} now: {plain(found.ratio)} of it"
    words += (
        f" (95\N{NO-BREAK SPACE}% interval {plain(found.low)} to {plain(found.high)})."
        if found.low is not None
        else "."
    )
    if found.high is not None and found.high >= 1:
        words += " No gain here."
    elif found.asked is not None and found.low is not None and found.low > found.asked:
        words += f" That is more than the {plain(found.asked)} asked for."
    return words


def _facts(found: Latency) -> Table:
    def row(words: str, seconds: float | None, ratio: float | None, below: str = "") -> list[Cell]:
        return [Cell(words), Cell(moment(seconds)), Cell("" if ratio is None else plain(ratio), below)]

    dense, small = found.dense, found.small
    predicted = _over(small.predicted, dense.predicted)
    interval = "" if found.low is None else f"{plain(found.low)} to {plain(found.high)}"
    rows = [row("dense, measured", dense.measured, None), row("dense, predicted", dense.predicted, None)]
    rows += [row("asked", found.target, found.asked), row("predicted", small.predicted, predicted)]
    rows.append(row("measured", small.measured, found.ratio, interval))
    rows = [one for one in rows if one[1].words != UNKNOWN or one[2].words]
    return Table("Asked, predicted and measured", ["", "seconds", "share"], rows)


def _over(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else value / whole


def _compared(found: Latency, name: Namer) -> Figure | None:
    """Predicted beside measured, for both models, and what was asked."""
    rows: list[tuple[str, list[Value]]] = []
    for words, model in (("dense", found.dense), ("smaller", found.small)):
        marks = [] if model.predicted is None else [_mark("predicted", model.predicted, None, 3)]
        if model.measured is not None:
            apart = model.measured * (model.spread or 0) / 2
            marks.append(_mark("measured", model.measured, 0, 0, apart))
        if marks:
            rows.append((words, marks))
    if found.target is not None and rows:
        rows.insert(1, ("asked", [_mark("asked", found.target, 1, 2)]))
    if not rows:
        return None
    words = "; ".join(f"{row}: {listed([f'{m.name} {plain(m.value)} ms' for m in marks])}" for row, marks in rows)
    chart = RowChart("Predicted and measured latency", words, rows, Axis("milliseconds", plain, low=0.0))
    keys = [("predicted from the table", None, 3), ("measured", 0, 0), ("asked", 1, 2)]
    shown = {mark.mark for _, marks in rows for mark in marks}
    caption = "The lines reach over the middle half of all rounds; both models ran in turns."
    ident = name()
    drawings = drawn(partial(draw_rows, chart), ident, half=False)
    keys_shown = point_keys(key for key in keys if key[2] in shown)
    return Figure(ident, drawings, caption, keys_shown, None, "Predicted and measured")


def _mark(name: str, seconds: float, tone: int | None, mark: int, apart: float = 0.0) -> Value:
    value = _MS * seconds
    return Value(name, value, value - _MS * apart, value + _MS * apart, tone, mark)


def _layers(found: Latency, name: Namer) -> Figure | None:
    """Every layer before and after, as the table predicts them."""
    if not found.layers:
        return None
    shown = found.layers[:_MOST_LAYERS]
    rows = [(layer, [_mark("before", a, 0, 0), _mark("after", b, 1, 0)]) for layer, a, b in shown]
    before, after = (sum(layer[at] for layer in found.layers) for at in (1, 2))  # type: ignore[misc]
    words = f"{counted(len(found.layers), 'layer')}: {moment(before)} before, {moment(after)} after"
    chart = RowChart("Time per layer", words, rows, Axis("milliseconds", plain, low=0.0))
    caption = f"What the table says of each layer. All together: {moment(before)} before, {moment(after)} after."
    if len(shown) < len(found.layers):
        caption += f" The first {_MOST_LAYERS} of {len(found.layers)}; the table has all."
    body = [cells(layer, moment(a), moment(b), share(b / a) if a else "") for layer, a, b in found.layers]
    table = Table("Time per layer", ["layer", "before", "after", "share"], body, is_long=True)
    ident = name()
    drawings = drawn(partial(draw_rows, chart), ident, half=False)
    keys = point_keys([("before", 0, 0), ("after", 1, 0)])
    return Figure(ident, drawings, caption, keys, table, "Time per layer")


def _surface(shape: Shape, name: Namer) -> Figure:
    low, high = bounds(shape.seconds)
    words = f"{listed(list(shape.layers), most=3)}: {moment(low)} to {moment(high)}" if shape.layers else shape.key
    chart = SurfaceChart(shape.title, words, shape.inputs, shape.outputs, shape.seconds, moment)
    ident = name()
    drawings = drawn(partial(draw_surface, chart), ident, half=True)
    keys = heat_keys(moment(low), moment(high), LEVELS)
    caption = listed(list(shape.layers), most=3) if shape.layers else ""
    return Figure(ident, drawings, caption, keys, _numbers(shape), shape.title, is_half=True)


def _numbers(shape: Shape) -> Table:
    columns = ["inputs" if shape.inputs else "", *(f"{n:,} outputs" for n in shape.outputs)]
    names: Sequence[int | str] = shape.inputs or ("seconds",)
    body = [
        cells(f"{name:,}" if isinstance(name, int) else name, *(moment(float(value)) for value in row))
        for name, row in zip(names, shape.seconds, strict=True)
    ]
    return Table(f"{shape.key}: seconds", columns, body)
