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
from .environment import Environment, cache_folder, device_of, this_environment
from .flops import unfused
from .keys import key_of
from .latency import latency
from .layer_table import LatencyTable
from .measuring import Backend, Care, Clock, Point, Progress, Wanted, measure
from .onnx_backend import OnnxRuntime
from .pricing import Row
from .replay import Eager
from .table_file import Cache
from .tape import tape_of
from .variables import Varied, varied

_BACKENDS: Mapping[str, Callable[[torch.device, int], Backend]] = {
    "eager": lambda device, threads: Eager(),
    "onnxruntime": OnnxRuntime,
}


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
    cache: str | Path | bool = True,
    coarse: bool = False,
    care: Care | None = None,
    progress: Progress | None = None,
) -> LatencyTable:
    """Measure how long each layer of a model takes on this machine, at full and at smaller widths.

    One forward pass is recorded. Each distinct operator (with its batch, image size, kernel, type) is then timed alone
    at the crossings of a few widths, in turns with the others; what is known from earlier is taken from the cache. The
    dense model is timed whole, and predictions are scaled so that they agree with it.

    Args:
        model: the model, on the device that is to be measured.
        example: what its forward takes: a tensor, a tuple of inputs, a mapping of keyword inputs. Its batch counts.
        backend: ``eager`` or ``onnxruntime`` (extra ``export``).
        threads: of the CPU; as many as torch has now, if not given.
        cache: the folder where measurements are kept; ``True`` for the user's cache folder, ``False`` for none.
        coarse: measure fewer widths.
        care: how carefully to time.
        progress: called with how many points are measured and how many there are.

    Returns:
        The table; ``table.cost(groups)`` is the latency as a function of the widths.

    Raises:
        TrainError: a backend that does not exist, or a model that does not run on the example.
    """
    if backend not in _BACKENDS:
        raise TrainError(f"there is no backend {backend!r}; choose one of {', '.join(_BACKENDS)}")
    threads, care = threads or torch.get_num_threads(), care or Care()
    device = device_of(model, [x for x in tree_leaves(example) if isinstance(x, Tensor)])
    runtime = _BACKENDS[backend](device, threads)
    operations = [varied(operation) for operation in runtime.kept(tape_of(model, example))]
    rows = rows_of(operations)
    dtype = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
    kept = Cache(_file(cache, env := this_environment(backend, device, threads, dtype)), env)
    counts = Counter(row.key for row in rows)
    wanted = {row.key: Wanted(it, counts[row.key]) for row, it in zip(rows, operations, strict=True)}
    failed = _measured(wanted, kept, runtime, device, care, coarse=coarse, progress=progress)
    code = hashlib.sha256("\n".join(row.key for row in rows).encode()).hexdigest()[:16]
    whole = _whole(runtime, model, example, kept, code, care.clock_for(device, threads))
    return _assembled(kept, rows, failed, _shapes(model), whole)


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
    *,
    coarse: bool,
    progress: Progress | None,
) -> dict[str, str]:
    before = torch.get_num_threads()
    torch.set_num_threads(kept.environment.threads)
    try:
        with torch.inference_mode():
            return measure(wanted, kept, backend, device=device, care=care, coarse=coarse, progress=progress)
    finally:
        torch.set_num_threads(before)
        kept.write()


def _assembled(
    kept: Cache, rows: Sequence[Row], failed: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], whole: Point
) -> LatencyTable:
    points, unmeasured, good = {}, {}, []
    for row in rows:
        found = dict(kept.get(row.key))
        if row.key in failed:
            unmeasured[row.name] = failed[row.key]
            found = {at: point for at, point in found.items() if at == row.sizes}
        if found:
            points[row.key] = found
            good.append(row)
    return LatencyTable(kept.environment, tuple(good), points, shapes, whole, unmeasured)
