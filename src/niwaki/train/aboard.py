"""The sparsifier's state aboard the optimizer's: who saves the optimizer saves both, who loads it goes on with both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from ..core.errors import TrainError
from ..core.names import ABOARD
from .saving import check_state, sizes_of
from .stepping import unscale
from .surgery import all_parameters

if TYPE_CHECKING:
    from .sparsifier import Sparsifier

_PLACES = "places"


def _places(sparsifier: Sparsifier, optimizer: Optimizer) -> list[int]:
    """Which of the optimizer's parameters a sparsifier holds: what tells twins apart."""
    own = {id(tensor) for tensor in sparsifier._body.tensors.values()}
    return [place for place, parameter in enumerate(all_parameters(optimizer)) if id(parameter) in own]


def _own(sparsifier: Sparsifier, optimizer: Optimizer, states: Any) -> Mapping[str, Any] | None:
    """The state of this sparsifier among those of all that hang on the optimizer; ``None`` where there are none.

    Raises:
        TrainError: it does not fit.
    """
    if not states:
        return None
    sizes, places = sizes_of(sparsifier), _places(sparsifier, optimizer)
    alike = [state for state in states if dict(state["sizes"]) == sizes]
    mine = [state for state in alike if state.get(_PLACES) == places] or alike
    if len(mine) > 1:
        raise TrainError(
            f"the optimizer's state has {len(mine)} sparsifiers of these very sizes aboard, and none lies where this "
            "one does; build the optimizer from the parameters in the order of the run that wrote it"
        )
    found: Mapping[str, Any] = (mine or states)[0]
    try:
        check_state(sparsifier, found)
    except TrainError as error:
        raise TrainError(
            f"the optimizer's state has a sparsifier's aboard: {error}. To take over the optimizer's alone, leave out "
            f"its entry {ABOARD!r}"
        ) from error
    return found


def board(sparsifier: Sparsifier, optimizer: Optimizer) -> list[RemovableHandle]:
    """Let a sparsifier's state come and go with its optimizer's.

    Frameworks that own the loop save models and optimizers, and know nothing of sparsifiers.

    Args:
        sparsifier: attached to it.
        optimizer: the optimizer.

    Returns:
        The handles of the hooks.
    """
    coming: list[Mapping[str, Any]] = []

    def put(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        mine = {**sparsifier.state_dict(), _PLACES: _places(sparsifier, optimizer)}
        return {**state, ABOARD: [*state.get(ABOARD, ()), mine]}

    def look(_: Optimizer, state: dict[str, Any]) -> None:
        coming.clear()
        found = _own(sparsifier, optimizer, state.get(ABOARD))  # before anything is loaded
        coming.extend([] if found is None else [found])

    def take(_: Optimizer) -> None:
        while coming:
            sparsifier.load_state_dict(coming.pop())

    return [
        optimizer.register_state_dict_pre_hook(lambda _: unscale(sparsifier)),
        optimizer.register_state_dict_post_hook(put),
        optimizer.register_load_state_dict_pre_hook(look),
        optimizer.register_load_state_dict_post_hook(take),
    ]
