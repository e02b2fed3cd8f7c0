"""The comparison: means computed by numpy, claims only where the seeds allow them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from niwaki.report import comparison
from niwaki.report.budget import equal_spending
from niwaki.report.cohorts import cohorts_of
from niwaki.report.compare import accuracy, blocks_of, verdicts
from niwaki.report.paired import differences, seed_by_seed
from niwaki.report.read import read_runs
from tests.report.parsed import records, result
from tests.report.synthetic import SIZE, make_run


def _with_accuracies(folder, method, accuracies, **more):
    """Runs that end at given accuracies."""
    runs = []
    for seed, reached in enumerate(accuracies):
        run = make_run(folder / f"{method}-{seed}", method, seed=seed, steps=600, **more)
        path = run / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": reached}))
        runs.append(run)
    return runs


def _only_block(runs):
    (block,) = blocks_of(cohorts_of(read_runs(runs)))
    return block


def test_rows_hold_means_and_ranges_over_seeds(tmp_path):
    runs = {m: [make_run(tmp_path / f"{m}{s}", m, seed=s) for s in range(3)] for m in ("dense", "iee", "rigl")}
    rows = {row["label"]: row for row in comparison([run for some in runs.values() for run in some])}
    assert list(rows) == ["Dense", "IEE 5 %".replace(" %", "\N{NO-BREAK SPACE}%"), "RigL 5\N{NO-BREAK SPACE}%"]
    for row, method in zip(rows.values(), ("dense", "iee", "rigl"), strict=True):
        found = [result(run) for run in runs[method]]
        accuracies = np.array([r["accuracy"] for r in found])
        assert row["accuracy"] == pytest.approx(accuracies.mean())
        assert row["accuracy_min"] == accuracies.min()
        assert row["accuracy_max"] == accuracies.max()
        assert row["accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
        assert row["flops"] == pytest.approx(np.mean([r["flops"] for r in found]))
        assert row["dense_runs"] == pytest.approx(np.mean([r["dense_runs"] for r in found]))
        assert row["seeds"] == [0, 1, 2]
        assert (row["runs"], row["unfinished"]) == (3, 0)
        assert row["peak_memory"] == 413_000_000  # the mean of 412, 413 and 414 MB
        assert row["weights_kept"] == round(row["density"] * SIZE)
    json.dumps(list(rows.values()))


def test_one_run_has_no_deviation_and_unknown_flops_stay_unknown(tmp_path):
    (row,) = comparison([make_run(tmp_path / "a", flops=False)])
    assert row["accuracy_std"] is None
    assert row["flops"] is None
    assert row["dense_runs"] is None
    assert row["verdict"] == ""


def test_apart_is_best(tmp_path):
    runs = _with_accuracies(tmp_path, "iee", [0.95, 0.96, 0.97]) + _with_accuracies(
        tmp_path, "rigl", [0.92, 0.93, 0.94]
    )
    assert [(row["method"], row["verdict"]) for row in comparison(runs)] == [("IEE", "best"), ("RigL", "")]


def test_the_published_method_is_not_favoured(tmp_path):
    runs = _with_accuracies(tmp_path, "iee", [0.9, 0.9, 0.9]) + _with_accuracies(tmp_path, "rigl", [0.92, 0.93, 0.94])
    assert [(row["method"], row["verdict"]) for row in comparison(runs)] == [("IEE", ""), ("RigL", "best")]


def test_overlap_is_no_claim(tmp_path):
    # The lowest seed of the one is as good as the highest of the other.
    runs = _with_accuracies(tmp_path, "iee", [0.94, 0.96, 0.97]) + _with_accuracies(
        tmp_path, "rigl", [0.92, 0.93, 0.94]
    )
    iee, rigl = comparison(runs)
    assert iee["verdict"] == "highest"
    assert "overlaps with RigL" in iee["why"]
    assert "no claim" in iee["why"]
    # 2, 3 and 3 points, by hand.
    assert rigl["verdict"] == ""
    assert rigl["why"].split() == "seed by seed 2.67 ± 0.58 points below".split()


def test_seeds_are_compared_with_themselves(tmp_path):
    # The seeds scatter by ten points, the methods differ by one, and the runs do not come in the order of seeds.
    runs = _with_accuracies(tmp_path, "iee", [0.91, 0.81, 0.71])
    runs += list(reversed(_with_accuracies(tmp_path, "rigl", [0.90, 0.80, 0.70, 0.30])))
    iee, rigl = cohorts_of(read_runs(runs))
    assert differences(iee, rigl, accuracy) == pytest.approx([0.01, 0.01, 0.01])
    assert seed_by_seed(rigl, iee, accuracy).split() == "seed by seed 1.00 ± 0.00 points below".split()
    assert seed_by_seed(iee, rigl, accuracy).split()[-1] == "above"


def test_a_seed_that_comes_twice_counts_once_and_one_in_common_says_nothing(tmp_path):
    again = _with_accuracies(tmp_path / "again", "iee", [0.95])
    runs = again + _with_accuracies(tmp_path, "iee", [0.91]) + _with_accuracies(tmp_path, "rigl", [0.90, 0.80])
    iee, rigl = cohorts_of(read_runs(runs))
    assert differences(iee, rigl, accuracy) == pytest.approx([0.03])
    assert seed_by_seed(rigl, iee, accuracy) == ""


def test_runs_of_other_lengths_are_not_compared_seed_by_seed(tmp_path):
    runs = _with_accuracies(tmp_path, "iee", [0.91, 0.92])
    runs += [make_run(tmp_path / f"long{s}", "rigl", seed=s, steps=900) for s in range(2)]
    iee, rigl = cohorts_of(read_runs(runs))
    assert differences(iee, rigl, accuracy) == []


def test_two_seeds_are_no_claim(tmp_path):
    runs = _with_accuracies(tmp_path, "iee", [0.96, 0.97]) + _with_accuracies(tmp_path, "rigl", [0.92, 0.93, 0.94])
    iee, _ = comparison(runs)
    assert iee["verdict"] == "highest"
    assert iee["why"] == "fewer than 3 seeds: no claim"


def test_different_lengths_are_no_claim(tmp_path):
    runs = _with_accuracies(tmp_path, "iee", [0.96, 0.97, 0.98])
    runs += [make_run(tmp_path / f"long{s}", "rigl", seed=s, steps=900) for s in range(3)]
    iee, _ = comparison(runs)
    assert iee["why"] == "not all of the same length: no claim"


def test_dense_runs_are_a_reference_and_never_best(tmp_path):
    runs = _with_accuracies(tmp_path, "dense", [0.99, 0.99, 0.99]) + _with_accuracies(tmp_path, "iee", [0.9, 0.9, 0.9])
    assert [row["verdict"] for row in comparison(runs)] == ["", ""]
    block = _only_block(runs)
    assert [c.method for c in block.dense] == ["Dense"]
    assert verdicts(block) == {}


def test_runs_that_did_not_finish_do_not_count_beside_finished_ones(tmp_path):
    runs = _with_accuracies(tmp_path, "iee", [0.96, 0.98])
    runs.append(make_run(tmp_path / "killed", "iee", seed=2, steps=600, stop=200))
    (row,) = comparison(runs)
    assert (row["runs"], row["unfinished"], row["seeds"]) == (2, 1, [0, 1])
    assert row["accuracy"] == pytest.approx(0.97)


def test_a_run_under_way_shows_what_it_has(tmp_path):
    folder = make_run(tmp_path / "a", stop=430)
    (row,) = comparison([folder])
    assert row["accuracy"] == records(folder, "eval")[-1]["accuracy"]
    assert (row["runs"], row["unfinished"]) == (1, 1)


def test_ablations_are_not_averaged_with_each_other(tmp_path):
    switches: tuple[dict[str, object], ...] = ({}, {"J": 0}, {"freeze": False})
    runs = [
        make_run(tmp_path / f"{n}-{s}", seed=s, steps=600, config={"switches": some})
        for n, some in enumerate(switches)
        for s in range(2)
    ]
    labels = [row["label"].replace("\N{NO-BREAK SPACE}", " ") for row in comparison(runs)]
    assert labels == ["IEE 5 %", "IEE 5 %, J=0", "IEE 5 %, freeze=False"]


def test_any_other_setting_makes_another_cohort_and_a_seed_does_not(tmp_path):
    runs = [make_run(tmp_path / "a", steps=600), make_run(tmp_path / "b", steps=600, config={"lr": 0.05})]
    runs.append(make_run(tmp_path / "c", steps=600, seed=1, config={"command": "another", "threads": 4}))
    rows = comparison(runs)
    assert [row["label"].replace("\N{NO-BREAK SPACE}", " ") for row in rows] == ["IEE 5 %, lr 0.1", "IEE 5 %, lr 0.05"]
    assert [row["seeds"] for row in rows] == [[0, 1], [0]]


def test_blocks_hold_one_density_with_the_dense_runs_beside(tmp_path):
    runs = [make_run(tmp_path / f"{m}{d}", m, density=d, steps=600) for d in (0.02, 0.1) for m in ("iee", "rigl")]
    runs.append(make_run(tmp_path / "dense", "dense", steps=600))
    blocks = blocks_of(cohorts_of(read_runs(runs)))
    assert [(b.density, [c.method for c in b.everyone]) for b in blocks] == [
        (0.1, ["Dense", "IEE", "RigL"]),
        (0.02, ["Dense", "IEE", "RigL"]),
    ]


def test_methods_keep_their_colours_and_variants_get_others(tmp_path):
    runs = [make_run(tmp_path / f"r{d}", "rigl", density=d, steps=600) for d in (0.02, 0.1)]
    runs += [
        make_run(tmp_path / f"i{n}", steps=600, config={"switches": s}) for n, s in enumerate([{}, {"J": 0}, {"Q": 1}])
    ]
    found = cohorts_of(read_runs(runs))
    tones = {c.label.replace("\N{NO-BREAK SPACE}", " "): c.tone for c in found}
    assert tones["RigL 10 %"] == tones["RigL 2 %"] == 1
    assert len({tones["IEE 5 %"], tones["IEE 5 %, J=0"], tones["IEE 5 %, Q=1"], 1}) == 4


def test_equal_spending_reads_curves_at_the_smallest_budget(tmp_path):
    runs = [make_run(tmp_path / f"{m}{s}", m, seed=s, steps=600) for m in ("dense", "iee", "rigl") for s in range(2)]
    block = _only_block(runs)
    lines = {run: [(r["flops"], r["accuracy"]) for r in records(run, "eval")] for run in runs}
    budget = min(line[-1][0] for line in lines.values())
    purse = equal_spending(block.everyone, "flops")
    assert purse.budget == budget
    for cohort, some in zip(block.everyone, (runs[:2], runs[2:4], runs[4:]), strict=True):
        expected = []
        for run in some:
            # By hand: the straight line between the evaluations before and after the budget.
            before = [p for p in lines[run] if p[0] <= budget][-1]
            after = next((p for p in lines[run] if p[0] > budget), before)
            share = 0.0 if after == before else (budget - before[0]) / (after[0] - before[0])
            expected.append(before[1] + share * (after[1] - before[1]))
        found = purse.accuracies[cohort.label]
        assert found is not None
        assert found.mean == pytest.approx(np.mean(expected))
        assert found.low == pytest.approx(min(expected))
        assert found.high == pytest.approx(max(expected))


def test_equal_spending_says_what_it_cannot_know(tmp_path):
    runs = [make_run(tmp_path / "a", steps=600), make_run(tmp_path / "b", "rigl", steps=600, flops=False)]
    purse = equal_spending(_only_block(runs).everyone, "flops")
    assert [label.split()[0] for label in purse.unknown] == ["RigL"]
    assert list(purse.accuracies) == [c.label for c in _only_block(runs).everyone if c.method == "IEE"]
    # A run so dear that its first evaluation lies beyond what the cheapest spent in all.
    dear = make_run(tmp_path / "c", "dense", steps=600, every=600)
    late = equal_spending(_only_block([runs[0], dear]).everyone, "flops")
    assert late.accuracies["Dense"] is None
