"""Drop, grow, prune and their laws, against hand-worked cases and brute force."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from niwaki.allocate import Global
from niwaki.core import BudgetError, Context, Group, Pattern, Slice, TrainError, kept_gates
from niwaki.criteria import Magnitude
from niwaki.moves import Drop, Event, Explore, Grow, Prune, Restore, Timeline, merged, play

SCORE = Magnitude()


def group(name: str, size: int, **more: Any) -> Group:
    return Group(name, size, (Slice(name, (size,)),), **more)


def context(groups: list[Group], scores: dict[str, Tensor], home: dict[str, Tensor], **more: Any) -> Context:
    nothing = {name: torch.zeros_like(keep) for name, keep in home.items()}
    return Context(
        step=1,
        groups=groups,
        home=home,
        cycle=more.get("cycle", home),
        grown=more.get("grown", nothing),
        score=lambda criterion, one: scores[one.name],
        generator=torch.Generator(),
    )


def bits(text: str) -> Tensor:
    return torch.tensor([c == "1" for c in text])


def after(moves: list[Any], around: Context) -> dict[str, str]:
    _, home = play(moves, {name: kept_gates(keep) for name, keep in around.home.items()}, around)
    return {name: "".join(str(int(bit)) for bit in keep) for name, keep in home.items()}


def test_drop_takes_the_smallest_of_each_layer():
    # a: 4 active, floor(0.5 * 4) = 2 leave: scores 1 and 2. b: 2 active, 1 leaves: of equal scores the later.
    groups = [group("a", 6), group("b", 4)]
    scores = {"a": torch.tensor([4.0, 1, 3, 2, 9, 9]), "b": torch.tensor([5.0, 5, 0, 0])}
    around = context(groups, scores, {"a": bits("111100"), "b": bits("1100")})
    assert after([Drop(SCORE, 0.5)], around) == {"a": "101000", "b": "1000"}


def test_drop_in_global_scope_ranks_all_layers_together_with_a_floor():
    # 8 active, 4 leave. b's scores are all smaller, but b must keep two: ceil(0.5 * 4).
    groups = [group("a", 8), group("b", 4)]
    scores = {"a": torch.tensor([5.0, 6, 7, 8, 9, 0, 0, 0]), "b": torch.tensor([1.0, 2, 3, 0])}
    around = context(groups, scores, {"a": bits("11111000"), "b": bits("1110")})
    assert after([Drop(SCORE, 0.5, "global", min_share=0.5)], around) == {"a": "01111000", "b": "0110"}


def test_normalising_puts_layers_on_one_scale():
    # Norms: a 100, b 1; normalised a = (0.6, 0.8, 0, 0), b = (0.59, 0.8, 0, 0): 0.59 goes first.
    groups = [group("a", 4), group("b", 4)]
    scores = {"a": torch.tensor([60.0, 80, 0, 0]), "b": torch.tensor([0.59, 0.8, 0, 0])}
    around = context(groups, scores, {"a": bits("1100"), "b": bits("1100")})
    assert after([Drop(SCORE, 0.25, "global", "layer_l2")], around) == {"a": "1100", "b": "0100"}


def test_a_wholly_active_layer_is_passed_over_and_grace_spares_the_newcomers():
    groups = [group("full", 4), group("a", 6)]
    scores = {"full": torch.zeros(4), "a": torch.tensor([1.0, 2, 3, 4, 0, 0])}
    home = {"full": bits("1111"), "a": bits("111100")}
    assert after([Drop(SCORE, 0.5)], context(groups, scores, home)) == {"full": "1111", "a": "001100"}
    grown = {"full": bits("0000"), "a": bits("100000")}
    spared = after([Drop(SCORE, 0.5, grace=True)], context(groups, scores, home, grown=grown))
    assert spared == {"full": "1111", "a": "100100"}


def test_grow_gives_each_layer_back_what_it_gave():
    groups = [group("a", 5), group("b", 5)]
    scores = {"a": torch.tensor([9.0, 1, 7, 7, 2]), "b": torch.arange(5.0)}
    cycle = {"a": bits("11100"), "b": bits("11000")}
    around = context(groups, scores, {"a": bits("10000"), "b": bits("11000")}, cycle=cycle)
    assert after([Grow(SCORE)], around) == {"a": "10110", "b": "11000"}
    # Together: two are missing, and the best removed ones are a's 7 at index 2 and 3 (b's are 4 and 3).
    assert after([Grow(SCORE, "global")], around) == {"a": "10110", "b": "11000"}
    scores["b"] = torch.tensor([0.0, 0, 8, 0, 0])
    assert after([Grow(SCORE, "global")], around) == {"a": "10100", "b": "11100"}


def test_grow_fills_every_tile_of_a_pattern():
    one = group("a", 8, pattern=Pattern(2, 4))
    scores = {"a": torch.tensor([1.0, 5, 4, 3, 9, 8, 7, 6])}
    around = context([one], scores, {"a": bits("10000001")}, cycle={"a": bits("11000011")})
    assert after([Grow(SCORE)], around) == {"a": "11001001"}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 30), min_size=1, max_size=4),
    fraction=st.floats(0, 0.9),
    scope=st.sampled_from(["layer", "global"]),
    seed=st.integers(0, 10_000),
)
def test_prune_then_grow_keeps_the_count(sizes, fraction, scope, seed):
    generator = torch.Generator().manual_seed(seed)
    groups = [group(f"g{i}", size) for i, size in enumerate(sizes)]
    scores = {g.name: torch.rand(g.size, generator=generator) for g in groups}
    home = {g.name: torch.rand(g.size, generator=generator) < 0.5 for g in groups}
    home = {name: keep | (torch.arange(keep.numel()) == 0) for name, keep in home.items()}
    around = context(groups, scores, home)
    dropped = after([Drop(SCORE, fraction, scope)], around)
    regrown = after([Drop(SCORE, fraction, scope), Grow(SCORE, scope)], around)
    assert all(text.count("1") >= 1 for text in dropped.values())
    if scope == "layer":
        for name, keep in home.items():
            active = int(keep.sum())
            expected = min(int(fraction * active), active - 1, keep.numel() - active)
            assert dropped[name].count("1") == active - max(0, expected)
            assert regrown[name].count("1") == active
    assert sum(t.count("1") for t in regrown.values()) == sum(int(k.sum()) for k in home.values())


def test_groups_of_portions_are_pruned_on_where_they_kept_fewer_than_asked():
    # 0.9 asks for 9, and two portions of 4 stay; 0.89 asks for 9 once more, of the 8 that are left.
    one = group("a", 10, multiple_of=4)
    scores = {"a": torch.arange(10.0)}
    home, left = bits("1111111111"), []
    for density in (0.9, 0.89, 0.8, 0.75, 0.7, 0.4):
        kept = after([Prune(SCORE, Global(), density)], context([one], scores, {"a": home}))["a"]
        home = bits(kept)
        left.append(kept.count("1"))
    assert left == [8, 8, 8, 8, 4, 4]


def test_what_is_gone_does_not_come_back():
    around = context([group("a", 10)], {"a": torch.arange(10.0)}, {"a": bits("1110000000")})
    assert after([Prune(SCORE, Global(), 0.3)], around) == {"a": "1110000000"}
    with pytest.raises(BudgetError, match="the density asks for 5 of 10 units, but the groups can keep 1 to 3"):
        after([Prune(SCORE, Global(), 0.5)], around)


def test_pruning_twice_at_one_density_is_pruning_once():
    groups = [group("a", 10), group("b", 7)]
    generator = torch.Generator().manual_seed(0)
    scores = {g.name: torch.rand(g.size, generator=generator) for g in groups}
    around = context(groups, scores, {"a": torch.ones(10, dtype=torch.bool), "b": torch.ones(7, dtype=torch.bool)})
    prune = Prune(SCORE, Global(), 0.4)
    assert after([prune], around) == after([prune, prune], around)
    assert sum(text.count("1") for text in after([prune], around).values()) == 7


def test_exploring_keeps_the_structure_and_turns_the_gates_round():
    around = context([group("a", 4)], {"a": torch.zeros(4)}, {"a": bits("1100")})
    gates, home = play([Explore()], {"a": kept_gates(bits("1100"))}, around)
    assert home["a"].tolist() == [True, True, False, False]
    assert gates["a"].forward.all()
    assert gates["a"].train.tolist() == [False, False, True, True]
    assert after([Restore()], around) == {"a": "1111"}


def test_events_on_one_step_are_merged_and_looked_up():
    drop, explore, grow = Drop(SCORE, 0.1), Explore(), Grow(SCORE)
    timeline = merged(
        [Event(3, (drop,), "improve", window=3), Event(3, (explore,), "explore"), Event(5, (grow,), "train", window=2)],
        start="estimate",
    )
    assert [timeline.stage(step) for step in range(7)] == ["estimate"] * 3 + ["explore"] * 2 + ["train"] * 2
    event = timeline(3)
    assert event is not None
    assert (event.name, event.window, event.explores) == ("drop+explore", 3, True)
    assert timeline(4) is None
    upcoming = timeline.upcoming(3)
    assert upcoming is not None
    assert upcoming.step == timeline.last == 5
    assert timeline.upcoming(5) is None


def test_events_out_of_order_are_refused():
    with pytest.raises(TrainError, match=r"rising order; these are \[5, 3\]"):
        Timeline((Event(5, (Restore(),), "a"), Event(3, (Restore(),), "b")))
