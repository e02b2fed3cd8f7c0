"""The commands: what they print, what they write, how they end."""

import json
import re

import pytest
from typer.testing import CliRunner

from niwaki import __version__
from niwaki.app.cli import app
from niwaki.core import AddressError

QUICK = ["--model", "zoo:mlp", "--data", "digits", "--steps", "6", "--method", "static", "--batch", "32"]


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_and_version():
    result = niwaki("--help")
    assert result.exit_code == 0
    for command in ("demo", "train", "inspect", "report"):
        assert command in result.stdout
    assert niwaki("--version").stdout.strip() == f"niwaki {__version__}"
    assert niwaki("--version").exit_code == 0


def test_a_wrong_command_line_ends_with_2():
    assert niwaki("trian").exit_code == 2
    assert niwaki("train", *QUICK).exit_code == 2  # --out is missing
    assert niwaki("inspect").exit_code == 2
    assert niwaki("train", *QUICK, "--steps", "many", "--out", "x").exit_code == 2


def test_train_writes_a_run_and_says_so(tmp_path, pages):
    result = niwaki("train", *QUICK, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    pattern = r"test accuracy [\d.]+% at density 10.00% \(1,702 of 17,024 weights\); training cost 0.10 x that of dense"
    assert re.search(pattern, result.stdout)
    assert "step 6 of 6" in result.stderr
    assert pages == [([str(tmp_path / "run")], str(tmp_path / "run" / "report.html"))]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["batch"], config["method"], config["lr"]) == (32, "static", 0.1)
    assert config["command"].startswith("niwaki")


def test_json_alone_is_on_standard_output(tmp_path, pages):
    result = niwaki("train", *QUICK, "--out", tmp_path / "run", "--json")
    printed = json.loads(result.stdout)
    assert printed == {"out": str(tmp_path / "run"), **json.loads((tmp_path / "run" / "result.json").read_text())}


def test_quiet_prints_nothing(tmp_path, pages):
    result = niwaki("train", *QUICK, "--out", tmp_path / "run", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "run" / "result.json").exists()
    assert niwaki("inspect", "zoo:mlp", "-q").output == ""


def test_switches_and_settings_reach_the_run(tmp_path, pages):
    more = ["--method", "iee", "--set", "H=2", "--set", "J=1", "--set", "Q=1", "--set", "criterion=taylor"]
    result = niwaki("train", *QUICK, *more, "--optimizer", "adamw", "--lr", "0.01", "--out", tmp_path / "run", "-q")
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["switches"] == {"H": 2, "J": 1, "Q": 1, "criterion": "taylor"}
    assert (config["optimizer"], config["lr"]) == ("adamw", 0.01)


def test_resume_needs_only_the_folder(tmp_path, pages):
    first = niwaki("train", *QUICK, "--out", tmp_path / "run", "--json", "-q")
    again = niwaki("train", "--resume", "--out", tmp_path / "run", "--json", "-q")
    same = niwaki("train", *QUICK, "--resume", "--out", tmp_path / "run", "--json", "-q")
    assert first.exit_code == again.exit_code == same.exit_code == 0
    assert json.loads(first.stdout) == json.loads(again.stdout) == json.loads(same.stdout)
    other = niwaki("train", "--resume", "--lr", "0.3", "--out", tmp_path / "run")
    assert other.exit_code == 1
    assert "was begun with lr = 0.1, not 0.3" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digits"], "error: --model must be given for a new run, such as zoo:mlp and digits"),
        ([], "error: --model and --data must be given for a new run"),
        (["--model", "zoo:mlp", "--data", "digits"], "give the length of the run either in steps or in epochs"),
        ([*QUICK, "--density", "1.5"], "error: density 1.5 is outside (0, 1]"),
        ([*QUICK, "--method", "rigll"], "the method 'rigll' is unknown; did you mean 'rigl'"),
        ([*QUICK, "--set", "H"], "the switch 'H' needs the form name=value"),
        ([*QUICK, "--set", "H=3"], "the method 'static' has no switch 'H'"),
        ([*QUICK, "--data", "digit"], "unknown scheme 'digit'; did you mean 'digits'"),
        ([*QUICK, "--model", "zoo:resnet20"], "the model zoo:resnet20 does not take the data digits"),
        ([*QUICK, "--batch", "5000"], "a batch of 5000 is larger than the training part of 1295 samples"),
        ([*QUICK, "--resume", "--overwrite"], "give one of them"),
        ([*QUICK, "--method", "rigl"], "steps are too few"),
    ],
)
def test_errors_end_with_1_and_one_line_without_traceback(tmp_path, arguments, message):
    result = niwaki("train", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("error: ") and "Traceback" not in result.output
    assert result.stdout == ""
    assert not (tmp_path / "run").exists()


def test_debug_shows_the_traceback(tmp_path):
    result = niwaki("train", *QUICK, "--data", "digit", "--out", tmp_path / "run", "--debug")
    assert result.exit_code == 1
    assert isinstance(result.exception, AddressError)


def test_an_interrupt_ends_with_130(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt("stopped after step 3 of 6; go on with: ...")

    monkeypatch.setattr("niwaki.app.training.train", interrupted)
    result = niwaki("train", *QUICK, "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert result.stderr == "stopped after step 3 of 6; go on with: ...\n"


def test_inspect_prints_a_table_or_json():
    result = niwaki("inspect", "zoo:mlp", "--density", "0.1")
    assert result.exit_code == 0
    assert "layers.1.weight" in result.stdout and "17,226 parameters" in result.stdout
    found = json.loads(niwaki("inspect", "zoo:cnn", "--input", "1x8x8", "--json").stdout)
    assert found["parameters"] == 14_458
    wrong = niwaki("inspect", "zoo:cnn", "--input", "8")
    assert wrong.exit_code == 1 and "could not be run once to count its FLOPs" in wrong.stderr


def test_report_writes_beside_one_run_or_here_for_several(tmp_path, pages, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert niwaki("report", "a").stdout.strip() == "the report is in a/report.html"
    assert niwaki("report", "a", "b").stdout.strip() == "the report is in report.html"
    printed = json.loads(niwaki("report", "a", "--out", "c.html", "--json").stdout)
    assert printed == {"report": "c.html", "runs": ["a"]}
    assert pages == [(["a"], "a/report.html"), (["a", "b"], "report.html"), (["a"], "c.html")]


def test_report_of_a_folder_without_a_run(tmp_path):
    result = niwaki("report", tmp_path / "none")
    assert result.exit_code == 1
    assert "none is not a run folder" in result.stderr


def test_demo_prints_a_comparison_and_writes_a_report(tmp_path, pages):
    result = niwaki("demo", "--out", tmp_path / "d", "--seeds", "1", "--steps", "160", "--quiet", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [row["method"] for row in found["methods"]] == ["dense", "rigl", "iee"]
    assert pages == [(found["runs"], str(tmp_path / "d" / "report.html"))] and found["report"] == pages[0][1]
    again = niwaki("demo", "--out", tmp_path / "d", "--seeds", "1", "--steps", "160")
    assert again.exit_code == 1 and "--overwrite to replace it" in again.stderr
    replaced = niwaki("demo", "--out", tmp_path / "d", "--seeds", "1", "--steps", "160", "--overwrite")
    assert replaced.exit_code == 0
    assert "How to read this" in replaced.stdout
