"""Who is harmed by compression: the subgroups of examples that a smaller model loses more often than others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..patterns import OutOfReach, PatternError, Progress, SignificantPatterns
from ..patterns.encode import Items, Missing, items_of
from ..patterns.read import columns_of

Among = Literal["right", "all"]


@dataclass(frozen=True, eq=False)
class Subgroup:
    """Examples that share some attributes and are lost more often than others of their stratum.

    Args:
        attributes: what they share.
        examples: how many were tested.
        lost: how many of these the model got right before and gets wrong after.
        gained: how many examples of the subgroup went the other way.
        elsewhere: the share lost among the examples that were tested and are not in the subgroup.
        accuracy_before: over all examples of the subgroup.
        accuracy_after: likewise.
        odds_ratio: of being lost, in the subgroup against elsewhere, within the strata (Mantel and Haenszel).
        low: lower end of its interval.
        high: upper end.
        p: the p-value of its own test.
        adjusted: the family-wise p-value: how often shuffled losses gave any subgroup as clear as this; ``None``
            without permutations.
        indices: the examples that are lost, as positions in the data.
    """

    attributes: tuple[str, ...]
    examples: int
    lost: int
    gained: int
    elsewhere: float
    accuracy_before: float
    accuracy_after: float
    odds_ratio: float
    low: float
    high: float
    p: float
    adjusted: float | None
    indices: NDArray[np.int64]

    @property
    def rate(self) -> float:
        """The share lost in the subgroup."""
        return self.lost / self.examples


@dataclass(frozen=True, eq=False)
class Audit:
    """The harmed subgroups by p-value, and what they were sought among.

    Args:
        subgroups: those found; the chance that any of them is there by accident is at most ``alpha``.
        spared: how many subgroups are lost significantly *less* often.
        examples: all of them.
        tested: those that were compared.
        lost: right before and wrong after.
        gained: wrong before and right after.
        accuracy_before: over all examples.
        accuracy_after: likewise.
        strata: the strata, such as classes, that were held fixed.
        alpha: the chance of any false finding.
        level: the p-value below which a subgroup is significant.
        complete: whether the search came to its end.
        notes: what was decided about the data, or why nothing could be found.
    """

    subgroups: tuple[Subgroup, ...]
    spared: int
    examples: int
    tested: int
    lost: int
    gained: int
    accuracy_before: float
    accuracy_after: float
    strata: tuple[str, ...]
    alpha: float
    level: float
    complete: bool
    notes: tuple[str, ...]


def audit(
    attributes: Any,
    labels: Any,
    before: Any,
    after: Any,
    *,
    strata: Any = None,
    among: Among = "right",
    alpha: float = 0.05,
    max_size: int | None = 3,
    min_support: int | None = None,
    permutations: int = 1000,
    seed: int = 0,
    bins: int = 4,
    missing: Missing = "off",
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Audit:
    """Find the combinations of attributes whose examples are more often right before and wrong after.

    The examples that the dense model gets right are compared within each class: of those with the attributes, is a
    larger share lost? Every combination is tested, and the chance that any false one is reported is at most ``alpha``.

    Losses are shuffled within the classes to find what is beyond accident (Westfall and Young). The formula alone would
    promise too much here: it holds for many losses, and where few were lost it gave alarms in half of all harmless
    cases.

    Args:
        attributes: a data frame or a dictionary of columns, one value for each of the ``n`` examples.
        labels: the true classes, ``[n]``.
        before: what the dense model predicts: classes ``[n]`` or scores ``[n, classes]``.
        after: what the compressed model predicts, likewise.
        strata: a covariate, or a dictionary of several, to hold fixed in place of the class.
        among: ``"right"`` compares the examples that were right before, ``"all"`` every example: then subgroups count
            too that were only easier before.
        alpha: the chance of any false finding.
        max_size: the most attributes of a subgroup.
        min_support: the fewest examples of a subgroup; by default so many that one loss is expected among them. Smaller
            subgroups raise the threshold for all.
        permutations: shuffle so often for the threshold; 0 trusts the formula.
        seed: of the shuffles.
        bins: parts that an attribute of numbers is cut into.
        missing: what a missing attribute means; see `niwaki.patterns.encode.items_of`.
        workers: processes.
        progress: is told how far the search has come.

    Returns:
        The audit.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(0, 2, 600)
    >>> dark = rng.random(600) < 0.3
    >>> after = np.where(dark & (rng.random(600) < 0.4), 1 - truth, truth)
    >>> [found.attributes for found in audit({"dark": dark}, truth, truth, after).subgroups]
    [('dark',)]
    """
    truth, first, second = _predictions(labels, before, after)
    count = len(truth)
    items = _items(attributes, count, bins=bins, missing=missing)
    was_right, is_right = first == truth, second == truth
    rows = np.flatnonzero(was_right | (_checked(among) == "all"))
    lost = was_right & ~is_right
    facts: dict[str, Any] = {
        "examples": count, "tested": len(rows), "lost": int(lost.sum()), "gained": int((~was_right & is_right).sum()),
        "accuracy_before": float(was_right.mean()), "accuracy_after": float(is_right.mean()), "alpha": alpha,
    }  # fmt: skip
    if not lost[rows].any() or lost[rows].all():
        return _nothing(f"{'every' if lost.any() else 'no'} example is lost: there is nothing to compare", items, facts)
    held = _held(strata, truth, rows)
    least = int(np.ceil(len(rows) / lost[rows].sum())) if min_support is None else min_support
    how: dict[str, Any] = {"permutations": permutations, "seed": seed, "workers": workers, "progress": progress}
    search = SignificantPatterns(alpha, max_size=max_size, min_support=least, **how)
    try:
        search.fit(_some(items, rows), lost[rows], groups=held)
    except OutOfReach as error:
        return _nothing(str(error), items, facts)
    return _gathered(search, items, rows, (lost, was_right, is_right), facts)


def _checked(among: str) -> str:
    if among not in ("right", "all"):
        raise PatternError(f"among={among!r} is unknown; choose from right, all")
    return among


def _predictions(labels: Any, before: Any, after: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    # Classes of truth and both models, checked against each other.
    truth = np.asarray(labels)
    if truth.ndim != 1 or not len(truth):
        raise PatternError(f"labels have shape {truth.shape}; give the class of each example, [n]")
    found = []
    for name, values in (("before", before), ("after", after)):
        given = np.asarray(values)
        if given.ndim == 2 and given.shape[1] > 1:
            if not np.isfinite(given).all():
                raise PatternError(
                    f"the scores of {name} hold NaN or infinite values; a model that broke has no ranking"
                )
            given = given.argmax(axis=1)
        if given.shape != truth.shape:
            raise PatternError(f"{name} has shape {given.shape} for {len(truth)} labels; give [n] or [n, classes]")
        if given.dtype.kind in "US" and truth.dtype.kind not in "US":
            raise PatternError(f"{name} holds words and the labels do not; name classes in one way")
        found.append(given)
    if truth.dtype.kind in "US" and any(given.dtype.kind not in "US" for given in found):
        raise PatternError("the labels are words and predictions are numbers; name classes in one way")
    return truth, found[0], found[1]


def _items(attributes: Any, count: int, *, bins: int, missing: Missing) -> Items:
    columns = attributes if isinstance(attributes, dict) else columns_of(attributes)
    items = items_of(columns, bins=bins, missing=missing)
    if len(items.values) != count:
        raise PatternError(f"there are attributes of {len(items.values)} examples and {count} labels; give as many")
    if not items.names:
        raise PatternError("no attribute tells examples apart: each is the same for all of them")
    return items


def _some(items: Items, rows: NDArray[np.int64]) -> Items:
    return Items(items.values[rows], items.names, items.columns)


def _held(strata: Any, truth: NDArray[Any], rows: NDArray[np.int64]) -> dict[str, Any]:
    if strata is None:
        return {"class": truth[rows].astype(str)}
    columns = strata if isinstance(strata, dict) else {"stratum": strata}
    for name, values in columns.items():
        if len(values) != len(truth):
            raise PatternError(f"the stratum {name!r} has {len(values)} values for {len(truth)} examples")
    return {name: np.asarray(values)[rows] for name, values in columns.items()}


def _nothing(why: str, items: Items, facts: dict[str, Any]) -> Audit:
    return Audit((), 0, strata=(), level=0.0, complete=True, notes=(why, *items.notes), **facts)


def _trust(search: SignificantPatterns) -> tuple[str, ...]:
    least = f"subgroups of fewer than {search.min_support} examples were not tested"
    if search.permutations:
        early = () if search.complete_ else ("against shuffled losses nothing is proven before the end of the search",)
        return (f"losses were shuffled {search.permutations:,} times within the strata", least, *early)
    return ("losses were not shuffled: the formula promises too much where few examples are lost", least)


def _gathered(
    search: SignificantPatterns,
    items: Items,
    rows: NDArray[np.int64],
    outcomes: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]],
    facts: dict[str, Any],
) -> Audit:
    lost, was_right, is_right = outcomes
    found, tested = [], np.zeros(len(lost), dtype=np.bool_)
    tested[rows] = True
    spared = 0
    for pattern in search.findings_:
        if not pattern.odds_ratio > 1:
            spared += 1
            continue
        inside = items.values[:, list(pattern.items)].all(axis=1)
        outside = tested & ~inside
        found.append(
            Subgroup(
                attributes=tuple(items.names[item] for item in pattern.items),
                examples=int((inside & tested).sum()),
                lost=int((inside & lost).sum()),
                gained=int((inside & ~was_right & is_right).sum()),
                elsewhere=float(lost[outside].mean()) if outside.any() else 0.0,
                accuracy_before=float(was_right[inside].mean()),
                accuracy_after=float(is_right[inside].mean()),
                odds_ratio=pattern.odds_ratio,
                low=pattern.low,
                high=pattern.high,
                p=pattern.p,
                adjusted=pattern.adjusted,
                indices=np.flatnonzero(inside & lost),
            )
        )
    level = search.findings_.level
    notes = (*_trust(search), *items.notes, *(f"{name} {why}" for name, why in items.left_out.items()))
    return Audit(
        tuple(found), spared, strata=search.strata_, level=level, complete=search.complete_, notes=notes, **facts
    )
