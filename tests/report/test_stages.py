"""Stages follow from moves, without gaps."""

from __future__ import annotations

from niwaki.report.read import read_run
from niwaki.report.stages import Stage, cycle_in_words, cycle_length, folded, stages_of
from tests.report.synthetic import make_run


def test_the_stages_of_iee_are_those_of_its_cycle(tmp_path):
    # 75 % of 400 steps hold three cycles of 40 + 30 + 20 steps; the last one is followed by plain training.
    run = read_run(make_run(tmp_path / "a", steps=400, cycle=(40, 30, 20)))
    found = [(s.name, s.begin, s.end) for s in stages_of(run)]
    assert found == [
        ("estimate", 0, 40), ("improve", 40, 70), ("explore", 70, 90),
        ("estimate", 90, 130), ("improve", 130, 160), ("explore", 160, 180),
        ("estimate", 180, 220), ("improve", 220, 250), ("explore", 250, 270),
        ("train", 270, 400),
    ]  # fmt: skip
    assert cycle_in_words(stages_of(run)) == "40 steps of estimate, then 30 of improve, then 20 of explore"
    assert cycle_length(stages_of(run)) == 90


def test_moves_that_change_no_stage_leave_one(tmp_path):
    run = read_run(make_run(tmp_path / "a", "rigl", steps=600))
    assert [(s.name, s.begin, s.end) for s in stages_of(run)] == [("train", 0, 600)]
    assert cycle_in_words(stages_of(run)) is None
    assert cycle_length(stages_of(run)) is None


def test_a_killed_run_ends_where_it_was_killed(tmp_path):
    run = read_run(make_run(tmp_path / "a", stop=110))
    last = stages_of(run)[-1]
    assert (last.name, last.begin, last.end) == ("estimate", 100, 109)


def test_folding_keeps_every_step_and_the_rest_of_the_run():
    cycle = [Stage(name, 9 * n + a, 9 * n + b) for n in range(50) for name, a, b in (("a", 0, 4), ("b", 4, 9))]
    stages = [*cycle, Stage("train", 450, 600)]
    assert folded(stages, 200) == tuple(stages)
    one, rest = folded(stages, 60)
    assert (one.name, one.begin, one.end, one.tone) == ("cycles of a and b", 0, 450, "cycles")
    assert rest == stages[-1]


def test_unknown_stages_share_a_colour():
    assert Stage("explore", 0, 1).tone == "explore"
    assert Stage('"><script>', 0, 1).tone == "other"
