"""``niwaki causes``: what it reads, prints, writes and refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from typer.testing import CliRunner

from niwaki.app.causal_series import read_series, read_truth
from niwaki.app.cli import app
from niwaki.causality import CausalityError, interventional_embedding_entropy
from tests.app.terminal import shown_on

N = 260


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def series():
    """x drives y, and z goes its own way."""
    rng = np.random.default_rng(3)
    x, z = rng.random(N), rng.random(N)
    y = np.zeros(N)
    y[1:] = 0.5 * x[:-1] ** 2
    return {"x": x, "y": y + 0.02 * rng.random(N), "z": z}


@pytest.fixture
def file(tmp_path, series):
    rows = zip(range(N), *series.values(), ["word"] * N, strict=True)
    return _write(tmp_path / "series.csv", ["step", *series, "remark"], rows)


def _write(path, names, rows):
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        if names:
            writer.writerow(names)
        writer.writerows(rows)
    return path


def test_edges_are_ranked_and_tested(file, series, tmp_path):
    result = niwaki("causes", file, "--correction", "max", "--standardise", "none", "--json", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["names"] == ["x", "y", "z"] and found["length"] == N
    first = found["edges"][0]
    assert (first["source"], first["target"], first["significant"]) == ("x", "y", True)
    assert sum(edge["significant"] for edge in found["edges"]) == 1
    # Scores are those of the function, as it stands.
    expected = interventional_embedding_entropy(series["x"], series["y"])
    assert found["scores"][0][1] == pytest.approx(expected, abs=1e-12)
    assert found["notes"][:2] == [
        "the column 'step' is a clock and is left out; --only takes it",
        "the column 'remark' holds words and is left out",
    ]
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == found
    with (tmp_path / "out" / "edges.csv").open() as rows:
        edges = list(csv.DictReader(rows))
    assert [(e["source"], e["target"]) for e in edges] == [(e["source"], e["target"]) for e in found["edges"]]
    assert float(edges[0]["score"]) == first["score"]
    with (tmp_path / "out" / "scores.csv").open() as rows:
        matrix = {row["cause"]: row for row in csv.DictReader(rows)}
    assert float(matrix["x"]["y"]) == first["score"] and matrix["x"]["x"] == ""
    page = (tmp_path / "out" / "report.html").read_text()
    assert "x → y" in page and "1 edge of 6 between 3 variables" in page


def test_the_table_says_what_was_found(file):
    result = niwaki("causes", file, "--surrogates", "0", "--method", "granger")
    assert result.exit_code == 0, result.output
    assert "Granger causality (order 1, lag 1), series rescaled by zscore; 260 time points" in result.stdout
    assert "6 ordered pairs of 3 series" in result.stdout and "significant" not in result.stdout
    assert "--out DIR writes a report" in result.stdout
    assert niwaki("causes", file, "--surrogates", "0", "-q").output == ""


@pytest.mark.parametrize("kind", ["pairs", "bare pairs", "matrix", "named matrix"])
def test_scores_are_judged_by_the_truth(file, tmp_path, kind):
    matrix = [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    rows = {
        "pairs": (["cause", "effect"], [["x", "y"]]),
        "bare pairs": (None, [["x", "y"], ["x", "y"]]),
        "matrix": (["x", "y", "z"], matrix),
        "named matrix": (["", "z", "y", "x"], [["z", 0, 0, 0], ["x", 0, 1, 0], ["y", 0, 0, 0]]),
    }
    truth = _write(tmp_path / "truth.csv", *rows[kind])
    found = niwaki("causes", file, "--surrogates", "0", "--truth", truth, "--json")
    assert found.exit_code == 0, found.output
    # The one true edge scores above the five others.
    assert json.loads(found.stdout)["truth"] == {"auroc": 1.0, "aupr": 1.0, "edges": 1, "pairs": 6}
    said = niwaki("causes", file, "--surrogates", "0", "--truth", truth).stdout
    assert "AUROC 1.000 (0.5 for blind guessing), AUPR 1.000 (0.167 for blind guessing)" in said


def test_series_in_rows_and_chosen_columns(tmp_path, series, file):
    lying = _write(tmp_path / "rows.csv", ["gene", *range(N)], [[name, *values] for name, values in series.items()])
    found = read_series(lying, in_rows=True)
    assert found.table.names == ("x", "y", "z")
    np.testing.assert_allclose(found.table.series[1][:, 0], series["y"])
    assert read_series(file, only=["z", "step"]).table.names == ("step", "z")
    assert read_series(file, drop=["y"]).table.names == ("x", "z")
    bare = _write(tmp_path / "bare.csv", None, zip(*series.values(), strict=True))
    assert read_series(bare, header=False).table.names == ("1", "2", "3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "iie"], "the method 'iie' is unknown; choose from iee, granger, te, ccm, ee"),
        (["--method", "granger", "--k", "3"], "granger has no setting k; leave out --k"),
        (["--drop", "w"], "there is no column 'w'; the names are step, x, y, z, remark"),
        (["--only", "remark"], "the column 'remark' holds words, not numbers; leave it out of --only"),
        (["--only", "x"], "has 1 columns of numbers to compare; two are needed"),
        (["--surrogates", "5"], "5 surrogates reach no p value below"),
        (["--correction", "none"], "correction='none' is unknown; choose from fdr, max"),
        (["--neighbours", "400"], "neighbours"),
    ],
)
def test_errors_end_with_1_and_one_line(file, arguments, message):
    result = niwaki("causes", file, *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and message in result.stderr and result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_errors_of_files(tmp_path, file):
    assert "there is no file" in niwaki("causes", tmp_path / "none.csv").stderr
    gaps = _write(tmp_path / "gaps.csv", ["a", "b"], [[1, 2], ["", 3], [4, 6]])
    assert "'a' has 1 values that are NaN or infinite, the first at time 1" in niwaki("causes", gaps).stderr
    wrong = _write(tmp_path / "truth.csv", ["cause", "effect"], [["x", "w"]])
    assert "('x', 'w') is no pair" in niwaki("causes", file, "--surrogates", "0", "--truth", wrong).stderr
    with pytest.raises(CausalityError, match="has 1 column; true edges take two, cause and effect"):
        read_truth(_write(tmp_path / "one.csv", ["cause"], [["x"]]), ("x", "y"))
    with pytest.raises(CausalityError, match="has the rows x, w; a matrix of true edges has a row for each of x, y"):
        read_truth(_write(tmp_path / "m.csv", ["", "x", "y"], [["x", 0, 1], ["w", 0, 0]]), ("x", "y"))
    with pytest.raises(CausalityError, match="two rows are called 'a'; series need different names"):
        read_series(_write(tmp_path / "r.csv", ["n", 1, 2], [["a", 1, 2], ["a", 3, 4]]), in_rows=True)


@contextmanager
def _stopped(*, quiet):
    """In place of the bar: Ctrl-C when the causes of two series are scored."""

    def tell(done, effects):
        if done == 2:
            raise KeyboardInterrupt

    yield tell


@pytest.mark.parametrize("correction", ["fdr", "max"])
def test_an_interrupt_writes_what_is_scored(file, tmp_path, monkeypatch, correction):
    truth = _write(tmp_path / "truth.csv", ["cause", "effect"], [["x", "y"]])
    asked = ("causes", file, "--correction", correction, "--surrogates", "199", "--truth", truth, "--json")
    whole = json.loads(niwaki(*asked).stdout)
    assert whole["complete"] is True
    monkeypatch.setattr("niwaki.app.causes_command.counted", _stopped)
    result = niwaki(*asked, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == "interrupted: every score listed is final, but there may be more\n"
    found = json.loads(result.stdout)
    assert found["complete"] is False and found["truth"] is None
    # The causes of x and of y; nothing is said of z's.
    assert {(e["source"], e["target"]) for e in found["edges"]} == {("y", "x"), ("z", "x"), ("x", "y"), ("z", "y")}
    final = {(e["source"], e["target"]): e for e in whole["edges"]}
    for edge in found["edges"]:
        known = final[edge["source"], edge["target"]]
        assert (edge["score"], edge["p"]) == (known["score"], known["p"])
        if correction == "fdr":
            assert edge["q"] >= known["q"] and edge["significant"] <= known["significant"]
        else:
            assert edge["q"] is None and edge["significant"] is None
    assert any(edge["significant"] for edge in found["edges"]) == (correction == "fdr")
    assert found["notes"][-1].startswith(
        "stopped early: only the causes of 2 of 3 series were scored (x, y); p values "
    )
    assert [row[2] for row in found["scores"]] == [None, None, None]
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == found
    page = (tmp_path / "out" / "report.html").read_text()
    assert "so far" in page and "pairs are missing" in page


def test_an_interrupt_before_anything_is_scored_writes_nothing(file, tmp_path, monkeypatch):
    def interrupted(*arguments, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr("niwaki.causality.scores.spread", interrupted)
    result = niwaki("causes", file, "--json", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "interrupted: no pair was scored yet, so nothing is listed or written\n"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def heard():
    """Processes that begin here hear Ctrl-C, also where the tests themselves run in the background and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_bar_shows_pairs_and_ctrl_c_ends_it(tmp_path, workers):
    pty = pytest.importorskip("pty", reason="no terminals on this system")
    series = np.random.default_rng(0).random((1200, 10))
    path = _write(tmp_path / "long.csv", [f"s{at}" for at in range(10)], series)
    command = [sys.executable, "-m", "niwaki", "causes", str(path), "--json", "--workers", str(workers)]
    master, slave = pty.openpty()
    with (
        (tmp_path / "answer.json").open("wb") as answer,
        subprocess.Popen(
            [*command, "--surrogates", "400"],
            stdout=answer,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
            start_new_session=True,
        ) as run,
    ):
        os.close(slave)
        try:
            shown = shown_on(master, b" of 90 pairs")  # two may be done before the bar is drawn
            os.killpg(run.pid, signal.SIGINT)  # on a terminal, Ctrl-C goes to the workers, too
            shown += shown_on(master)  # a terminal that nobody reads holds up those who write on it
            run.wait(timeout=60)
        finally:
            run.kill()
            os.close(master)
    assert b"time left" in shown and b"Traceback" not in shown, shown.decode()
    assert run.returncode == 130, shown.decode()
    assert b"interrupted: every score listed is final" in shown
    found = json.loads((tmp_path / "answer.json").read_text())
    assert found["complete"] is False and len(found["edges"]) % 9 == 0 and 0 < len(found["edges"]) < 90


def test_torch_is_not_loaded(file, tmp_path):
    out = tmp_path / "out"
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom niwaki.app.cli import app\n"
        f"run = lambda *a: CliRunner().invoke(app, ['causes', {str(file)!r}, '--surrogates', '0', *a]).exit_code\n"
        f"print(run('--out', {str(out)!r}), run('--method', 'x'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["0", "1", "False"]
