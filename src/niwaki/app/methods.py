"""Methods and their switches by name, for the command line."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn

from ..core.contracts import Probe
from ..core.costs import CostBudget
from ..core.errors import AddressError, BudgetError, GroupError, NiwakiError
from ..core.group import Group, Groups
from .addresses import literal, near

METHODS = {
    "dense": "dense",
    "static": "static",
    "set": "sparse_evolution",
    "sparse_evolution": "sparse_evolution",
    "rigl": "rigl",
    "gmp": "gmp",
    "acdc": "acdc",
    "iee": "iee",
    "halp": "halp",
    "smcp": "smcp",
}
"""Names on the command line and the functions of `niwaki.methods` they stand for."""

ALLOCATORS = {"erk": "ErdosRenyiKernel", "er": "ErdosRenyi", "uniform": "Uniform", "global": "Global",
              "rows": "RowWise"}  # fmt: skip
"""Names on the command line and the classes of `niwaki.allocate` they stand for."""

FITTINGS = ("knapsack", "uniform_width")
"""Allocators for a budget of cost, by the names that `niwaki.allocate` has."""

_NOT_SWITCHES = {"model", "groups", "density", "budget", "steps", "seed", "probe", "example"}
_UNITS = re.compile(r"(\d+)(x|:)(\d+)")


def method_named(name: str) -> Callable[..., Any]:
    """The function that makes a sparsifier.

    Args:
        name: a name of `METHODS`.

    Returns:
        The function.

    Raises:
        AddressError: an unknown name.
    """
    if name not in METHODS:
        raise AddressError(f"the method {name!r} is unknown; {near(name, METHODS)}")
    function: Callable[..., Any] = getattr(importlib.import_module("niwaki.methods"), METHODS[name])
    return function


def allocator_named(name: str) -> Any:
    """An allocator with its default settings.

    Args:
        name: a name of `ALLOCATORS`.

    Returns:
        The allocator.

    Raises:
        AddressError: an unknown name.
    """
    if name not in ALLOCATORS:
        raise AddressError(f"the allocator {name!r} is unknown; {near(name, ALLOCATORS)}")
    return getattr(importlib.import_module("niwaki.allocate"), ALLOCATORS[name])()


def criterion_named(name: str) -> Any:
    """A criterion with its default settings; letter case and underscores do not matter.

    Args:
        name: a name of `niwaki.criteria`; ``last`` for the criterion of LAST, the tail share of H-infinity; ``l1`` for
            magnitudes that add up, sums of absolute weights.

    Returns:
        The criterion.

    Raises:
        AddressError: an unknown name.
    """
    criteria = importlib.import_module("niwaki.criteria")
    named = {each.lower(): getattr(criteria, each) for each in criteria.__all__}
    known: dict[str, Callable[[], Any]] = {key: each for key, each in named.items() if inspect.isclass(each)}
    known |= {"last": lambda: criteria.TailShare(criteria.HInfinity()), "l1": lambda: criteria.Magnitude(1)}
    plain = name.lower().replace("_", "")
    if plain not in known:
        raise AddressError(f"the criterion {name!r} is unknown; {near(plain, known)}")
    return known[plain]()


STRUCTURES = {"channels": "channels", "heads": "heads", "all": "discover"}
"""Units that a network's code is searched for, and the function that finds them."""


def usual_density(units: str, otherwise: float = 0.1) -> float:
    """The share that stays if nobody says: what an N:M pattern has, and else a tenth or another share.

    >>> usual_density("2:4"), usual_density("weights")
    (0.5, 0.1)
    """
    form = _UNITS.fullmatch(units)
    return int(form[1]) / max(1, int(form[3])) if form is not None and form[2] == ":" else otherwise


def _also(model: nn.Module) -> list[str]:
    """Of a graph of operators, whose layers are gone, every matrix."""
    if not isinstance(model, fx.GraphModule):
        return []
    return [name for name, parameter in model.named_parameters() if parameter.dim() > 1]


def groups_of(
    model: nn.Module, units: str, example: Tensor | None = None, *, graph: bool = False, ignore: Sequence[str] = ()
) -> Sequence[Group]:
    """The groups that a run prunes.

    Args:
        model: the model.
        units: ``weights``, ``4x4``, ``2:4``, ``channels``, ``heads``, ``all`` of both, ``states``.
        example: an input of the model, with which channels and heads are found.
        graph: also those that only a graph made of the model can lose.
        ignore: names and patterns of what stays whole.

    Returns:
        The groups.

    Raises:
        AddressError: none of these forms, no example where one is needed, or states, of which none can be ignored.
        GroupError: the model has no units of this kind.
    """
    structure = importlib.import_module("niwaki.structure")
    if units == "states":
        if ignore:
            raise AddressError("--ignore names layers, and states are found by the model; leave it out")
        return structure.states(model)  # type: ignore[no-any-return]
    chosen = {"also": _also(model), "ignore": ignore}
    if units == "weights":
        return structure.weights(model, **chosen)  # type: ignore[no-any-return]
    if units in STRUCTURES:
        if example is None:
            raise AddressError(f"{units} are found by following an input; give its size, such as --input 3x32x32")
        found: Groups = getattr(structure, STRUCTURES[units])(model, example, graph=graph, ignore=ignore)
        if not found:
            reasons = "; ".join(f"{name}: {why}" for name, why in list(found.left_out.items())[:4])
            raise GroupError(f"{type(model).__name__} has no {units} that can be cut ({reasons})")
        return found
    form = _UNITS.fullmatch(units)
    if form is None:
        raise AddressError(
            f"the units {units!r} are unknown; give weights, blocks such as 4x4, patterns such as 2:4, channels, "
            "heads, all (of both) or states"
        )
    first, second = int(form[1]), int(form[3])
    if form[2] == "x":
        return structure.blocks(model, (first, second), **chosen)  # type: ignore[no-any-return]
    return structure.n_of_m(model, first, second, **chosen)  # type: ignore[no-any-return]


def parse_switches(pairs: Sequence[str]) -> dict[str, Any]:
    """Switches as typed: ``H=150`` and the like.

    Args:
        pairs: name and value, joined by an equals sign.

    Returns:
        Values by name.

    Raises:
        AddressError: another form.

    >>> parse_switches(["H=150", "criterion=taylor", "freeze=false"])
    {'H': 150, 'criterion': 'taylor', 'freeze': False}
    """
    switches = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise AddressError(f"the switch {pair!r} needs the form name=value, such as H=150")
        switches[name] = literal(value)
    return switches


def _resolved(parameter: inspect.Parameter, value: Any) -> Any:
    kind = str(parameter.annotation)
    if isinstance(value, str) and "Criterion" in kind:
        return criterion_named(value)
    if isinstance(value, str) and "Fitting" in kind and value in FITTINGS:
        return getattr(importlib.import_module("niwaki.allocate"), value)
    if isinstance(value, str) and "Allocator" in kind:
        return allocator_named(value)
    if value is not None and "Schedule" in kind:
        raise AddressError(f"the switch {parameter.name!r} is a function of the step; set it from Python")
    return value


def check_aim(name: str, *, has_budget: bool) -> None:
    """Check that a method takes what is asked: a density or a budget of cost.

    Args:
        name: of the method.
        has_budget: whether a budget is asked.

    Raises:
        BudgetError: the method takes the other one.
    """
    parameters = inspect.signature(method_named(name)).parameters
    if name == "dense":
        if has_budget:
            raise BudgetError(
                "a dense run removes nothing, so that it has no budget; leave the budget or the method out"
            )
        return
    if has_budget and "budget" not in parameters:
        takers = [each for each in METHODS if "budget" in inspect.signature(method_named(each)).parameters]
        raise BudgetError(f"the method {name!r} takes a density and no budget of cost; {', '.join(takers)} take one")
    if not has_budget and "density" not in parameters:
        raise BudgetError(f"the method {name!r} needs a budget of cost: give --latency, --macs or --parameters")


def with_start(name: str, switches: Mapping[str, Any], *, trained: bool) -> dict[str, Any]:
    """The switches, with the first structure that a trained model suggests: its largest weights, not random ones.

    Args:
        name: of the method.
        switches: as asked; an ``init`` among them stays.
        trained: whether the model is.

    Returns:
        The switches.
    """
    takes = "init" in inspect.signature(method_named(name)).parameters
    return {"init": "magnitude", **switches} if trained and takes else dict(switches)


def make_sparsifier(
    name: str,
    model: nn.Module,
    groups: Sequence[Group],
    switches: Mapping[str, Any],
    *,
    density: float | None,
    steps: int,
    seed: int,
    probe: Probe,
    example: object,
    budget: Sequence[CostBudget] = (),
) -> Any:
    """A sparsifier, not attached yet.

    Args:
        name: of the method.
        model: the model.
        groups: its groups.
        switches: keywords for the method; criteria and allocators by name.
        density: the share that stays, unless there is a budget.
        steps: length of the run.
        seed: of its random choices.
        probe: given to methods that take one.
        example: one batch of inputs, likewise.
        budget: what the network may cost, in place of a density.

    Returns:
        The sparsifier.

    Raises:
        AddressError: an unknown switch, or a value the method cannot take.
        NiwakiError: what the method itself has to say.
    """
    method = method_named(name)
    parameters = inspect.signature(method_named(name)).parameters
    known = [each for each in parameters if each not in _NOT_SWITCHES]
    for switch in switches:
        if switch not in known:
            raise AddressError(
                f"the method {name!r} has no switch {switch!r}; {near(switch, known) if known else 'it has none'}"
            )
    chosen = {switch: _resolved(parameters[switch], value) for switch, value in switches.items()}
    usual = {key: value for key, value in (("probe", probe), ("example", example)) if key in parameters}
    check_aim(name, has_budget=bool(budget))
    usual |= {"budget": list(budget)} if budget else {"density": density}
    try:
        return method(model, groups, steps=steps, seed=seed, **usual, **chosen)
    except NiwakiError:
        raise
    except (TypeError, ValueError) as error:
        raise AddressError(f"the method {name!r} cannot be made with {dict(switches)}: {error}") from error
