"""Run folders are read as they are; what is missing or damaged is named with its remedy."""

from __future__ import annotations

import json

import pytest

from niwaki.core.errors import StoreError
from niwaki.report.read import number, read_run, read_runs
from tests.report.synthetic import make_run


def test_a_finished_run_is_read(tmp_path):
    run = read_run(make_run(tmp_path / "a", steps=600))
    assert (run.name, run.is_finished, run.steps, run.last_step) == ("a", True, 600, 600)
    assert len(run.train) == 600
    assert [record["step"] for record in run.evals] == list(range(60, 601, 60))
    assert run.notes == ()


def test_a_killed_run_loses_its_cut_line_and_says_so(tmp_path):
    run = read_run(make_run(tmp_path / "a", stop=430))
    assert run.result is None
    assert run.ledger is None
    assert run.last_step == 429
    assert run.notes == (
        "still running or stopped: it stands at step 429 of 1,200",
        "the last line of its metrics was cut off, and is left out",
    )


@pytest.mark.parametrize("tail", [b'{"kind": "tra', b'{"kind": "train", "st\xc3', b"\x00" * 40])
def test_any_cut_last_line_is_left_out(tmp_path, tail):
    folder = make_run(tmp_path / "a", steps=600)
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + tail)
    run = read_run(folder)
    assert len(run.train) == 600
    assert "cut off" in run.notes[0]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    folder = make_run(tmp_path / "a", steps=600)
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines()
    lines[6] = lines[6][:20]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(StoreError, match=r"metrics\.jsonl is damaged at line 7 .*delete that line"):
        read_run(folder)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("[1, 2]", "not an object"),
        ('{"step": 3}', "not an object with"),
        ('{"kind": "train"}', 'no number under "step"'),
    ],
)
def test_a_line_of_another_kind_is_named(tmp_path, line, what):
    folder = make_run(tmp_path / "a", steps=600)
    path = folder / "metrics.jsonl"
    path.write_text(line + "\n" + path.read_text())
    with pytest.raises(StoreError, match=f"damaged at line 1.*{what}"):
        read_run(folder)


def test_what_a_resumed_run_wrote_twice_counts_once(tmp_path):
    folder = make_run(tmp_path / "a", steps=600)
    path = folder / "metrics.jsonl"
    again = [{"kind": "train", "step": step, "loss": 7.0, "seconds": 1.0} for step in range(501, 521)]
    path.write_text(path.read_text() + "".join(json.dumps(record) + "\n" for record in again))
    run = read_run(folder)
    assert [record["step"] for record in run.train] == list(range(1, 521))
    assert {record["loss"] for record in run.train[500:]} == {7.0}
    # Other kinds were not told again, and stay.
    assert run.evals[-1]["step"] == 600


@pytest.mark.parametrize("name", ["config.json", "versions.json", "metrics.jsonl", "ledger.json"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = make_run(tmp_path / "a", steps=600)
    (folder / name).unlink()
    with pytest.raises(StoreError, match=rf"{name} is missing.*bring .*back from a copy"):
        read_run(folder)


@pytest.mark.parametrize("name", ["config.json", "versions.json", "ledger.json", "result.json"])
@pytest.mark.parametrize("content", ["{", "[]", '{"a": \xff}'])
def test_a_damaged_file_is_named(tmp_path, name, content):
    folder = make_run(tmp_path / "a", steps=600)
    (folder / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match=rf"{name} is damaged.*train this run again"):
        read_run(folder)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere is not a run folder; give the folder itself"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"no runs to report on"):
        read_runs([])


def test_a_config_that_makes_no_sense_is_named(tmp_path):
    folder = make_run(tmp_path / "a", config={"density": "little"})
    with pytest.raises(StoreError, match=r"config\.json: 'density' should be a number, not 'little'"):
        read_run(folder)
    other = make_run(tmp_path / "b", config={"method": None})
    with pytest.raises(StoreError, match=r"config\.json does not say which method ran"):
        read_run(other)


def test_runs_get_names_of_their_own_and_are_read_once(tmp_path):
    one, two = make_run(tmp_path / "x" / "run", steps=600), make_run(tmp_path / "y" / "run", steps=600)
    three = make_run(tmp_path / "other", steps=600)
    runs = read_runs([one, two, three, tmp_path / "x" / ".." / "x" / "run"])
    assert [run.name for run in runs] == ["x/run", "y/run", "other"]


def test_a_loss_that_is_no_number_is_said(tmp_path):
    folder = make_run(tmp_path / "a", steps=600)
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["kind"] == "train" and line["step"] >= 400:
            line["loss"] = float("nan")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (note,) = read_run(folder).notes
    assert note.startswith("its loss was not a finite number at step 400")


@pytest.mark.parametrize("value", [None, True, "1", float("inf"), [1]])
def test_only_finite_numbers_are_numbers(value):
    assert number({"a": value}, "a") is None
