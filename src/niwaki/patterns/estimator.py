"""Significant patterns in the manner of scikit-learn."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from .classes import Strata, binary_labels, strata_of
from .encode import Missing
from .errors import PatternError
from .features import features_of
from .findings import Findings, Progress
from .mining import significant_patterns
from .read import columns_of
from .settings import Passes, Rule, Search
from .table import Table, as_json, plain, write_text

# Share of the rarer label below which the chi-squared approximation is no longer trusted without a word.
_RARE = 0.15


class SignificantPatterns:
    """Which combinations of features go along with a label, given a covariate.

    Every combination, of any size, is tested within the strata of the covariate (Cochran, Mantel, Haenszel). The
    chance that anything at all is reported although nothing is there is at most ``alpha``.

    Args:
        alpha: that chance.
        rule: ``"exact"``, ``"grid"`` or ``"reference"``: how the threshold is found; see `Search`.
        passes: ``"one"``, or ``"two"`` for less memory.
        max_size: the most items of a pattern.
        min_support: the fewest samples that hold it.
        permutations: labels are shuffled so often for the threshold (Westfall and Young); 0 = not at all.
        seed: of the shuffles.
        confidence: of the intervals of the odds ratios.
        bins: parts that a column of numbers is cut into, at its quantiles.
        bins_of: other numbers of bins, by column.
        missing: a sample without a value has no item of that column (``"off"``), an item of its own (``"item"``), or
            is an error (``"error"``).
        positive: the label of class 1, where that is not clear.
        workers: how many share the search; the findings do not depend on it.
        compiled: whether to use numba; by default, if it is installed.
        progress: is told how far the search has come.

    After `fit`: ``results_`` (a `Table`: items, samples, cases, odds ratio with its interval, p, q ...), ``findings_``
    (the same as arrays, and what the search learned), ``names_`` of the items, ``classes_``, ``strata_``,
    ``left_out_``, ``notes_``, ``complete_`` (not so after Ctrl-C: then ``results_`` holds only what is proven).

    >>> generator = np.random.default_rng(0)
    >>> X = generator.random((200, 8)) < 0.5
    >>> found = SignificantPatterns().fit(X, X[:, 2] & X[:, 5], groups=generator.integers(0, 3, 200))
    >>> found.results_["items"][0]
    ('x2', 'x5')
    """

    def __init__(
        self,
        alpha: float = 0.05,
        *,
        rule: Rule = "exact",
        passes: Passes = "one",
        max_size: int | None = None,
        min_support: int = 1,
        permutations: int = 0,
        seed: int = 0,
        confidence: float = 0.95,
        bins: int = 4,
        bins_of: Mapping[str, int] | None = None,
        missing: Missing = "off",
        positive: str | None = None,
        workers: int = 1,
        compiled: bool | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.alpha = alpha
        self.rule = rule
        self.passes = passes
        self.max_size = max_size
        self.min_support = min_support
        self.permutations = permutations
        self.seed = seed
        self.confidence = confidence
        self.bins = bins
        self.bins_of = bins_of
        self.missing = missing
        self.positive = positive
        self.workers = workers
        self.compiled = compiled
        self.progress = progress

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Settings by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change settings by name.

        Raises:
            PatternError: there is no such setting.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise PatternError(f"there is no setting {name!r}; the names are {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        usual = inspect.signature(type(self)).parameters
        given = {name: value for name, value in self.get_params().items() if value != usual[name].default}
        return f"SignificantPatterns({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Search.

        Args:
            X: booleans or 0 and 1, ``[samples, items]``, dense or sparse; or a data frame or dictionary of columns,
                of which words, numbers and flags become items.
            y: labels, two values, ``[samples]``.
            groups: the covariate, ``[samples]``; or a data frame or dictionary of several, whose combinations are the
                strata. Without it all samples are alike.

        Returns:
            Itself.

        Raises:
            PatternError: data or settings that no search can be made of.
        """
        search = Search(
            alpha=self.alpha, rule=self.rule, passes=self.passes, max_size=self.max_size,
            min_support=self.min_support, permutations=self.permutations, seed=self.seed, confidence=self.confidence,
        )  # fmt: skip
        features = features_of(X, bins=self.bins, bins_of=self.bins_of, missing=self.missing)
        labels = binary_labels(_list(y), positive=self.positive)
        strata = _strata(groups, features.samples)
        for name, count in (("labels", len(labels.values)), ("groups", len(strata.values))):
            if count != features.samples:
                raise PatternError(f"there are {count} {name} for {features.samples} samples; give one for each")
        if not features.names:
            why = "; ".join(f"{name} {reason}" for name, reason in list(features.left_out.items())[:5]) or "X has none"
            raise PatternError(f"no column makes an item: {why}; give columns in which samples differ")
        how: dict[str, Any] = {"workers": self.workers, "compiled": self.compiled, "progress": self.progress}
        found = significant_patterns(features.table, labels.values, strata.values, search, **how)
        self.findings_: Findings = found
        self.names_ = self.feature_names_in_ = np.array(features.names, dtype=object)
        self.n_features_in_ = len(features.names)
        self.classes_ = np.array(labels.names, dtype=object)
        self.strata_ = tuple(strata.names[level] for level in found.strata)
        self.left_out_, self.notes_ = dict(features.left_out), (*features.notes, *_trust(found))
        self.complete_ = found.complete
        self.results_ = _results(found, features.names)
        return self

    def summary(self) -> dict[str, Any]:
        """Everything that was found, as plain data.

        Raises:
            PatternError: `fit` was not called yet.
        """
        if not hasattr(self, "findings_"):
            raise PatternError("nothing was searched yet; call fit(X, y, groups=c) first")
        found = self.findings_
        search = {name: value for name, value in self.get_params().items() if name != "progress"}
        whole: dict[str, Any] = plain(
            {
                "complete": found.complete,
                "samples": found.samples,
                "items": self.n_features_in_,
                "classes": self.classes_,
                "strata": [
                    {"name": name, "samples": size, "cases": cases}
                    for name, size, cases in zip(self.strata_, found.strata_sizes, found.strata_labels, strict=True)
                ],
                "threshold": found.threshold,
                "level": found.level,
                "testable": found.testable,
                "inflation": found.inflation,
                "inflation_without_covariate": found.inflation_pooled,
                "settings": search,
                "notes": self.notes_,
                "left_out": self.left_out_,
            }
        )
        whole["patterns"] = self.results_.plain_rows()
        return whole

    def save(self, path: Path | str) -> Path:
        """Write the results, in one step: afterwards the file is whole, or as it was before.

        Args:
            path: a ``.json`` file for everything, a ``.csv`` file for the table.

        Returns:
            The file.

        Raises:
            PatternError: another ending, or the file cannot be written.
        """
        path = Path(path)
        if path.suffix not in {".json", ".csv"}:
            raise PatternError(f"{path} ends in neither .json nor .csv; choose one of them")
        if not hasattr(self, "findings_"):
            raise PatternError("nothing was searched yet; call fit(X, y, groups=c) first")
        write_text(path, as_json(self.summary()) if path.suffix == ".json" else self.results_.to_csv())
        return path


def _trust(found: Findings) -> tuple[str, ...]:
    # Measured: with a fifth of either label the promise held, with a tenth it was broken two to six times as often.
    share = sum(found.strata_labels) / found.samples
    if found.search.permutations or min(share, 1 - share) >= _RARE:
        return ()
    return (
        f"label 1 has {100 * share:.3g} % of the samples: where one label is that rare the formula promises too "
        "much for small patterns; give permutations=1000 (--permutations), with min_support so that a few cases are "
        "expected",
    )


def _list(values: Any) -> Any:
    """Labels as a sequence or array, whatever column they come as."""
    if isinstance(values, np.ndarray):
        return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values
    for way in ("to_pylist", "to_list", "tolist"):
        if hasattr(values, way):
            return getattr(values, way)()
    return list(values)


def _strata(groups: Any, samples: int) -> Strata:
    if groups is None:
        return Strata(np.zeros(samples, dtype=np.int64), ("all",))
    if isinstance(groups, Mapping):
        return strata_of({str(name): _list(values) for name, values in groups.items()})
    if hasattr(groups, "columns") and hasattr(groups, "__getitem__"):
        return strata_of(columns_of(groups))
    values = _list(groups)
    return strata_of({str(getattr(groups, "name", None) or "group"): values})


def _results(found: Findings, names: tuple[str, ...]) -> Table:
    # All members at once: there may be a million of them, and one by one they would take as long as the search.
    members, ends = list(map(names.__getitem__, found.members.tolist())), found.offsets.tolist()
    patterns = [tuple(members[start:end]) for start, end in zip(ends, ends[1:], strict=False)]
    columns: dict[str, Any] = {
        "items": patterns,
        "size": np.diff(found.offsets).tolist(),
        "samples": found.support.tolist(),
        "cases": found.cases.tolist(),
        "odds_ratio": found.odds_ratio.tolist(),
        "low": found.low.tolist(),
        "high": found.high.tolist(),
        "p": found.p.tolist(),
        "q": [None if math.isnan(value) else value for value in found.q.tolist()],
        "statistic": found.statistic.tolist(),
        "least_p": found.least_p.tolist(),
    }
    if found.adjusted is not None:
        columns["adjusted"] = found.adjusted.tolist()
    return Table(columns)
