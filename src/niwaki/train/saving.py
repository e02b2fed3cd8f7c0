"""The sparsifier's state: out as plain data, in only after every check has passed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import TrainError
from ..core.gates import Gates
from ..measure.ledger import Ledger
from .diary import Diary

if TYPE_CHECKING:
    from .sparsifier import Sparsifier

_FORMAT = 1


def _plan_mark(sparsifier: Sparsifier) -> str:
    plan = sparsifier.plan
    events = [(e.step, e.moves, e.stage, e.window, e.instead) for e in plan.timeline.events]
    what: tuple[object, ...] = (plan.timeline.start, plan.values, plan.freeze, plan.explore_rate, events)
    if (more := (plan.train_cross_slices, plan.straight_through_decay)) != (True, 0.0):
        what += more  # materialise does not change what is computed, and states go from one to the other
    # The density of methods that hold it. Not the structure itself: it may be chosen by weights that are loaded next.
    what += (sum(int(keep.count_nonzero()) for keep in plan.keep.values()),)
    # Criteria of the user's own may print their address, which is another one in every process.
    return hashlib.sha256(re.sub(r" at 0x[0-9a-fA-F]+", "", repr(what)).encode()).hexdigest()


def _copied(value: Any, known: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        # One mask is often structure, both gates and the cycle's beginning: one copy, and one tensor in a file.
        if id(value) not in known:
            known[id(value)] = value.detach().clone()
        return known[id(value)]
    if isinstance(value, Mapping):
        return {key: _copied(inner, known) for key, inner in value.items()}
    return [_copied(inner, known) for inner in value] if isinstance(value, list) else value


def sizes_of(sparsifier: Sparsifier) -> dict[str, int]:
    """Units by group name: what tells the states of different sparsifiers apart."""
    return {group.name: group.size for group in sparsifier.groups}


def _check_whole(sparsifier: Sparsifier) -> None:
    small = sparsifier._body.small
    if small is not None and small.kept:
        raise TrainError(
            "the model is materialised: its tensors and its optimizer's have other shapes for now; save and load "
            "model, optimizer and sparsifier together in a block `with sparsifier.whole():`"
        )


def state_dict(sparsifier: Sparsifier) -> dict[str, Any]:
    """Everything a sparsifier knows, as nested dictionaries of tensors and plain values.

    Args:
        sparsifier: attached or not, in any stage.

    Returns:
        A copy that later training does not touch. A `TrainError` if the model is smaller at the moment.
    """
    _check_whole(sparsifier)
    s = sparsifier
    diary = s._diary
    return _copied(  # type: ignore[no-any-return]
        {
            "format": _FORMAT,
            "plan": _plan_mark(s),
            "sizes": sizes_of(s),
            "step": s.step,
            "is_exploring": s.is_exploring,
            "home": s._home,
            "gates": {name: {"forward": gate.forward, "train": gate.train} for name, gate in s._gates.items()},
            "memory": s._body.memory,
            "held": s._body.held,
            "statistics": s._norms.saved,
            "norm_memory": s._norms.memory,
            "listener": s._listener.state_dict(),
            "generator": s._generator.get_state(),
            "probe": None if (drawn := _drawn(s)) is None else drawn.get_state(),
            "diary": {
                "cycle": diary.cycle,
                "ever": diary.ever,
                "grown": diary.grown,
                "dropped": diary.dropped,
                "records": diary.records,
            },
            "ledger": s.ledger.as_dict(),
        },
        {},
    )


def check_state(sparsifier: Sparsifier, state: Mapping[str, Any]) -> None:
    """Check that a saved state belongs to this sparsifier; changes nothing.

    Args:
        sparsifier: attached.
        state: from `state_dict`.

    Raises:
        TrainError: not attached, or a state of another format, model or plan.
    """
    _check_whole(sparsifier)
    if sparsifier._optimizer is None:
        raise TrainError("attach(optimizer) the sparsifier before loading its state")
    if state.get("format") != _FORMAT:
        raise TrainError(f"this state has format {state.get('format')!r}; this version of niwaki reads {_FORMAT}")
    sizes = sizes_of(sparsifier)
    if dict(state["sizes"]) != sizes:
        odd = sorted(set(sizes.items()) ^ set(state["sizes"].items()))[0][0]
        raise TrainError(
            f"this state is of other groups: {odd!r} has size {state['sizes'].get(odd)} there and {sizes.get(odd)} "
            "here; make the groups from the same model with the same arguments"
        )
    if state["plan"] != _plan_mark(sparsifier):
        raise TrainError(
            "this state was saved under another plan (other steps, method or switches); "
            "build the method with the arguments of the run that wrote it"
        )


def load_state_dict(sparsifier: Sparsifier, state: Mapping[str, Any]) -> None:
    """Put a saved state into an attached sparsifier.

    Args:
        sparsifier: built as the one that was saved.
        state: from `state_dict`.
    """
    check_state(sparsifier, state)
    s, state = sparsifier, _copied(state, {})
    devices = {name: keep.device for name, keep in s._home.items()}

    def placed(units: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: units[name].to(devices[name]) for name in devices}

    s.step, s.is_exploring = int(state["step"]), bool(state["is_exploring"])
    s._home = placed(state["home"])
    s._gates = {
        name: Gates(gate["forward"].to(devices[name]), gate["train"].to(devices[name]))
        for name, gate in state["gates"].items()
    }
    if not s.is_exploring and all(torch.equal(s._gates[name].train, keep) for name, keep in s._home.items()):
        s._gates = {name: Gates(keep, keep) for name, keep in s._home.items()}
    body = s._body
    body.lay(s._gates, s._home, frozen=s.is_exploring and s.plan.freeze)
    body.memory = {name: value.to(body.tensors[name].device) for name, value in state["memory"].items()}
    body.held = None if state["held"] is None else _held(s, state["held"])
    s._norms.load(state["statistics"], state.get("norm_memory", {}), s._home)
    s._listener.load_state_dict(state["listener"], devices)
    s._generator.set_state(state["generator"].to(torch.uint8).cpu())
    if (drawn := _drawn(s)) is not None and state.get("probe") is not None:
        drawn.set_state(state["probe"].to(torch.uint8).cpu())
    diary = state["diary"]
    s._diary = Diary(
        placed(diary["cycle"]),
        placed(diary["ever"]),
        placed(diary["grown"]),
        placed(diary["dropped"]),
        list(diary["records"]),
    )
    s._meter.ledger = Ledger.from_dict(state["ledger"])


def _drawn(sparsifier: Sparsifier) -> torch.Generator | None:
    """What a probe draws from, if it draws: where it stands decides what the next scores are."""
    found = getattr(sparsifier.probe, "generator", None)
    return found if isinstance(found, torch.Generator) else None


def _held(sparsifier: Sparsifier, held: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    tensors = sparsifier._body.tensors
    return {
        name: {
            # Step counters stay where the optimizer keeps them; only tensors like the parameter follow it.
            key: value.to(tensors[name].device)
            if isinstance(value, Tensor) and value.shape == tensors[name].shape
            else value
            for key, value in entries.items()
        }
        for name, entries in held.items()
    }
