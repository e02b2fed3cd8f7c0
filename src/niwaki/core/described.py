"""Groups as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_LINES = 24
_NAMES = 3


def described(rows: Sequence[tuple[str, int, str]], left_out: Mapping[str, str]) -> str:
    """One line for each group and for each reason to leave tensors out.

    Args:
        rows: name, number of units and kind of each group.
        left_out: the reason for every tensor that was left out.

    Returns:
        The text, cut short where there are many groups.

    >>> print(described([("0.weight", 6400, "weight")], {"0.bias": "a vector", "2.bias": "a vector", "s": "ignored"}))
    1 group, 6,400 units
      0.weight  6,400  weight
    3 tensors left out
      a vector: 0.bias, 2.bias
      ignored: s
    """
    units = sum(size for _, size, _ in rows)
    lines = [f"{_many(len(rows), 'group')}, {_many(units, 'unit')}", *_table(rows)]
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    if reasons:
        lines.append(f"{_many(len(left_out), 'tensor')} left out")
    lines += [f"  {why}: {_listed(names)}" for why, names in list(reasons.items())[:_LINES]]
    if len(reasons) > _LINES:
        lines.append(f"  and for {len(reasons) - _LINES} more reasons, see left_out")
    return "\n".join(lines)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _table(rows: Sequence[tuple[str, int, str]]) -> list[str]:
    shown = rows[:_LINES]
    names = max((len(name) for name, _, _ in shown), default=0)
    sizes = max((len(f"{size:,}") for _, size, _ in shown), default=0)
    lines = [f"  {name:{names}}  {size:{sizes},}  {kind}" for name, size, kind in shown]
    return [*lines, f"  and {len(rows) - _LINES} more"] if len(rows) > _LINES else lines


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {rest:,} more" if rest > 0 else "")
