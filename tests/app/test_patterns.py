"""``niwaki patterns``: what it reads, prints, writes and refuses, and how an interrupt ends."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from typer.testing import CliRunner

from niwaki.app.cli import app
from niwaki.app.pattern_data import bins_from
from niwaki.patterns import PatternError, SignificantPatterns
from tests.app.terminal import shown_on
from tests.patterns.test_read import DATA

N = 240


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def columns():
    """Old customers who saw the red page bought; the ward moves the label, but nothing else."""
    rng = np.random.default_rng(8)
    age, page, ward = rng.integers(18, 80, N), rng.choice(["red", "blue"], N), rng.choice(["n", "s"], N)
    bought = ((age > 48) & (page == "red")) ^ (rng.random(N) < np.where(ward == "n", 0.02, 0.2))
    return {"age": age, "page": page, "ward": ward, "id": np.arange(N), "bought": np.where(bought, "yes", "no")}


@pytest.fixture
def file(tmp_path, columns):
    return _write(tmp_path / "shop.csv", columns)


def _write(path, columns):
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def test_patterns_are_those_of_the_estimator(file, columns, tmp_path):
    asked = ["patterns", file, "--label", "bought", "--covariate", "ward", "--drop", "id", "--bin", "age=2"]
    result = niwaki(*asked, "--json", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    fitted = SignificantPatterns(bins_of={"age": 2}).fit(
        {"age": columns["age"], "page": columns["page"]}, columns["bought"], groups={"ward": columns["ward"]}
    )
    assert [tuple(row["items"]) for row in found["patterns"]] == list(fitted.results_["items"])
    assert found["patterns"][0]["p"] == fitted.results_["p"][0]
    assert any(item.startswith("age>") for item in found["patterns"][0]["items"])
    assert "page=red" in found["patterns"][0]["items"]
    assert (found["complete"], found["covariate"], found["label"], found["classes"]) == (
        True, "ward", "bought", ["no", "yes"],
    )  # fmt: skip
    counts = {name: int((columns["ward"] == name).sum()) for name in "ns"}
    assert {stratum["name"]: stratum["samples"] for stratum in found["strata"]} == counts
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == found
    with (tmp_path / "out" / "patterns.csv").open() as rows:
        assert [row["items"].split(" & ") for row in csv.DictReader(rows)] == [r["items"] for r in found["patterns"]]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "go with bought" in page and "page=red" in page


def test_the_table_says_what_was_found(file):
    result = niwaki("patterns", file, "--label", "bought", "--covariate", "ward", "--drop", "id")
    assert result.exit_code == 0, result.output
    assert "240 samples, 6 items, within 2 strata of ward" in result.stdout
    assert "the chance of any false finding is at most 0.05" in result.stdout
    assert "inflation" in result.stdout and "within ward" in result.stdout and "without the covariate" in result.stdout
    assert "page=red" in result.stdout and "--out DIR writes a report" in result.stdout
    assert result.stderr == ""  # no bar where there is no terminal
    quiet = niwaki("patterns", file, "--label", "bought", "--drop", "id", "-q")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_nothing_significant_is_said_and_is_no_error(tmp_path):
    rng = np.random.default_rng(0)
    table = {"a": rng.integers(0, 2, 60), "b": rng.integers(0, 2, 60), "y": rng.integers(0, 2, 60)}
    result = niwaki("patterns", _write(tmp_path / "t.csv", table), "--label", "y", "--out", tmp_path / "out")
    assert result.exit_code == 0 and "no pattern is significant" in result.stdout
    assert "No combination of features goes with y" in (tmp_path / "out" / "report.html").read_text()


def test_permutations_and_other_settings_reach_the_search(file):
    asked = ["patterns", file, "--label", "bought", "--drop", "id", "--json"]
    more = ["--permutations", "99", "--seed", "4", "--max-size", "1", "--min-support", "20", "--alpha", "0.1"]
    found = json.loads(niwaki(*asked, *more, "--two-passes", "--positive", "no", "--missing", "item").stdout)
    settings = {
        "permutations": 99, "seed": 4, "max_size": 1, "min_support": 20, "alpha": 0.1, "passes": "two",
        "positive": "no", "missing": "item", "rule": "exact", "bins": 4, "workers": 1,
    }  # fmt: skip
    assert settings.items() <= found["settings"].items()
    assert all(row["size"] == 1 and row["samples"] >= 20 and row["adjusted"] <= 0.1 for row in found["patterns"])


def test_transactions_with_files_of_labels_and_covariates():
    if not DATA.is_dir():
        pytest.skip(f"the data are not beside the repository: {DATA.name}")
    names = [DATA / f"tictactoe_{name}.dat" for name in ("transactions", "labels", "covariates")]
    result = niwaki("patterns", names[0], "--label", names[1], "--covariate", names[2], "--rule", "reference", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    # The authors' program on the same files.
    assert (len(found["patterns"]), found["testable"]) == (365, 3525)
    assert found["level"] == pytest.approx(0.05 / 3525)
    assert [stratum["samples"] for stratum in found["strata"]] == [484, 474]
    refused = niwaki("patterns", names[0], "--label", names[1], "--drop", "3")
    assert "transactions have no columns: leave out --drop" in refused.stderr


@pytest.mark.parametrize("way", [["--no-header", "--label", "5"], ["--names", "a,b,c,d,y", "--label", "y"]])
def test_files_without_names(tmp_path, columns, way):
    path = tmp_path / "bare.csv"
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    names = {"--no-header": "4", "--names": "d"}
    result = niwaki("patterns", path, *way, "--drop", names[way[0]], "--json")
    assert result.exit_code == 0, result.output
    first = json.loads(result.stdout)["patterns"][0]["items"]
    assert any(item.endswith("=red") for item in first)


def test_parquet(tmp_path, columns):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    pyarrow = pytest.importorskip("pyarrow")
    parquet.write_table(pyarrow.table(columns), tmp_path / "shop.parquet")
    asked = ["--label", "bought", "--covariate", "ward", "--drop", "id", "--json"]
    whole = json.loads(niwaki("patterns", tmp_path / "shop.parquet", *asked).stdout)
    text = json.loads(niwaki("patterns", _write(tmp_path / "shop.csv", columns), *asked).stdout)
    assert whole["patterns"] == text["patterns"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "sold"], "has no column 'sold'; it has age, page, ward, id, bought. Where the first line is data"),
        (["--label", "bought", "--covariate", "x"], "has no column 'x'"),
        (["--label", "bought", "--covariate", "bought"], "'bought' is both label and covariate"),
        (["--label", "bought", "--covariate", "id"], "the covariate 'id' has 240 values for 240 samples"),
        (["--label", "page", "--positive", "green"], "label is never 'green'; its values are 'blue', 'red'"),
        (["--label", "age"], "label has 60 values"),
        (["--label", "bought", "--bin", "many"], "--bin 'many' needs a number of bins, as in --bin 4 or --bin age=5"),
        (["--label", "bought", "--bin", "1"], "1 bins cannot tell samples apart"),
        (["--label", "bought", "--bin", "ages=3"], "bins are given for 'ages', which is no column here"),
        (["--label", "bought", "--alpha", "2"], "alpha=2.0 is outside (0, 1)"),
        (["--label", "bought", "--rule", "best"], "rule='best' is unknown; choose from exact, grid, reference"),
        (["--label", "bought", "--workers", "0"], "workers=0"),
        (["--label", "bought", "--only", "bought"], "no column is left to make items of"),
    ],
)
def test_errors_end_with_1_and_one_line(file, arguments, message):
    result = niwaki("patterns", file, *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and message in result.stderr and result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_wrong_command_lines_end_with_2(file):
    assert niwaki("patterns", file).exit_code == 2  # --label is missing
    assert niwaki("patterns").exit_code == 2
    with pytest.raises(PatternError, match="--bin '=4' needs a number"):
        bins_from(["=4"])


def test_an_interrupt_tells_what_is_proven(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    X = rng.random((250, 12)) < 0.6
    y = (X[:, 1] & X[:, 3]) ^ (rng.random(250) < 0.05)
    path = _write(tmp_path / "t.csv", {**{f"f{at}": X[:, at].astype(int) for at in range(12)}, "y": y.astype(int)})
    whole = {
        tuple(row["items"]) for row in json.loads(niwaki("patterns", path, "--label", "y", "--json").stdout)["patterns"]
    }

    @contextmanager
    def told(*, quiet):
        def tell(progress):
            if progress.share > 0.05:
                raise KeyboardInterrupt

        yield tell

    monkeypatch.setattr("niwaki.app.patterns_command.told", told)
    monkeypatch.setattr("niwaki.patterns.mining._engine", lambda compiled: "walk_arrays")
    result = niwaki("patterns", path, "--label", "y", "--json", "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == "interrupted: every pattern listed is proven, but there may be more\n"
    found = json.loads(result.stdout)
    assert found["complete"] is False and 0 < len(found["patterns"])
    assert {tuple(row["items"]) for row in found["patterns"]} <= whole
    assert "The search was stopped before its end" in (tmp_path / "out" / "report.html").read_text()


def test_a_bar_shows_share_and_threshold(file, tmp_path):
    # On a terminal; there it goes to standard error and away when it is done.
    pty = pytest.importorskip("pty", reason="no terminals on this system")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "niwaki", "patterns", str(file), "--label", "bought", "--drop", "id", "--json"]
    settings = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with (
        (tmp_path / "answer.json").open("wb") as answer,
        subprocess.Popen(command, stdout=answer, stderr=slave, env=settings) as run,
    ):
        os.close(slave)
        shown = shown_on(master)
    os.close(master)
    assert run.returncode == 0
    assert json.loads((tmp_path / "answer.json").read_text())["complete"] is True
    assert b"search" in shown and b"100%" in shown and b"threshold" in shown and b"testable" in shown


def test_torch_is_not_loaded(file, tmp_path):
    out = tmp_path / "out"
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom niwaki.app.cli import app\n"
        f"run = lambda *a: CliRunner().invoke(app, ['patterns', {str(file)!r}, '--drop', 'id', *a]).exit_code\n"
        f"print(run('--label', 'bought', '--out', {str(out)!r}), run('--label', 'x'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["0", "1", "False"]
