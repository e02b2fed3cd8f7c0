"""From one structure to the next: the moves of an event, and what becomes of weights, statistics and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..core.contracts import Context
from ..core.gates import GateMap, kept_gates
from ..moves.chain import play
from ..moves.timeline import Event
from .attaching import check_gates
from .ranks import check_agreement
from .scoring import Scores

if TYPE_CHECKING:
    from .sparsifier import Sparsifier


def play_event(sparsifier: Sparsifier, event: Event) -> None:
    """Play the moves of an event and put on what they give.

    Args:
        sparsifier: attached.
        event: of its timeline.
    """
    s, before = sparsifier, dict(sparsifier._home)
    widen(s)
    context = Context(
        step=s.step,
        groups=s.groups,
        home=s._home,
        cycle=s._diary.cycle,
        grown=s._diary.grown,
        score=Scores(s, event),
        generator=s._generator,
    )
    gates, home = play(event.moves, s._gates, context)
    check_gates(s.plan, event, gates)
    check_agreement(home, s.step)
    transition(s, gates, home, explores=event.explores)
    s._diary.note(event.step, event.name, event.stage, before, home)
    s._listener.forget()


def transition(sparsifier: Sparsifier, gates: GateMap, home: dict[str, Tensor], *, explores: bool) -> None:
    """Put gates on.

    Args:
        sparsifier: attached, its model whole.
        gates: of every group.
        home: the structure to deliver.
        explores: whether an exploration begins.
    """
    s = sparsifier
    assert s._optimizer is not None
    # A chain may drop before it explores.
    if not explores or any(home[name] is not keep for name, keep in s._home.items()):
        between = {n: kept_gates(k) for n, k in home.items()} if explores else gates
        s._body.change(s._optimizer, between, home, explored=s.is_exploring)
        s._norms.change(s._home, home, explored=s.is_exploring)
    if explores:
        s._body.open(s._optimizer, gates, home, freeze=s.plan.freeze)
        s._norms.open(home, freeze=s.plan.freeze)
    s._gates, s._home, s.is_exploring = gates, home, explores


def narrow(sparsifier: Sparsifier) -> None:
    """Cut the model to its kept units, if the plan wants it and nothing explores."""
    s, small = sparsifier, sparsifier._body.small
    if small is None or s.is_exploring or s._optimizer is None:
        return
    if small.kept:
        small.check_new_state(s._optimizer)
        return
    if small.uncut is s._home:  # a structure that changes is another object
        return
    small.narrow(s._optimizer, s._home)
    s._body.refit()


def widen(sparsifier: Sparsifier) -> bool:
    """Make the model whole again; tells whether it was smaller."""
    s, small = sparsifier, sparsifier._body.small
    if small is None or not small.kept or s._optimizer is None:
        return False
    small.widen(s._optimizer)
    s._body.refit()
    return True
