"""The findings are the same whatever the number of workers; a search that is stopped says only what is proven."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from niwaki.patterns import (
    Findings,
    PatternError,
    Progress,
    Search,
    dealing,
    mining,
    passes,
    significant_patterns,
    state,
)
from niwaki.patterns.branches import Branch
from niwaki.patterns.budgets import Budget, Turn
from niwaki.patterns.job import Job, engine_of
from niwaki.patterns.layout import lay_out
from niwaki.patterns.memory import new_tally
from niwaki.patterns.shuffling import shuffled
from tests.patterns.engines import ARRAYS, ENGINES

joblib = pytest.importorskip("joblib", reason="more than one worker needs joblib")

SEARCHES = [
    Search(),
    Search(rule="grid", passes="two"),
    Search(rule="reference"),
    Search(max_size=2),
    Search(permutations=99, seed=1),
]


def _data(samples=300, width=14, seed=0, noise=0.25):
    generator = np.random.default_rng(seed)
    items = generator.random((samples, width)) < 0.5
    labels = items[:, [1, 4]].all(axis=1) ^ (generator.random(samples) < noise)
    return items, labels, generator.integers(0, 3, samples)


def _same(one: Findings, other: Findings) -> None:
    assert one.items == other.items
    for name in ("statistic", "p", "least_p", "odds_ratio", "low", "high", "q", "strata_support", "strata_cases"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    for name in ("threshold", "level", "testable", "inflation", "inflation_pooled", "complete"):
        assert getattr(one, name) == getattr(other, name), name
    assert (one.adjusted is None) == (other.adjusted is None)
    if one.adjusted is not None:
        assert one.adjusted.tolist() == other.adjusted.tolist()


def _in_small_slices(monkeypatch, patterns):
    """So many patterns, then all is handed back, by workers too: branches are cut and handed round many times."""
    monkeypatch.setattr(passes, "FIRST_SLICE", patterns)
    monkeypatch.setattr(dealing, "FIRST_STEP", patterns)
    monkeypatch.setattr(dealing, "FIRST_TURN", 0.0)
    monkeypatch.setattr(Budget, "adapt", lambda self: None)
    monkeypatch.setattr(Turn, "adapt", lambda self, worked: None)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: f"{s.rule}-{s.passes}-{s.max_size}-{s.permutations}")
@ENGINES
def test_the_findings_do_not_depend_on_the_workers(compiled, search, monkeypatch):
    # Threads, since processes start slowly.
    _in_small_slices(monkeypatch, 40)
    items, labels, strata = _data(width=14 if compiled else 9)
    alone = significant_patterns(items, labels, strata, search, compiled=compiled)
    assert len(alone) > 0
    with joblib.parallel_config(backend="threading"):
        for workers in (2, 3):
            _same(alone, significant_patterns(items, labels, strata, search, workers=workers, compiled=compiled))


@pytest.mark.parametrize("compiled", [ARRAYS, pytest.param(True, id="compiled", marks=pytest.mark.slow)])
def test_processes(compiled):
    items, labels, strata = _data(samples=500, width=18 if compiled else 8, noise=0.3)
    alone = significant_patterns(items, labels, strata, compiled=compiled)
    seen: list[Progress] = []
    _same(alone, significant_patterns(items, labels, strata, workers=2, compiled=compiled, progress=seen.append))
    assert seen[-1].share == pytest.approx(1.0)
    assert len(alone) > 0


@ENGINES
def test_a_backend_may_hand_over_arrays_that_cannot_be_written(compiled):
    # Dask and Ray share memory between tasks. Numba would compile anew for such arrays, for most of a minute.
    items, labels, strata = _data(width=12 if compiled else 8)
    layout = lay_out(items, labels, strata, 1)
    job = Job(layout, shuffled(layout, 99, 0), "walk_compiled" if compiled else "walk_arrays")
    tally = new_tally(layout, Search(permutations=99), state.SHUFFLE)
    expected = dealing._work(job, tally, dealing._Lot([Branch()], 0.0), 1)
    known = len(engine_of(job.engine).run.signatures) if compiled else 0
    for part in (*job.layout, *job.shuffles, *tally):
        part.flags.writeable = False
    found = dealing._work(job, tally, dealing._Lot([Branch()], 0.0), 1)
    assert found.best.tolist() == expected.best.tolist()
    assert found.left == expected.left and len(found.left) > 0
    assert (len(engine_of(job.engine).run.signatures) if compiled else 0) == known


def _stop_after(share: float, stage: str = "search"):
    def progress(now: Progress) -> None:
        if now.stage == stage and now.share >= share:
            raise KeyboardInterrupt

    return progress


def _planted(width=10):
    """Something so strong that it is proven long before the end."""
    generator = np.random.default_rng(4)
    items = generator.random((400, width)) < np.linspace(0.3, 0.7, width)
    return items, items[:, -1] ^ (generator.random(400) < 0.02), generator.integers(0, 2, 400)


@ENGINES
@pytest.mark.parametrize("rule", ["exact", "grid"])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_proven_when_stopped_is_in_the_end_result(compiled, rule, workers, monkeypatch):
    _in_small_slices(monkeypatch, 8)
    items, labels, strata = _planted()
    full = significant_patterns(items, labels, strata, Search(rule=rule), compiled=compiled)
    sizes = []
    with joblib.parallel_config(backend="threading"):
        for share in (0.0, 0.25, 0.5, 0.75):
            part = significant_patterns(
                items,
                labels,
                strata,
                Search(rule=rule),
                workers=workers,
                compiled=compiled,
                progress=_stop_after(share),
            )
            assert not part.complete
            assert set(part.items) <= set(full.items)
            # No more than Tarone's rule could allow if everything unseen were testable.
            assert part.level <= full.level
            assert (part.p <= part.level).all()
            assert np.isnan(part.q).all()
            assert np.isnan(part.threshold)
            sizes.append(len(part))
    assert sizes[-1] > 0
    assert sizes == sorted(sizes)


@ENGINES
def test_a_second_pass_that_is_stopped_keeps_what_it_has(compiled, monkeypatch):
    _in_small_slices(monkeypatch, 16)
    items, labels, strata = _planted()
    full = significant_patterns(items, labels, strata, compiled=compiled)
    stop = _stop_after(0.5, "collect")
    part = significant_patterns(items, labels, strata, Search(passes="two"), compiled=compiled, progress=stop)
    assert not part.complete
    assert part.level == full.level
    assert 0 < len(part) < len(full)
    assert set(part.items) < set(full.items)
    early = significant_patterns(
        items, labels, strata, Search(passes="two"), compiled=compiled, progress=_stop_after(0.5)
    )
    assert (early.complete, len(early)) == (False, 0)


@ENGINES
def test_against_shuffles_nothing_is_proven_before_the_end(compiled, monkeypatch):
    _in_small_slices(monkeypatch, 16)
    items, labels, strata = _planted()
    search = Search(permutations=99)
    part = significant_patterns(items, labels, strata, search, compiled=compiled, progress=_stop_after(0.5))
    assert (part.complete, len(part)) == (False, 0)
    assert len(significant_patterns(items, labels, strata, search, compiled=compiled)) > 0


@ENGINES
def test_what_is_too_small_for_a_number_is_not_proven_by_that(compiled, monkeypatch):
    _in_small_slices(monkeypatch, 8)
    generator = np.random.default_rng(0)
    items = generator.random((4000, 9)) < 0.5
    search, stop = Search(permutations=19), _stop_after(0.1)
    part = significant_patterns(items, items[:, 0], None, search, compiled=compiled, progress=stop)
    assert (part.complete, len(part)) == (False, 0)
    full = significant_patterns(items, items[:, 0], None, search, compiled=compiled)
    assert full[0].items == (0,)
    assert full[0].p == 0.0  # the statistic is 4000


@ENGINES
def test_ctrl_c_waits_for_the_end_of_a_slice(compiled, monkeypatch):
    items, labels, strata = _data(width=12)
    before = signal.getsignal(signal.SIGINT)
    asked: list[int] = []
    _in_small_slices(monkeypatch, 16)
    engine = engine_of("walk_compiled" if compiled else "walk_arrays")

    class Interrupted:
        visit = staticmethod(engine.visit)

        @staticmethod
        def run(*arguments):
            visited = int(arguments[2].numbers[state.VISITED])
            if visited == 16 and not asked:
                asked.append(visited)
                signal.raise_signal(signal.SIGINT)
            return engine.run(*arguments)

    monkeypatch.setattr(passes, "engine_of", lambda name: Interrupted)
    part = significant_patterns(items, labels, strata, compiled=compiled)
    assert not part.complete
    assert part.visited == 16 + 16  # the slice was finished all the same
    assert signal.getsignal(signal.SIGINT) is before


def test_the_number_of_workers_is_checked():
    items, labels, strata = _data(width=5)
    with pytest.raises(PatternError, match="workers=0; give a number of workers, or -1 for all cores"):
        significant_patterns(items, labels, strata, workers=0)
    assert mining._count(-1) >= 1
