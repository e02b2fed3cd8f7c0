"""Names of what to leave alone: qualified names, patterns, modules."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from ..core.errors import GroupError
from ..core.names import aliases_of, bare_model, parameters_of, plain_name

Names = str | nn.Module | Sequence[str | nn.Module]
"""Names, name patterns or modules."""


def is_named(name: str, patterns: Sequence[str]) -> bool:
    """Whether a qualified name is one of these, lies inside one, or fits a pattern."""
    return any(name == p or name.startswith(p + ".") or fnmatchcase(name, p) for p in patterns)


def tensors_named(model: nn.Module, patterns: Sequence[str]) -> set[str]:
    """The parameters and buffers that these name, by their first names; a tied tensor answers to each of its names."""
    return {first for first, names in aliases_of(model).items() if any(is_named(name, patterns) for name in names)}


def check_names(model: nn.Module, patterns: Sequence[str]) -> None:
    """Check that every name means something.

    Raises:
        GroupError: one that fits no parameter.
    """
    everything = parameters_of(model)
    for pattern in patterns:
        if not everything.keys() & tensors_named(model, [pattern]):
            raise GroupError(
                f"no parameter of the model matches {pattern!r}; known: {', '.join(list(everything)[:8])} ..."
            )


def names_of(model: nn.Module, chosen: Names) -> list[str]:
    """The chosen things as names and patterns; each fits a parameter.

    Raises:
        GroupError: a module of another model, or a name that fits nothing.
    """
    names: list[str] = []
    if not isinstance(chosen, str | nn.Module) and not chosen:
        return names
    modules = {module: plain_name(name) for name, module in bare_model(model).named_modules()}
    # One name stands for a list of one: a string would otherwise be read letter by letter.
    for entry in [chosen] if isinstance(chosen, str | nn.Module) else chosen:
        if isinstance(entry, str):
            names.append(entry)
        elif entry in modules:
            names.append(modules[entry] or "*")  # the model itself has no name
        else:
            raise GroupError(f"ignore= holds a {type(entry).__name__} that is not a module of this model")
    check_names(model, names)
    return names
