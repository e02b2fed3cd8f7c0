"""Significant patterns given a categorical covariate: the search from data to findings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import state
from .bounds import envelope, p_value
from .errors import OutOfReach, PatternError
from .findings import Findings, Ints, Progress
from .job import Job
from .layout import Layout, Packed, lay_out
from .memory import new_tally
from .passes import run_pass
from .settings import Search
from .shuffling import no_shuffles, shuffled
from .verdict import Verdict, collect_from, gathered, interim, judged

_EVERYTHING = Search()


def significant_patterns(
    items: ArrayLike | Packed,
    labels: ArrayLike,
    strata: ArrayLike | None = None,
    search: Search = _EVERYTHING,
    *,
    workers: int = 1,
    compiled: bool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Findings:
    """All combinations of items that go along with the labels, within the strata of a covariate.

    Every pattern (a set of items that hold together) is tested with the statistic of Cochran, Mantel and Haenszel. The
    probability that anything is reported although nothing is there is at most ``search.alpha``, over all patterns of
    any size. Patterns that could not become significant with any labels are not counted (Tarone), and whole
    subtrees of such patterns are not looked at.

    Args:
        items: true where a sample has an item, ``[samples, items]``; or packed: see `pack` and `pack_columns`.
        labels: 0 or 1, ``[samples]``.
        strata: whole numbers, one a level of the covariate, ``[samples]``; without it all samples are alike.
        search: the settings.
        workers: how many share the work by joblib: threads where the search is compiled, else processes, unless
            ``joblib.parallel_config`` says otherwise (another backend, other machines). -1 takes all cores. The
            findings do not depend on it.
        compiled: whether to use numba; by default, if it is installed.
        progress: is called several times a second. It may raise ``KeyboardInterrupt``, which does as Ctrl-C does: the
            search ends, and the findings hold only what is proven by then.

    Returns:
        The findings, by p-value.

    Raises:
        OutOfReach: too few samples, or too few of one label; other data or settings that allow no search raise
            `PatternError` itself.

    >>> generator = np.random.default_rng(0)
    >>> items = generator.random((200, 8)) < 0.5
    >>> labels = items[:, 2] & items[:, 5]
    >>> found = significant_patterns(items, labels, generator.integers(0, 3, 200))
    >>> found[0].items, found.complete
    ((2, 5), True)

    Source: Papaxanthos, Llinares-López, Bodenham, Borgwardt, *Finding significant combinations of features in the
    presence of categorical covariates*, NIPS 2016; the bound holds here for all margins, not only the small ones.
    """
    table, marks, levels, numbers = _checked(items, labels, strata)
    layout = lay_out(table, marks, numbers, search.min_support)
    if wrong := _out_of_reach(layout, search):
        raise OutOfReach(wrong)
    count = _count(workers)
    drawn = (search.permutations, search.seed, count)
    shuffles = shuffled(layout, *drawn) if search.permutations else no_shuffles(layout)
    job = Job(layout, shuffles, _engine(compiled), count, progress)
    mode = state.SHUFFLE if search.permutations else state.CLIMB
    in_one = search.passes == "one" and (search.rule != "reference" or mode == state.SHUFFLE)
    first = run_pass(job, new_tally(layout, search, mode, log=in_one))
    if first.left:
        return gathered(layout, levels, search, first.tally, interim(first, search))
    verdict = judged(first.tally, shuffles, search)
    if in_one:
        return gathered(layout, levels, search, first.tally, verdict)
    again = Job(layout, shuffles, job.engine, job.workers, progress, "collect")
    second = run_pass(again, collect_from(layout, search, verdict))
    verdict = Verdict(**{**verdict.__dict__, "complete": not second.left})
    return gathered(layout, levels, search, second.tally, verdict)


def _checked(
    items: ArrayLike | Packed, labels: ArrayLike, strata: ArrayLike | None
) -> tuple[NDArray[np.bool_] | Packed, NDArray[np.bool_], Ints, Ints]:
    # Items, labels, the levels of the covariate, and the number of each sample's level.
    table = items if isinstance(items, Packed) else _booleans(items)
    samples = table.samples if isinstance(table, Packed) else table.shape[0]
    width = len(table.bits) if isinstance(table, Packed) else table.shape[1]
    if not samples or not width:
        raise PatternError(f"there are {samples} samples and {width} items; give at least one of each")
    marks = _column("labels", labels, samples)
    strange = sorted({*np.unique(marks).tolist()} - {0, 1})
    if strange:
        raise PatternError(f"labels must be 0 and 1, but there are {_some(strange)}; name one class 1, the rest 0")
    if marks.min() == marks.max():
        raise PatternError(f"all {samples} labels are {int(marks[0])}; there is nothing to tell apart")
    if strata is None:
        return table, marks.astype(np.bool_), np.zeros(1, np.int64), np.zeros(samples, np.int64)
    covariate = _column("strata", strata, samples)
    if (covariate != np.floor(covariate)).any():
        wrong = covariate[covariate != np.floor(covariate)][:1].tolist()
        raise PatternError(f"strata must be whole numbers, but there is {_some(wrong)}; number the levels or bin them")
    levels, numbers = np.unique(covariate.astype(np.int64), return_inverse=True)
    return table, marks.astype(np.bool_), levels, numbers.astype(np.int64)


def _booleans(items: ArrayLike) -> NDArray[np.bool_]:
    table = np.asarray(items)
    if table.ndim != 2:
        raise PatternError(f"items have shape {table.shape}; give a table [samples, items]")
    if table.dtype == np.bool_:
        return table
    if table.dtype.kind not in "iuf":
        raise PatternError(f"items are {table.dtype}; give booleans, or 0 and 1")
    if table.dtype.kind == "f" and np.isnan(table).any():
        row, column = np.argwhere(np.isnan(table))[0].tolist()
        raise PatternError(f"items hold no value at sample {row}, item {column} (nan); decide what it means first")
    is_strange = (table != 0) & (table != 1)
    if is_strange.any():
        row, column = np.argwhere(is_strange)[0].tolist()
        raise PatternError(
            f"items must be 0 and 1, but sample {row}, item {column} is {table[row, column]}; bin such columns first"
        )
    return table.astype(np.bool_)


def _column(name: str, values: ArrayLike, samples: int) -> NDArray[np.float64]:
    column = np.asarray(values)
    if column.shape != (samples,):
        raise PatternError(f"{name} have shape {column.shape}, but there are {samples} samples; give one for each")
    if column.dtype.kind not in "biuf":
        raise PatternError(f"{name} are {column.dtype}; give whole numbers")
    numbers = column.astype(np.float64)
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise PatternError(f"{name} hold {numbers[place]} at sample {place}; leave such samples out")
    return numbers


def _some(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values[:5]) + (" ..." if len(values) > 5 else "")


def _out_of_reach(layout: Layout, search: Search) -> str:
    """What is wrong if not even the best pattern that these strata allow could be significant."""
    best = float(p_value(envelope(layout.sizes, layout.sizes, layout.ones)))
    if best <= search.alpha:
        return ""
    strata = "1 stratum" if len(layout.sizes) == 1 else f"{len(layout.sizes)} strata"
    return (
        f"no pattern could be significant at alpha={search.alpha}: with {int(layout.sizes.sum())} samples in "
        f"{strata} the smallest p-value in reach is {best:.3g}; it takes more samples, fewer strata, "
        "or strata that hold both labels"
    )


def _engine(compiled: bool | None) -> str:
    has_numba = find_spec("numba") is not None
    if find_spec("scipy") is None:
        raise PatternError("the search for patterns needs scipy: pip install 'niwaki[statistics]'")
    if compiled and not has_numba:
        raise PatternError("compiled=True needs numba: pip install 'niwaki[statistics]', or leave it out")
    return "walk_compiled" if has_numba and compiled is not False else "walk_arrays"


def _count(workers: int) -> int:
    if workers == 1:
        return 1
    if workers < -1 or workers == 0:
        raise PatternError(f"workers={workers}; give a number of workers, or -1 for all cores")
    if find_spec("joblib") is None:
        raise PatternError("more than one worker needs joblib: pip install 'niwaki[statistics]'")
    from joblib import effective_n_jobs

    return int(effective_n_jobs(workers))
