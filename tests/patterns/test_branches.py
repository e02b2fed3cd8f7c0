"""What is left of a search, cut into pieces, and how long workers search before they hand back what they found."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.patterns import Search, budgets, state
from niwaki.patterns.branches import _most
from niwaki.patterns.budgets import Budget, Turn
from niwaki.patterns.job import engine_of
from niwaki.patterns.layout import lay_out
from niwaki.patterns.memory import new_tally
from niwaki.patterns.shuffling import no_shuffles
from niwaki.patterns.slices import start
from tests.patterns.engines import ENGINES


def _data(samples, width):
    generator = np.random.default_rng(0)
    items = generator.random((samples, width)) < 0.5
    labels = items[:, [1, 4]].all(axis=1) ^ (generator.random(samples) < 0.25)
    return items, labels, generator.integers(0, 3, samples)


def test_a_branch_bounds_its_patterns():
    assert _most(5, None) == 31  # all non-empty subsets
    assert _most(5, 2) == 15  # 5 and 10
    assert _most(5, 0) == 0


@ENGINES
@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize("visited", [0, 1, 37, 120])
def test_the_pieces_of_a_search_are_the_whole(compiled, size, visited):
    items, labels, strata = _data(samples=200, width=9)
    layout = lay_out(items, labels, strata, 1)
    shuffles, engine = no_shuffles(layout), engine_of("walk_compiled" if compiled else "walk_arrays")

    def fresh():
        return new_tally(layout, Search(max_size=size, alpha=0.9), state.COLLECT)

    def seen(walk):
        walk.advance(1 << 20)
        return int(walk.tally.numbers[state.VISITED])

    whole = seen(start(layout, fresh(), shuffles, engine))
    walk = start(layout, fresh(), shuffles, engine)
    walk.advance(visited)
    for grain in (1.0, 0.1, 0.01, 0.0):
        pieces = walk.branches(grain=grain)
        assert visited + sum(seen(start(layout, fresh(), shuffles, engine, piece)) for piece in pieces) == whole
        assert sum(piece.share for piece in pieces) == pytest.approx(sum(b.share for b in walk.branches()))
        assert sum(piece.most for piece in pieces) == sum(branch.most for branch in walk.branches())
        # A piece is cut again: the search of the first half of one, and what is then left of it.
        largest = max(pieces, key=lambda piece: piece.share)
        half = start(layout, fresh(), shuffles, engine, largest)
        half.advance(5)
        done = int(half.tally.numbers[state.VISITED])
        rest = sum(seen(start(layout, fresh(), shuffles, engine, b)) for b in half.branches(largest.share, grain / 2))
        assert done + rest == seen(start(layout, fresh(), shuffles, engine, largest))
    assert len(walk.branches(grain=0.0)) > len(walk.branches()) > 0


def test_turns_grow_while_all_have_work_and_shrink_where_one_has_none(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(budgets.time, "perf_counter", lambda: clock[0])
    turn, found = Turn(0.01), []

    def take(way, *worked):
        clock[0] += max(worked) + way
        turn.adapt(list(worked))
        found.append(turn.seconds)

    for _ in range(5):
        take(0.0, turn.seconds, turn.seconds)
    assert found == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.2])  # a fifth of a second is enough
    take(0.0, 0.2, 0.01)
    take(0.0, 0.1, 0.0)
    assert found[5:] == pytest.approx([0.1, 0.05])
    found.clear()
    for _ in range(8):
        take(0.4, turn.seconds, turn.seconds)  # four times as long as the way
    assert found[-1] == pytest.approx(1.6)
    take(60.0, 1.6, 1.6)
    take(60.0, 3.2, 3.2)
    assert found[-1] == pytest.approx(4.0)  # nearly a minute on the way: some seconds all the same


def test_a_budget_stays_a_number_that_fits(monkeypatch):
    budget = Budget(256)
    for _ in range(100):  # each slice done in no time
        budget.adapt()
    assert 256 < budget.patterns <= 1 << 22
    monkeypatch.setattr(budgets.time, "perf_counter", iter(range(1000, 2000)).__next__)
    for _ in range(100):  # each in a second
        budget.adapt()
    assert budget.patterns == 16
