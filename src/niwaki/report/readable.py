"""Numbers and names as people read them."""

from __future__ import annotations

import math
from pathlib import PurePath

# Keeps a number and its unit on one line.
_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
UNKNOWN = "unknown"
_CAPITALS = {
    word.lower(): word for word in ("Fisher", "GraSP", "L1", "LAMP", "LAST", "SNIP", "SynFlow", "Taylor", "Wanda")
}
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def _short(value: float, figures: int) -> str:
    """So many significant digits, without an exponent and without zeros at the end."""
    if value == 0:
        return "0"
    digits = max(0, figures - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def spoken(name: str) -> str:
    """A name of the command line in words, those of people and of methods as they write themselves.

    Args:
        name: such as a criterion's.

    Returns:
        Its words.

    >>> spoken("group_fisher"), spoken("taylor")
    ('group Fisher', 'Taylor')
    """
    return " ".join(_CAPITALS.get(word.lower(), word) for word in name.split("_"))


def plain(value: float | None, figures: int = 3) -> str:
    """A bare number, with a true minus sign.

    Args:
        value: the number.
        figures: significant digits.

    Returns:
        The number in words.

    >>> plain(0.012345), plain(-2.5), plain(None)
    ('0.0123', '−2.5', 'unknown')
    """
    if value is None:
        return UNKNOWN
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.1e}".replace("-", _MINUS)
    return _short(value, figures).replace("-", _MINUS)


def count(value: float | None) -> str:
    """A whole number with its thousands set apart.

    >>> count(12000)
    '12,000'
    """
    return UNKNOWN if value is None else f"{value:,.0f}".replace("-", _MINUS)


def compact(value: float | None, unit: str = "", figures: int = 3) -> str:
    """A number with a prefix: thousands, millions, and so on.

    Args:
        value: the number.
        unit: what it counts, set behind the prefix.
        figures: significant digits.

    Returns:
        Number, prefix and unit.

    >>> compact(12345).split(), compact(4.5e9, "FLOPs").split()
    (['12.3', 'k'], ['4.5', 'G', 'FLOPs'])
    """
    if value is None:
        return UNKNOWN
    power = 0
    # 999.6 would be written as 1000: rounding decides on the prefix.
    while power < len(_PREFIXES) - 1 and abs(value) >= 999.5 * 1000**power:
        power += 1
    scaled = value / 1000**power
    number = f"{scaled:,.0f}" if abs(scaled) >= 999.5 else _short(scaled, figures)
    return _SPACE.join(part for part in (number.replace("-", _MINUS), _PREFIXES[power], unit) if part)


def flops(value: float | None) -> str:
    """Floating-point operations."""
    return compact(value, "FLOPs")


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent, to a fixed number of digits.

    >>> percent(0.97312, 2).split()
    ['97.31', '%']
    """
    return UNKNOWN if value is None else f"{100 * value:.{digits}f}{_SPACE}%".replace("-", _MINUS)


def percents(low: float, high: float, digits: int = 1) -> str:
    """A range of shares in percent.

    >>> percents(0.9591, 0.9629, 2).split()
    ['95.91–96.29', '%']
    """
    return f"{100 * low:.{digits}f}\N{EN DASH}{percent(high, digits)}"


def share(value: float | None, figures: int = 3) -> str:
    """A share in percent, as short as its significant digits allow.

    Args:
        value: the share.
        figures: significant digits.

    Returns:
        The share in words.

    >>> share(0.05).split(), share(0.00125).split()
    (['5', '%'], ['0.125', '%'])
    """
    return UNKNOWN if value is None else f"{_short(100 * value, figures)}{_SPACE}%".replace("-", _MINUS)


def points(value: float | None) -> str:
    """A difference of two shares, in percentage points with its sign.

    >>> points(-0.0123).split()
    ['−1.23', 'points']
    """
    return UNKNOWN if value is None else f"{100 * value:+.2f}{_SPACE}points".replace("-", _MINUS)


def gap(value: float, spread: float | None = None) -> str:
    """How far two shares are apart, in percentage points without a sign, and how much that varies.

    >>> gap(-0.0123).split(), gap(0.0123, 0.002).split()
    (['1.23', 'points'], ['1.23', '±', '0.20', 'points'])
    """
    varies = "" if spread is None else f" ±{_SPACE}{100 * spread:.2f}"
    return f"{100 * abs(value):.2f}{varies}{_SPACE}points"


def times(value: float | None) -> str:
    """A multiple.

    >>> times(0.2512)
    '0.251×'
    """
    return UNKNOWN if value is None else f"{_short(value, 3)}×"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units.

    >>> [" ".join(duration(s).split()) for s in (0.42, 9.96, 80, 3725, 200000)]
    ['0.4 s', '10 s', '1 min 20 s', '1 h 2 min', '2 d 7 h']
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 9.95:
        return f"{_short(round(seconds, 1), 3)}{_SPACE}s"
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (large, size), (small, part) in zip(units, units[1:], strict=False):
        if whole >= size:
            rest = (whole % size) // part
            return f"{whole // size}{_SPACE}{large}" + (f" {rest}{_SPACE}{small}" if rest else "")
    return f"{whole}{_SPACE}s"


def moment(seconds: float | None) -> str:
    """A short length of time, in the unit that suits it.

    >>> [" ".join(moment(s).split()) for s in (0.0123, 4.2e-5, 1.5)]
    ['12.3 ms', '42 µs', '1.5 s']
    """
    if seconds is None:
        return UNKNOWN
    factor, unit = next(((f, u) for f, u in ((1.0, "s"), (1e3, "ms")) if abs(seconds) * f >= 0.9995), (1e6, "µs"))
    return f"{_short(seconds * factor, 3)}{_SPACE}{unit}"


def size(count_of_bytes: float | None) -> str:
    """Memory, in powers of 1000.

    >>> size(1_250_000_000).split()
    ['1.25', 'GB']
    """
    text = compact(count_of_bytes, "B")
    return text if count_of_bytes is None or abs(count_of_bytes) < 999.5 else f"{text[:-2]}B"


def listed(names: list[str], most: int = 8) -> str:
    """Names in a sentence.

    Args:
        names: the names.
        most: how many are written out; the others are counted.

    Returns:
        The names with commas and an "and".

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], most=2)
    ('a, b and c', 'a, b and 2 others')
    """
    if len(names) > most:
        rest = len(names) - most
        names = [*names[:most], f"{rest} other{'s' if rest > 1 else ''}"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def counted(number: int, noun: str) -> str:
    """A small number and its noun.

    >>> counted(1, "run"), counted(3, "run")
    ('1 run', '3 runs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def data_name(address: str) -> str:
    """What a title calls data: the last part of their address. The whole address stands where runs are told apart.

    >>> data_name("npz:data/cifar10.npz?limit=10000"), data_name("digits"), data_name("imagefolder:pets/")
    ('cifar10', 'digits', 'pets')
    """
    place = address.partition("?")[0]
    return PurePath(place.partition(":")[2] or place).stem or address
