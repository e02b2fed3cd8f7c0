"""What a run delivers: a smaller model, proved, and timed against the dense one; or one whose file holds no zeros."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..core.group import is_structured
from ..core.names import bare_model
from ..store import save
from ..store.small import TENSORS
from ..structure import outcome, shrink, verify
from .assemble import Parts
from .bottlenecks import bottlenecks
from .folder import SMALL, TABLE
from .latencies import Race, latency_facts
from .origin import origin_of, write_origin


def write_table(parts: Parts, out: Path) -> None:
    """Keep the table that a run was planned by, so that a resumed one has the same budget to the last bit.

    Args:
        parts: of the run.
        out: the run folder.
    """
    if parts.budgets is not None and parts.budgets.table is not None:
        parts.budgets.table.save(out / TABLE)


def deliver(parts: Parts, out: Path) -> dict[str, Any]:
    """Save what the run trained: shrunk, compared with the masked model and timed; single weights as a compact file.

    Args:
        parts: of the run, at its end.
        out: the run folder; the model goes into a folder in it.

    Returns:
        What the result gains; nothing for dense runs.
    """
    if parts.settings.method == "dense":
        return {}
    if is_structured(parts.groups):
        return _shrunk(parts, out)
    with parts.sparsifier.pruned():
        return {"file": _saved(bare_model(parts.model), parts, out, compact=True)}


def _saved(model: nn.Module, parts: Parts, out: Path, *, compact: bool) -> dict[str, Any]:
    """Save the model beside its origin; says how large the file is, and how large the dense model's tensors are."""
    example = parts.batches.at(0)[0]
    save(model, out / SMALL, overwrite=True, compact=compact)
    write_origin(out / SMALL, replace(origin_of(parts.settings.model, parts.data, example), start=None))
    return {"folder": SMALL, **file_facts(out / SMALL, bare_model(parts.model))}


def file_facts(folder: Path, dense: nn.Module) -> dict[str, int]:
    """How large the file of a saved model is, and how large the dense model's tensors are, in bytes."""
    held = sum(tensor.nbytes for tensor in [*dense.parameters(), *dense.buffers()])
    return {"bytes": (folder / TENSORS).stat().st_size, "dense_bytes": held}


def _shrunk(parts: Parts, out: Path) -> dict[str, Any]:
    keep, groups = parts.sparsifier.keep, parts.groups
    example = parts.batches.at(0)[0]
    with parts.sparsifier.pruned():
        model = bare_model(parts.model)
        small = shrink(model, groups, keep)
        verdict = verify(model, small, groups, keep, example[:2])
        reached = outcome(model, groups, keep)
        file = _saved(small, parts, out, compact=False)
        race = Race(parts.settings.costs, model, example)
        race.run(small)
    # The model is masked already, so that its outputs change by nothing: no word of that.
    agreed = f"masked and shrunk model agree: the largest difference is {verdict.difference:.3g}"
    words = f"{agreed} ({verdict.tolerance:.3g} is allowed)" if verdict.same else verdict.words
    found: dict[str, Any] = {
        "file": file,
        "small": {"folder": SMALL, "parameters": list(reached.parameters),
                  "verified": {"same": verdict.same, "difference": verdict.difference, "words": words}},
        "units": list(reached.units),
        # Masks count what lies in groups alone; what channels take with them is more than that.
        "weights_kept": reached.parameters[1],
        "weights_total": reached.parameters[0],
        "groups": [asdict(group) for group in reached.groups],
        "notes": bottlenecks(groups, keep),
        "latency": latency_facts(race, parts.budgets, groups, keep),
    }  # fmt: skip
    if parts.budgets is not None:
        found["budget"] = parts.budgets.reached(groups, keep)
    return found
