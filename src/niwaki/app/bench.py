"""Which of several models is faster on this machine, and whether that can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from ..core.errors import AddressError, said
from ..measure import Timing, skip_zeros
from ..signals.forward import evaluating
from .assemble import device_named
from .backends import BACKENDS, check_backend, time_models
from .inspection import example_of
from .origin import read_origin
from .saved import is_address, open_model

SPARSE = "sparse"


def _names(texts: Sequence[str]) -> list[str]:
    # The same model twice is a fair question, and its answer shows what the machine can tell.
    return [text if texts.count(text) == 1 else f"{text} #{texts[: i + 1].count(text)}" for i, text in enumerate(texts)]


def _inputs(models: Mapping[str, nn.Module], texts: Sequence[str], size: str | None, batch: int) -> Tensor:
    found = [x for model in models.values() if (x := example_of(model, size, texts)) is not None]
    if not found:
        raise AddressError(f"none of {', '.join(models)} says what inputs it takes; give their size: --input 3x32x32")
    example = found[0].repeat(batch, *[1] * (found[0].dim() - 1))
    drawn = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
    return drawn.to(example.dtype) if example.is_floating_point() else example


def _verdict(timing: Timing, first: str) -> str:
    """In words, with the interval; plainly where nothing was gained."""
    if timing.is_faster:
        ends = f"{1 / timing.high:.2f} to {1 / timing.low:.2f}"
        return f"{timing.name} is {1 / timing.ratio:.2f} times as fast as {first} (95 % interval {ends})"
    told = "" if timing.is_slower else ", which contains 1"
    return (
        f"no gain here: {timing.name} takes {timing.ratio:.2f} times as long as {first} "
        f"(95 % interval {timing.low:.2f} to {timing.high:.2f}{told})"
    )


def _opened(texts: Sequence[str], dense: str | None) -> dict[str, nn.Module]:
    other = next((text for text in texts if is_address(text)), None)
    return {
        name: open_model(text, dense=dense or (None if read_origin(Path(text)) else other))
        for name, text in zip(_names(texts), texts, strict=True)
    }


def _check_inputs(models: Mapping[str, nn.Module], inputs: Tensor) -> None:
    for name, model in models.items():
        try:
            with evaluating(model), torch.inference_mode():
                model(inputs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise AddressError(
                f"{name} does not take inputs of shape {tuple(inputs.shape)}: {said(error)}. Give the size of "
                "one input, such as --input 3x32x32"
            ) from error


def _facts(row: Timing, model: nn.Module) -> dict[str, Any]:
    return {
        "name": row.name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": row.median,
        "spread": row.spread,
        "ratio": row.ratio,
        "interval": [row.low, row.high],
    }


def bench_models(
    texts: Sequence[str],
    *,
    dense: str | None = None,
    size: str | None = None,
    batch: int = 1,
    threads: int | None = None,
    rounds: int = 30,
    warmup: int = 5,
    device: str = "cpu",
    backend: str = "eager",
) -> dict[str, Any]:
    """Measure models against the first of them, in turns.

    Args:
        texts: addresses, folders of runs and of saved models, programs; the first is what the others are compared with.
        dense: address of the dense model behind saved folders; if not given, what the folders say, or else the first
            address among ``texts``.
        size: of one input, such as ``3x32x32``; what the models say of themselves if not given.
        batch: inputs at a time.
        threads: of torch on the CPU.
        rounds: how often each is timed.
        warmup: rounds before that.
        device: where they run.
        backend: what runs them: ``eager``, ``compile``, ``onnxruntime``, or ``sparse``: eager, but layers skip their
            zeros where that is faster here.

    Returns:
        Plain data: how it was measured, a row per model, and a verdict for each but the first.

    Raises:
        AddressError: fewer than two models, or no samples.
    """
    if len(texts) < 2 or batch < 1:
        raise AddressError(
            f"bench compares two models or more on one input or more, not {len(texts)} on {batch}; to see what one "
            "model takes, give it twice"
        )
    check_backend(backend, (*BACKENDS, SPARSE))
    place = device_named(device)
    models = {name: model.to(place) for name, model in _opened(texts, dense).items()}
    inputs = _inputs(models, texts, size, batch).to(place)
    _check_inputs(models, inputs)
    skipping = models if backend == SPARSE else {}
    chosen = {name: skip_zeros(model, inputs, threads=threads) for name, model in skipping.items()}
    running = models | {name: made.model for name, made in chosen.items()}
    runner = "eager" if chosen else backend
    found = time_models(running, inputs, backend=runner, threads=threads, rounds=rounds, warmup=warmup)
    return {
        "input": list(inputs.shape),
        "device": str(place),
        "backend": backend,
        "threads": found.threads,
        "rounds": rounds,
        "attempts": found.attempts,
        "calm": found.is_calm,
        "models": [_facts(row, models[row.name]) for row in found.rows],
        "skipping": {name: [asdict(layer) for layer in made.layers] for name, made in chosen.items()},
        "verdicts": [_verdict(row, found.rows[0].name) for row in found.rows[1:]],
    }


def _skipping_words(layers: Sequence[Mapping[str, Any]]) -> str:
    skip = [f"{layer['name'] or 'it'} (in {layer['ratio']:.2f} of the time)" for layer in layers if layer["skips"]]
    reasons = list(dict.fromkeys(layer["why"] for layer in layers)) or ["it has no linear layers that could"]
    return f"zeros are skipped in {', '.join(skip)}" if skip else f"no layer skips zeros: {'; '.join(reasons)}"


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print what `bench_models` found.

    Args:
        found: the data.
        console: where to.
    """
    shape = " x ".join(map(str, found["input"]))
    threads = f"{found['threads']} CPU thread{'' if found['threads'] == 1 else 's'}"
    where = threads if found["device"] == "cpu" else found["device"]
    where += "" if found["backend"] == "eager" else f", {found['backend']}"
    table = Table(title=f"one call on {shape}, {where}, medians of {found['rounds']} rounds in turns")
    for column in ("model", "parameters", "milliseconds", "spread", "ratio", "95 % interval"):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=column == "model")
    for i, row in enumerate(found["models"]):
        ends = "{:.3f} to {:.3f}".format(*row["interval"]) if i else ""
        ratio = f"{row['ratio']:.3f}"
        table.add_row(
            Text(row["name"]),
            f"{row['parameters']:,}",
            f"{1e3 * row['seconds']:.3f}",
            f"{row['spread']:.1%}",
            ratio,
            ends,
        )
    console.print(table)
    for name, layers in found["skipping"].items():
        console.print(f"{name}: {_skipping_words(layers)}", highlight=False, markup=False)
    for verdict in found["verdicts"]:
        console.print(verdict, highlight=False, markup=False)
    if not found["calm"]:
        worst = max(row["spread"] for row in found["models"])
        console.print(
            f"this machine was restless: quartiles up to {worst:.0%} of the median apart after {found['attempts']} "
            "attempts. Close other programs, or give more --rounds",
            highlight=False, markup=False,
        )  # fmt: skip
