"""The training run behind ``niwaki train``: settings in, a run folder out."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor

from ..core.errors import StoreError
from ..core.gates import counts_of
from ..core.group import gather
from ..core.widest import widest
from ..measure import LatencyTable
from ..measure.timing import pinned
from ..store import load_training, save_training
from ..store.checkpoint import HEADER
from .assemble import Parts, assemble, rate, versions
from .delivery import deliver, write_table
from .evaluation import evaluate, laid_out, loss_of
from .folder import (
    CONFIG,
    LEDGER,
    METRICS,
    RESULT,
    TABLE,
    VERSIONS,
    Metrics,
    clear_folder,
    held,
    open_folder,
    read_json,
    sweep_folder,
    write_json,
)
from .origin import origin_of, write_origin
from .precision import precise, slow_precision
from .progress import Shown, Silent
from .settings import Settings, as_config, from_config


@dataclass
class _Position:
    """Where a run stands: steps done, seconds spent, moves written down, accuracy on the part held out."""

    step: int = 0
    seconds: float = 0.0
    moves: int = 0
    accuracy: float | None = None


@contextmanager
def _asked_to_stop() -> Generator[threading.Event, None, None]:
    """The first Ctrl-C only asks, so that the step under way comes to its end; the second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def train(
    settings: Settings, out: Path, *, overwrite: bool = False, progress: Shown | None = None, command: str = ""
) -> dict[str, Any]:
    """Train, and write a run folder.

    Ctrl-C writes a checkpoint and gives a `KeyboardInterrupt` that says how to go on.

    Args:
        settings: what to do.
        out: the folder; it must be empty, unless ``overwrite``.
        overwrite: replace the run in it.
        progress: shows where the run stands.
        command: how the run was started, for the record.

    Returns:
        What ``result.json`` holds.
    """
    open_folder(out, resume=False, overwrite=overwrite)
    with pinned(settings.threads):
        shown = progress or Silent()
        parts = assemble(settings, shown)
        with held(out):
            clear_folder(out)  # not before everything else has been found in order
            return _begin(parts, out, shown, command)


def resume(out: Path, given: Mapping[str, Any], *, progress: Shown | None = None, command: str = "") -> dict[str, Any]:
    """Go on with the run in a folder, from its last checkpoint, to the very result it would have had.

    A run that was stopped before its first checkpoint, or before it wrote anything, starts from the beginning.

    Args:
        out: the run folder.
        given: settings; those of the run in the folder may be left out, and may not differ.
        progress: shows where the run stands.
        command: how the run was started, for the record of one that starts from the beginning.

    Returns:
        What ``result.json`` holds.

    Raises:
        StoreError: there is no run, or its files are damaged.
    """
    progress = progress or Silent()
    config = open_folder(out, resume=True, overwrite=False)
    if config is None and not {"model", "data"} <= given.keys():
        raise StoreError(
            f"there is no run in {out} to go on with; check the folder, or give model and data to begin one"
        )
    settings = Settings(**given) if config is None else from_config(config, given, str(out))
    with pinned(settings.threads):
        parts = assemble(settings, progress, table=_table_of(out, settings))
        with held(out):
            sweep_folder(out)
            if config is None or not (out / HEADER).exists():
                return _begin(parts, out, progress, str((config or {}).get("command", command)))
            with parts.sparsifier.whole():
                extra = load_training(out, model=parts.model, optimizer=parts.optimizer, sparsifier=parts.sparsifier)
            _tell_changes(out, parts, progress)
            return _run(parts, out, _Position(**extra["position"]), extra["lines"], progress)


def _table_of(out: Path, settings: Settings) -> LatencyTable | None:
    """The table that the run was planned by; ``None`` for one that needs none, or was stopped before it had one."""
    needed = settings.latency is not None and ((out / TABLE).exists() or (out / HEADER).exists())
    return LatencyTable.read(out / TABLE) if needed else None


def _tell_changes(out: Path, parts: Parts, progress: Shown) -> None:
    before, now = read_json(out / VERSIONS), versions(parts.device)
    changed = [f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]]
    if changed:
        progress.note(f"not as when the run began, so the last bits may differ: {'; '.join(changed)}")


def _begin(parts: Parts, out: Path, progress: Shown, command: str) -> dict[str, Any]:
    settings = replace(parts.settings, density=1.0) if parts.settings.method == "dense" else parts.settings
    config = as_config(settings, steps=parts.steps, per_epoch=parts.batches.per_epoch, command=command)
    write_json(out / CONFIG, config)  # the first file: whatever is there after a kill, the run can go on
    write_json(out / VERSIONS, versions(parts.device))
    write_origin(out, origin_of(settings.model, parts.data, parts.batches.at(0)[0]))
    write_table(parts, out)
    return _run(parts, out, _Position(), 0, progress)


def _run(parts: Parts, out: Path, position: _Position, lines: int, progress: Shown) -> dict[str, Any]:
    inputs = laid_out(parts.batches.at(0)[0][:8], parts.settings.channels_last)
    if (slow := slow_precision(parts.model, inputs, parts.settings.precision)) is not None:
        progress.note(slow)
    progress.begin(out.name, parts.steps, position.step)
    with Metrics(out / METRICS, lines) as metrics, _asked_to_stop() as stop:
        _loop(parts, out, position, metrics, progress, stop)
    with parts.sparsifier.whole():
        result = _result(parts, position)
        write_json(out / LEDGER, parts.sparsifier.ledger.as_dict())
        write_json(out / RESULT, result)  # what cannot be delivered must not take the result with it
        delivered = deliver(parts, out)
    if delivered:
        result |= delivered
        write_json(out / RESULT, result)
    return result


def _loop(
    parts: Parts, out: Path, position: _Position, metrics: Metrics, progress: Shown, stop: threading.Event
) -> None:
    model, optimizer, sparsifier, settings = parts.model, parts.optimizer, parts.sparsifier, parts.settings
    begun = time.perf_counter() - position.seconds
    while position.step < parts.steps:
        x, y = parts.batches.at(position.step)
        for group in optimizer.param_groups:
            group["lr"] = rate(settings, position.step, parts.steps)
        stage = sparsifier.stage
        optimizer.zero_grad(set_to_none=True)
        with precise(parts.device, settings.precision):
            loss = loss_of(model(laid_out(x, settings.channels_last)), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        position.step += 1
        position.seconds = time.perf_counter() - begun

        facts = _log(parts, position, metrics, loss, stage)
        if position.step % parts.evaluate_every == 0 or position.step == parts.steps:
            facts |= _evaluate(parts, position, metrics)
        progress.step(position.step, facts)
        if stop.is_set() or position.step % parts.checkpoint_every == 0 or position.step == parts.steps:
            _checkpoint(parts, out, position, metrics)
        if stop.is_set() and position.step < parts.steps:
            raise KeyboardInterrupt(
                f"stopped after step {position.step} of {parts.steps}; go on with: niwaki train --out {out} --resume"
            )


def _log(parts: Parts, position: _Position, metrics: Metrics, loss: Tensor, stage: str) -> dict[str, str]:
    history = parts.sparsifier.history
    for record in history[position.moves :]:
        metrics.write({"kind": "move", **record})
    position.moves = len(history)
    if position.step != 1 and position.step % parts.log_every:
        return {}
    value, density = float(loss.detach()), parts.sparsifier.density
    metrics.write({
        "kind": "train", "step": position.step, "loss": value, "stage": stage, "density": density,
        "lr": parts.optimizer.param_groups[0]["lr"], "seconds": round(position.seconds, 3),
    })  # fmt: skip
    return {"stage": stage, "density": f"{density:.1%}", "loss": f"{value:.3f}"}


def _evaluate(parts: Parts, position: _Position, metrics: Metrics) -> dict[str, str]:
    accuracy, loss = _score(parts, parts.data.valid)
    position.accuracy = accuracy
    metrics.write({
        "kind": "eval", "step": position.step, "accuracy": accuracy, "loss": loss,
        "flops": parts.sparsifier.ledger.flops, "seconds": round(position.seconds, 3),
        "density": parts.sparsifier.density, "part": "valid",
    })  # fmt: skip
    return {"accuracy": f"{accuracy:.1%}"}


def _score(parts: Parts, part: tuple[Tensor, Tensor]) -> tuple[float, float]:
    settings = parts.settings
    with parts.sparsifier.pruned():
        return evaluate(
            parts.model, parts.data, part, precision=settings.precision, channels_last=settings.channels_last
        )


def _checkpoint(parts: Parts, out: Path, position: _Position, metrics: Metrics) -> None:
    metrics.sync()  # the checkpoint counts these lines, so they must be on the disk before it is
    extra = {"position": asdict(position), "lines": metrics.lines}
    with parts.sparsifier.whole():  # a checkpoint has the dense shapes, also of a model that is smaller for now
        save_training(out, model=parts.model, optimizer=parts.optimizer, sparsifier=parts.sparsifier, extra=extra)


def _result(parts: Parts, position: _Position) -> dict[str, Any]:
    sparsifier, masks = parts.sparsifier, parts.sparsifier.masks()
    accuracy, loss = _score(parts, parts.data.test)
    where = {group.name: group.slices[0] for group in sparsifier.groups}
    return {
        "accuracy": accuracy,
        "loss": loss,
        "valid_accuracy": position.accuracy,
        "density": sparsifier.density,
        "steps": position.step,
        "flops": sparsifier.ledger.flops,
        "dense_runs": sparsifier.ledger.dense_runs(),
        "seconds": round(position.seconds, 3),
        "densities": {
            name: float(widest(gather(slice_, masks[slice_.tensor]).any(1)).mean()) for name, slice_ in where.items()
        },
        "weights_kept": sum(counts_of(masks).values()),
        "weights_total": sum(mask.numel() for mask in masks.values()),
    }
