"""ListOps: nested lists of digits under minimum, maximum, median and sum, to be worked out from their symbols."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

SYMBOLS = ("", "[MIN", "[MAX", "[MED", "[SM", "]", *"0123456789")
"""What the tokens stand for; 0 is the empty place."""

_OPERATORS, _END, _ZERO = (1, 2, 3, 4), 5, 6
_NESTED = 0.25


def _numbers(generator: torch.Generator) -> Iterator[float]:
    while True:
        yield from torch.rand(4096, generator=generator, dtype=torch.float64).tolist()


def _value(operator: int, values: list[int]) -> int:
    ordered = sorted(values)
    if operator == 1:
        return ordered[0]
    if operator == 2:
        return ordered[-1]
    if operator == 3:
        # The median of an even number of values lies between two; the task rounds it down.
        return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2
    return sum(values) % 10


def _expression(numbers: Iterator[float], depth: int, deepest: int, most: int, room: int) -> tuple[list[int], int]:
    # The tokens and the value. One that has outgrown its room is given up early: it will be thrown away.
    if depth > 1 and (depth >= deepest or next(numbers) > _NESTED):
        digit = int(10 * next(numbers))
        return [_ZERO + digit], digit
    operator = _OPERATORS[int(4 * next(numbers))]
    tokens, values = [operator], []
    for _ in range(2 + int((most - 1) * next(numbers))):
        inner, value = _expression(numbers, depth + 1, deepest, most, room - len(tokens))
        tokens += inner
        values.append(value)
        if len(tokens) > room:
            break
    return [*tokens, _END], _value(operator, values)


def listops(
    count: int, *, lengths: tuple[int, int] = (500, 2000), depth: int = 10, arguments: int = 10,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Different expressions and their values.

    An expression is a digit or, with probability 1/4 and always at the root, an operator on 2 to ``arguments``
    expressions. Of those drawn, the ones of another length are thrown away. The defaults are those of the Long Range
    Arena.

    Args:
        count: how many.
        lengths: the fewest and the most tokens.
        depth: how deep lists are nested at most, the digits included.
        arguments: the most values that an operator has.
        generator: the source of randomness.

    Returns:
        Tokens ``[count, longest]``, filled up with 0, and values ``[count]`` from 0 to 9.

    Raises:
        ValueError: lengths that no expression has, or nothing within them can be found.

    Source: N. Nangia, S. Bowman, ListOps: A Diagnostic Dataset for Latent Tree Learning, 2018.

    >>> tokens, values = listops(1, lengths=(5, 8), generator=torch.Generator().manual_seed(0))
    >>> " ".join(SYMBOLS[t] for t in tokens[0].tolist()), int(values[0])
    ('[MED 8 0 1 ]', 1)
    """
    low, high = lengths
    if not 4 <= low <= high or depth < 2 or arguments < 2:
        raise ValueError(
            f"lengths={lengths}, depth={depth}, arguments={arguments}: an expression has 4 tokens or more, 2 levels or "
            "more, and operators of 2 values or more"
        )
    numbers = _numbers(generator)
    found: dict[tuple[int, ...], int] = {}
    misses = 0
    while len(found) < count:
        tokens, value = _expression(numbers, 1, depth, arguments, high)
        key = tuple(tokens)
        if low <= len(key) <= high and key not in found:
            found[key], misses = value, 0
        else:
            misses += 1
        if misses > 100_000:
            raise ValueError(
                f"only {len(found)} different expressions of {low} to {high} tokens turned up; widen lengths="
            )
    longest = max(map(len, found))
    rows = [[*key, *[0] * (longest - len(key))] for key in found]
    return torch.tensor(rows), torch.tensor(list(found.values()))


def listops_parts(
    train: int = 96_000, valid: int = 2_000, test: int = 2_000, seed: int = 0, **options: int
) -> tuple[tuple[Tensor, Tensor], ...]:
    """The three parts of a data set, for the address ``python:niwaki.zoo.listops:listops_parts?train=5000``.

    Args:
        train: expressions to learn from.
        valid: to decide on.
        test: to be looked at once.
        seed: of the generator.
        options: ``shortest`` and ``longest``, ``depth`` and ``arguments``.

    Returns:
        (train, valid, test), each a pair (tokens, values).

    >>> [len(values) for _, values in listops_parts(4, 2, 2, shortest=5, longest=20)]
    [4, 2, 2]
    """
    lengths = options.pop("shortest", 500), options.pop("longest", 2000)
    chance = torch.Generator().manual_seed(seed)
    tokens, values = listops(train + valid + test, lengths=lengths, generator=chance, **options)
    parts = (torch.split(whole, [train, valid, test]) for whole in (tokens, values))
    return tuple(zip(*parts, strict=True))
