"""Steps whose gradients are made inside: ``optimizer.step(closure)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.errors import TrainError

Call = tuple[tuple[Any, ...], dict[str, Any]]


def with_closure(args: tuple[Any, ...], kwargs: dict[str, Any], prepare: Callable[[], None]) -> Call | None:
    """The arguments of a step whose closure prepares the update when it has made the gradients.

    Args:
        args: of the step; the first is the optimizer.
        kwargs: likewise.
        prepare: what has to happen between gradients and update.

    Returns:
        Other arguments for the step; ``None`` if it has no closure, and the gradients are there already.
    """
    if not any(callable(argument) for argument in (*args[1:], *kwargs.values())):
        return None

    def wrapped(argument: Any) -> Any:
        return _once(argument, prepare) if callable(argument) else argument

    return (args[0], *map(wrapped, args[1:])), {name: wrapped(argument) for name, argument in kwargs.items()}


def _once(closure: Callable[[], Any], prepare: Callable[[], None]) -> Callable[[], Any]:
    called = False

    def listening() -> Any:
        nonlocal called
        if called:
            raise TrainError(
                "the optimizer calls its closure more than once in a step, so that an update is made of gradients at "
                "several points; take one that calls it once, such as SGD or AdamW"
            )
        called = True
        loss = closure()
        prepare()
        return loss

    return listening
