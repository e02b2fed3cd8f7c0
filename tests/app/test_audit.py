"""``niwaki audit``: what it reads, prints, writes and refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from niwaki.app.cli import app
from niwaki.report.subgroups import audit

N = 700


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def columns():
    """Dark scans are lost by the small model."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, N)
    light, source = rng.random(N), rng.choice(["scan", "web"], N)
    lost = rng.random(N) < np.where((light < 0.5) & (source == "scan"), 0.5, 0.05)
    dense = np.where(rng.random(N) < 0.95, truth, (truth + 1) % 3)
    return {"id": np.arange(N), "light": light, "source": source, "class": truth, "dense": dense,
            "small": np.where(lost, (truth + 2) % 3, dense)}  # fmt: skip


@pytest.fixture
def file(tmp_path, columns):
    return _write(tmp_path / "seen.csv", columns)


def _write(path, columns):
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


ROLES = ["--label", "class", "--before", "dense", "--after", "small", "--drop", "id"]


def test_subgroups_are_those_of_the_function(file, columns, tmp_path):
    result = niwaki("audit", file, *ROLES, "--bin", "2", "--json", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    attributes = {name: columns[name] for name in ("light", "source")}
    expected = audit(attributes, columns["class"], columns["dense"], columns["small"], bins=2)
    assert [tuple(one["attributes"]) for one in found["subgroups"]] == [one.attributes for one in expected.subgroups]
    best = found["subgroups"][0]
    assert best["attributes"][0].startswith("light<=") and best["attributes"][1] == "source=scan"
    assert best["p"] == expected.subgroups[0].p and best["indices"] == expected.subgroups[0].indices.tolist()
    assert (found["lost"], found["examples"], found["complete"]) == (expected.lost, N, True)
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == found
    with (tmp_path / "out" / "subgroups.csv").open() as rows:
        first = next(csv.DictReader(rows))
    assert first["attributes"] == " & ".join(best["attributes"]) and float(first["rate"]) == best["rate"]
    assert "Compression harms" in (tmp_path / "out" / "report.html").read_text()


def test_the_table_says_who_is_harmed(file):
    result = niwaki("audit", file, *ROLES, "--covariate", "class", "--max-size", "1")
    assert result.exit_code == 0, result.output
    assert "accuracy 9" in result.stdout and "examples lost" in result.stdout
    assert "source=scan" in result.stdout and "&" not in result.stdout
    assert "the chance of any false finding is at most 0.05" in result.stdout
    same = niwaki("audit", file, "--label", "class", "--before", "dense", "--after", "dense", "--only", "light")
    assert "no subgroup is lost significantly more often" in same.stdout
    assert "note: no example is lost: there is nothing to compare" in same.stdout
    assert niwaki("audit", file, *ROLES, "-q").output == ""


def test_numbers_are_one_class_however_they_are_written(tmp_path, columns):
    words = {**columns, "dense": [f"{value:.1f}" for value in columns["dense"]]}
    asked = [*ROLES, "--json"]
    one = json.loads(niwaki("audit", _write(tmp_path / "a.csv", columns), *asked).stdout)
    other = json.loads(niwaki("audit", _write(tmp_path / "b.csv", words), *asked).stdout)
    assert one["subgroups"] == other["subgroups"] and one["subgroups"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "klass", "--before", "dense", "--after", "small"], "has no column 'klass'; it has id, light"),
        ([*ROLES, "--drop", "x"], "has no column 'x'"),
        ([*ROLES, "--bin", "light=3"], "niwaki audit cuts all attributes alike; give --bin a number alone"),
        ([*ROLES, "--among", "wrong"], "among='wrong' is unknown; choose from right, all"),
        ([*ROLES, "--alpha", "0"], "alpha=0.0 is outside"),
    ],
)
def test_errors_end_with_1_and_one_line(file, arguments, message):
    result = niwaki("audit", file, *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and message in result.stderr and result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_empty_predictions_are_refused(tmp_path, columns):
    holes = {**columns, "small": ["", *map(str, columns["small"][1:])]}
    result = niwaki("audit", _write(tmp_path / "t.csv", holes), *ROLES)
    assert "the column 'small' has 1 empty cells; leave those rows out" in result.stderr


def test_torch_is_not_loaded(file, tmp_path):
    arguments = ["audit", str(file), *ROLES, "--out", str(tmp_path / "out")]
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom niwaki.app.cli import app\n"
        f"print(CliRunner().invoke(app, {arguments!r}).exit_code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["0", "False"]
