"""Cohorts: runs that differ only in their seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .read import Run, number, text
from .readable import listed, share

_NAMES = {
    "iee": "IEE",
    "rigl": "RigL",
    "sparse_evolution": "SET",
    "set": "SET",
    "gmp": "GMP",
    "acdc": "AC/DC",
    "static": "Static",
    "halp": "HALP",
    "smcp": "SMCP",
    "dense": "Dense",
}
# Runs that differ in any other setting are not the same experiment.
_FREE = {"seed", "command", "threads", "device", "checkpoint_every", "method", "density", "switches", "table"}
# So many methods have a colour that no other one takes.
_KEPT_TONES = 6
_BUDGETS = {"latency": "latency", "macs": "MACs", "parameters": "parameters"}
_FREE |= set(_BUDGETS)


@dataclass(frozen=True, eq=False)
class Cohort:
    """Runs of one method with the same settings. ``tone`` is the number of its colour, ``None`` for dense runs."""

    runs: tuple[Run, ...]
    label: str = ""
    tone: int | None = None

    @property
    def first(self) -> Run:
        """A run to read the settings from."""
        return self.runs[0]

    @property
    def method(self) -> str:
        """The method's name as people write it."""
        return method_name(self.first)

    @property
    def variant(self) -> str:
        """The label without what was asked: what one colour stands for."""
        return self.label.replace(f" {self.asked}", "", 1)

    @property
    def asked(self) -> str:
        """What was asked for: a density such as 5 %, or a budget such as 50 % of the latency."""
        return _asked(self.first)

    @property
    def has_budget(self) -> bool:
        """Whether a cost was asked for, and not a density."""
        return bool(asked_budget(self.first))

    @property
    def is_dense(self) -> bool:
        """Whether nothing is removed."""
        return self.density == 1.0 and not self.has_budget

    @property
    def density(self) -> float:
        """The density asked for, or the share of the first cost."""
        return asked_density(self.first)

    @property
    def task(self) -> tuple[str, str]:
        """Model and data."""
        return text(self.first.config, "model"), text(self.first.config, "data")

    @property
    def counted(self) -> tuple[Run, ...]:
        """The runs that numbers are made of: the finished ones, or all of them where none is finished."""
        return tuple(run for run in self.runs if run.is_finished) or self.runs

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs that count, each once."""
        return sorted({seed_of(run) for run in self.counted})


def seed_of(run: Run) -> int:
    """A run's seed; 0 where none was given."""
    return int(number(run.config, "seed") or 0)


def method_name(run: Run) -> str:
    """A run's method as people write it."""
    method = str(run.config["method"])
    return _NAMES.get(method.lower(), method)


def asked_density(run: Run) -> float:
    """The density a run was asked for, or the share of the first cost it was; 1 where nothing was asked."""
    density = next(iter(asked_budget(run).values()), number(run.config, "density"))
    return 1.0 if density is None or str(run.config["method"]).lower() == "dense" else density


def asked_budget(run: Run) -> dict[str, float]:
    """The shares of costs that a run was asked for, by what they are shares of; empty where it was a density."""
    if str(run.config["method"]).lower() == "dense":
        return {}
    return {words: found for key, words in _BUDGETS.items() if (found := number(run.config, key)) is not None}


def _asked(run: Run) -> str:
    shares = [f"{share(value)} of the {words}" for words, value in asked_budget(run).items()]
    return listed(shares) if shares else share(asked_density(run))


def cohorts_of(runs: Sequence[Run]) -> tuple[Cohort, ...]:
    """Put runs together that differ only in their seed.

    Args:
        runs: the runs.

    Returns:
        The cohorts by task, falling density, then method; each with a label that tells it from the others and a colour
        that its method has on the whole page.
    """
    together: dict[str, list[Run]] = {}
    for run in runs:
        together.setdefault(_key(run), []).append(run)
    found = [Cohort(tuple(sorted(some, key=seed_of))) for some in together.values()]
    found.sort(key=lambda c: (c.task, -c.density, _rank(c), number(c.first.config, "steps") or 0))
    return _with_tones(_with_labels(found))


def _key(run: Run) -> str:
    return json.dumps([method_name(run), _asked(run), _settings(run)], sort_keys=True, default=str)


def _settings(run: Run) -> dict[str, object]:
    """Everything that makes an experiment another one, the method's switches included."""
    switches = run.config.get("switches")
    settings = {key: value for key, value in run.config.items() if key not in _FREE and value is not None}
    if isinstance(switches, dict):
        settings |= {f"{key}=": value for key, value in switches.items() if key != "seed"}
    return settings


def _rank(cohort: Cohort) -> int:
    order = list(dict.fromkeys(_NAMES.values()))
    return order.index(cohort.method) if cohort.method in order else len(order)


def _with_labels(found: list[Cohort]) -> list[Cohort]:
    out = []
    for cohort in found:
        alike = [c for c in found if (c.method, c.asked, c.task) == (cohort.method, cohort.asked, cohort.task)]
        name = cohort.method if cohort.is_dense else f"{cohort.method} {cohort.asked}"
        label = ", ".join([name, *_differences(cohort, alike)])
        out.append(replace(cohort, label=label))
    return out


def _differences(cohort: Cohort, alike: list[Cohort]) -> list[str]:
    """What tells a cohort from others of its method and density: what it has unlike most of them."""
    settings = [_settings(c.first) for c in alike]
    own, words = _settings(cohort.first), {}
    for key in dict.fromkeys(key for some in settings for key in some):
        values = Counter(json.dumps(some.get(key), default=str) for some in settings)
        (usual, often), *others = values.most_common()
        is_usual = json.dumps(own.get(key), default=str) == usual and all(often > other for _, other in others)
        if key not in own or is_usual:
            continue
        value = own[key]
        if key in {"steps", "epochs"}:
            words[key] = f"{value:,.4g} {key}" if isinstance(value, float) else f"{value:,} {key}"
        else:
            words[key] = f"{key}{value}" if key.endswith("=") else f"{key} {value}"
    if "steps" in words:
        words.pop("epochs", None)  # the one follows from the other
    return list(words.values())


def _with_tones(found: list[Cohort]) -> tuple[Cohort, ...]:
    """The usual methods keep their colours in every report; variants and other methods take the next free ones."""
    usual = [name for name in dict.fromkeys(_NAMES.values()) if name != "Dense"]
    variants = dict.fromkeys((c.variant, c.method) for c in found if not c.is_dense)
    tones: dict[str, int] = {}
    for variant, method in variants:
        own = usual.index(method) if method in usual else None
        if own is not None and own not in tones.values():
            tones[variant] = own
    for variant, _ in variants:
        if variant not in tones:
            tones[variant] = next(n for n in range(_KEPT_TONES, 10**6) if n not in tones.values())
    return tuple(replace(c, tone=None if c.is_dense else tones[c.variant]) for c in found)
