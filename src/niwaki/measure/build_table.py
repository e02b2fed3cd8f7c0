"""Building a latency table: record the model once, measure each distinct layer, then the whole."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..core.errors import TrainError
from ..core.names import bare_model
from .compiled import Compiled
from .environment import Environment, cache_folder, device_of, dtype_of, this_environment
from .flops import unfused
from .folding import PRODUCTS
from .grid import points_of
from .keys import key_of
from .latency import latency
from .layer_table import LatencyTable
from .measuring import Backend, Care, Clock, Lengths, Point, Progress, Wanted, measure
from .onnx_backend import OnnxRuntime
from .pricing import Row
from .replay import Eager
from .table_checks import looked_up, warn_of_noise
from .table_file import Cache
from .tape import tape_of
from .timing import pinned
from .variables import Varied, varied

_BACKENDS: Mapping[str, Callable[[torch.device, int], Backend]] = {
    "eager": lambda device, threads: Eager(),
    "compile": lambda device, threads: Compiled(),
    "onnxruntime": OnnxRuntime,
}
_CALLING = " beyond its operators"


def runtime_of(backend: str, device: torch.device, threads: int) -> Backend:
    """What makes operators and models callable.

    Args:
        backend: its name.
        device: where.
        threads: of the CPU.

    Returns:
        The backend.

    Raises:
        TrainError: there is none of this name, or it is not installed.
    """
    if backend not in _BACKENDS:
        raise TrainError(f"there is no backend {backend!r}; choose one of {', '.join(_BACKENDS)}")
    return _BACKENDS[backend](device, threads)


def rows_of(operations: Sequence[Varied]) -> tuple[Row, ...]:
    """The operators of a model as rows of a table."""
    rows = []
    for it in operations:
        sizes, forms = tuple(v.size for v in it.variables), tuple(v.forms for v in it.variables)
        held = it.operation.held
        whole = it.groups > 1 and len(it.variables) == 2
        row = Row(it.operation.name, key_of(it), sizes, forms)
        rows.append(replace(row, groups=it.groups, widths=(held[0].forms[1], held[1].forms[0])) if whole else row)
    return tuple(rows)


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    bare = bare_model(model)
    return {name: tuple(t.shape) for name, t in [*bare.named_parameters(), *bare.named_buffers()]}


def _wanted(rows: Sequence[Row], operations: Sequence[Varied], *, coarse: bool) -> dict[str, Wanted]:
    counts, wanted = Counter(row.key for row in rows), {}
    for row, it in zip(rows, operations, strict=True):
        stepped = it.operation.kind in PRODUCTS
        points = points_of(row.sizes, [v.multiple for v in it.variables], coarse=coarse, stepped=stepped)
        wanted[row.key] = Wanted(it, counts[row.key], tuple(points))
    return wanted


def _whole(backend: Backend, model: nn.Module, example: Any, cache: Cache, code: str, clock: Clock) -> Point:
    if code not in cache.models:
        with unfused():
            found = latency(
                {"model": backend.whole(model, example)}, (), threads=cache.environment.threads, warmup=2, clock=clock
            )
        cache.models[code] = [found.rows[0].median, found.rows[0].spread]
        cache.write()
    return Point(*cache.models[code])


def latency_table(
    model: nn.Module,
    example: Any,
    *,
    backend: str = "eager",
    threads: int | None = None,
    table: LatencyTable | str | Path | None = None,
    cache: str | Path | bool = True,
    coarse: bool = False,
    care: Care | None = None,
    progress: Progress | None = None,
) -> LatencyTable:
    """Measure how long each layer of a model takes on this machine, at full and at smaller widths.

    One forward pass is recorded. Each distinct operator (with its batch, image size, kernel, type) is then timed alone
    at the crossings of a few widths, in turns with the others; what is known from earlier is taken from the cache. The
    dense model is timed whole, and predictions are scaled so that they agree with it. Warns of layers whose timings
    spread too widely to be told apart.

    Args:
        model: the model, on the device that is to be measured.
        example: what its forward takes: a tensor, a tuple of inputs, a mapping of keyword inputs. Its batch counts.
        backend: ``eager``, ``compile`` or ``onnxruntime`` (extra ``export``).
        threads: of the CPU; as many as torch has now, if not given.
        table: a table, or its file, from this or another machine: nothing is measured, the model's layers are looked
            up there. Warns where it was made on another machine or in another way.
        cache: the folder where measurements are kept; ``True`` for the user's cache folder, ``False`` for none.
        coarse: measure fewer widths.
        care: how carefully to time.
        progress: called with how many points are measured and how many there are.

    Returns:
        The table; ``table.cost(groups)`` is the latency as a function of the widths. A `TrainError` for a backend that
        does not exist and a model that does not run, a `StoreError` for a table that lacks a layer.
    """
    threads, care = threads or torch.get_num_threads(), care or Care()
    device = device_of(model, [x for x in tree_leaves(example) if isinstance(x, Tensor)])
    runtime = runtime_of(backend, device, threads)
    operations = [varied(operation) for operation in runtime.kept(tape_of(model, example))]
    rows, shapes = rows_of(operations), _shapes(model)
    here = this_environment(backend, device, threads, dtype_of(model))
    if table is not None:
        return looked_up(table if isinstance(table, LatencyTable) else LatencyTable.read(table), rows, shapes, here)
    kept = Cache(_file(cache, here), here)
    wanted = _wanted(rows, operations, coarse=coarse)
    failed = _measured(wanted, kept, runtime, device, care, progress)
    code = hashlib.sha256("\n".join(row.key for row in rows).encode()).hexdigest()[:16]
    whole = _whole(runtime, model, example, kept, code, care.clock_for(device, threads))
    points = {key: _found(want, kept.get(key), key in failed) for key, want in wanted.items()}
    good = tuple(row for row in rows if points[row.key])
    unmeasured = {row.name: failed[row.key] for row in rows if row.key in failed}
    made = LatencyTable(here, good, {row.key: points[row.key] for row in good}, shapes, whole, unmeasured=unmeasured)
    warn_of_noise(made)
    # What the whole takes beyond its operators is the calling of them, which does not shrink, and else the machine.
    beyond = max(whole.seconds - made.dense_predicted, 0.0)
    return replace(made, overhead=min(beyond, _calling(runtime, model, example, kept, code + _CALLING, care)))


def _calling(backend: Backend, model: nn.Module, example: Any, cache: Cache, code: str, care: Care) -> float:
    if code not in cache.models:
        here = cache.environment
        clock = care.clock_for(torch.device(here.device), here.threads)
        with pinned(here.threads), unfused():
            cache.models[code] = [backend.calling(model, example, clock), 0.0]
        cache.write()
    return cache.models[code][0]


def _file(cache: str | Path | bool, environment: Environment) -> Path | None:
    if cache is False:
        return None
    folder = cache_folder() if cache is True else Path(cache)
    return folder / f"{environment.code}.json"


def _measured(
    wanted: Mapping[str, Wanted],
    kept: Cache,
    backend: Backend,
    device: torch.device,
    care: Care,
    progress: Progress | None,
) -> dict[str, str]:
    try:
        with pinned(kept.environment.threads), torch.inference_mode():
            return measure(wanted, kept, backend, device=device, care=care, progress=progress)
    finally:
        kept.write()


def _found(want: Wanted, known: Mapping[Lengths, Point], has_failed: bool) -> dict[Lengths, Point]:
    # Where a smaller operator does not run, it costs what it costs in the dense model.
    points = want.points[:1] if has_failed else want.points
    return {at: known[at] for at in points if at in known}
