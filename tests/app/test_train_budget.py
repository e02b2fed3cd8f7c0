"""``niwaki train`` within budgets of cost: what is delivered, and that a stopped run goes on with the same budget."""

import json

import pytest
import torch
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app.assemble import assemble
from niwaki.app.cli import app
from niwaki.app.data import load_data
from niwaki.app.evaluation import evaluate
from niwaki.app.models import load_model
from niwaki.app.progress import Silent
from niwaki.app.run import resume, train
from niwaki.app.settings import Settings, as_config, from_config
from niwaki.core import BudgetError, NiwakiError, StoreError, TrainError
from tests.app.short_runs import StopAt, Stopped, records, tensors
from tests.report.parsed import parse

pytest.importorskip("sklearn")
CNN = "zoo:cnn"
SHORT = {"model": CNN, "data": "digits", "steps": 40, "batch": 32, "checkpoint_every": 8, "threads": 1}
IEE = {"method": "iee", "units": "channels", "switches": {"H": 3, "J": 2, "Q": 2}}
HALP = {"method": "halp", "units": "channels", "switches": {"every": 4, "events": 5}}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Tables are measured once for this file, and not in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def settings(**changed):
    return Settings(**{**SHORT, **changed})


def small_of(run):
    return nw.load(load_model(CNN, classes=10, channels=1), run / "small").eval()


@pytest.mark.parametrize("aim", [{"macs": 0.5, **IEE}, {"parameters": 0.4, **HALP}, {"density": 0.5, **IEE}])
def test_the_smaller_model_is_what_was_trained(tmp_path, clock, aim):
    result = train(settings(**aim), tmp_path / "run")
    small, data = small_of(tmp_path / "run"), load_data("digits")
    # The result was measured on the masked model; the smaller one, from its folder, is worth the same.
    assert evaluate(small, data, data.test)[0] == pytest.approx(result["accuracy"])
    assert result["small"]["verified"]["same"]
    assert result["small"]["parameters"][1] == sum(p.numel() for p in small.parameters())
    assert sum(group["kept"] for group in result["groups"]) == result["units"][1]
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["latency"]["small"]["ratio"] == 0.5
    assert result["latency"]["small"]["predicted"] is None  # no table without a budget of latency
    if "parameters" in aim:
        assert result["small"]["parameters"][1] <= 0.4 * result["small"]["parameters"][0]
        assert result["budget"][0]["reached"] == result["small"]["parameters"][1]
    if "macs" in aim:
        macs = [nw.count_flops(m, (torch.zeros(1, 1, 8, 8),)).total for m in (small, load_model(CNN))]
        assert macs[0] <= 0.5 * macs[1]
        assert result["budget"][0]["reached"] == pytest.approx(macs[0] / 2)
    if "density" in aim:
        assert "budget" not in result


def test_the_really_smaller_training_delivers_the_same(tmp_path, clock):
    results = {}
    for name in ("whole", "small"):
        switches = {"every": 4, "events": 5, "materialise": name == "small"}
        results[name] = train(settings(parameters=0.4, **{**HALP, "switches": switches}), tmp_path / name)
    counts = {name: [group["kept"] for group in result["groups"]] for name, result in results.items()}
    assert counts["whole"] == counts["small"]
    data = load_data("digits")
    for name, result in results.items():
        assert evaluate(small_of(tmp_path / name), data, data.test)[0] == pytest.approx(result["accuracy"])
    assert results["whole"]["accuracy"] == pytest.approx(results["small"]["accuracy"], abs=0.03)


def test_a_stopped_run_goes_on_with_the_table_it_was_planned_by(tmp_path, clock, monkeypatch):
    asked = settings(latency=0.8, latency_batch=256, **HALP)
    whole = train(asked, tmp_path / "whole")
    table = nw.LatencyTable.read(tmp_path / "whole" / "table.json")
    assert whole["latency"]["asked"] == 0.8
    groups = assemble(asked, Silent(), table=table).groups
    cost = table.cost(groups)
    assert cost({group["name"]: group["kept"] for group in whole["groups"]}) == whole["latency"]["small"]["predicted"]
    assert whole["latency"]["small"]["predicted"] <= 0.8 * cost.dense
    with pytest.raises(Stopped):
        train(asked, tmp_path / "stopped", progress=StopAt(19))

    def never(*_, **__):
        raise AssertionError("a resumed run must not measure again")

    # Killed before there was a checkpoint, and even before the table: it is measured once more.
    for name, files in (("early", ["config.json"]), ("later", ["config.json", "versions.json", "table.json"])):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_bytes((tmp_path / "stopped" / file).read_bytes())
    resume(tmp_path / "early", {})
    assert records(tmp_path / "early") == records(tmp_path / "whole")

    monkeypatch.setattr("niwaki.app.budgets.latency_table", never)
    resume(tmp_path / "later", {})
    assert records(tmp_path / "later") == records(tmp_path / "whole")
    again = resume(tmp_path / "stopped", {})
    assert records(tmp_path / "stopped") == records(tmp_path / "whole")
    left, right = tensors(tmp_path / "stopped"), tensors(tmp_path / "whole")
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    # What was said of the noise of a measuring is said where it was measured.
    told = [{**one, "seconds": 0, "latency": {**one["latency"], "notes": []}} for one in (again, whole)]
    assert told[0] == told[1]
    (tmp_path / "stopped" / "table.json").unlink()
    with pytest.raises(StoreError, match="there is no latency table .*table.json"):
        resume(tmp_path / "stopped", {})


def test_the_table_changes_nothing_that_is_random(tmp_path, clock, monkeypatch):
    """A run draws the same whether its table was measured or lay ready."""
    asked = settings(latency=0.8, latency_batch=256, **IEE)
    first = assemble(asked, Silent())
    assert first.budgets is not None
    state = torch.get_rng_state()
    second = assemble(asked, Silent(), table=first.budgets.table)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_overwriting_takes_the_smaller_model_and_the_table_away(tmp_path, clock):
    train(settings(latency=0.8, latency_batch=256, **HALP), tmp_path / "run")
    assert (tmp_path / "run" / "small" / "plan.json").exists()
    train(settings(method="dense", steps=3), tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run" / "small").exists()
    assert not (tmp_path / "run" / "table.json").exists()


def test_a_file_of_ones_own_in_small_is_left_alone(tmp_path):
    train(settings(method="dense", steps=3), tmp_path / "run")
    small = tmp_path / "run" / "small"
    small.mkdir()
    (small / "notes.txt").write_text("mine")
    for method, files in (("static", {"notes.txt", "plan.json", "model.safetensors", "origin.json"}),
                          ("dense", {"notes.txt"})):  # fmt: skip
        train(settings(method=method, steps=3), tmp_path / "run", overwrite=True)
        assert {path.name for path in small.iterdir()} == files
    assert (small / "notes.txt").read_text() == "mine"


def test_dense_runs_deliver_no_smaller_model(tmp_path):
    result = train(settings(steps=3, method="dense", units="channels"), tmp_path)
    assert not {"small", "file"} & result.keys()
    assert not (tmp_path / "small").exists()


def test_the_command_says_it_and_reports_it(tmp_path, clock):
    run, cut = tmp_path / "run", tmp_path / "cut"
    arguments = ["train", "--model", CNN, "--data", "digits", "--method", "halp", "--units", "channels"]
    arguments += ["--latency", "0.8", "--latency-batch", "256", "--steps", "30", "--threads", "1", "--out", str(run)]
    arguments += ["--set", "every=4", "--set", "events=5"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "latency  dense 20 ms -> 10 ms (0.50; asked 0.8; predicted 0." in done.stdout
    assert "masked and shrunk model agree" in done.stdout
    page = parse((run / "report.html").read_text())
    assert page.one("section", id="latency").all("figure")
    made = [
        "prune",
        CNN,
        "--data",
        "digits",
        "--latency",
        "0.8",
        "--latency-batch",
        "256",
        "--threads",
        "1",
        "--save",
        str(cut),
    ]
    assert CliRunner().invoke(app, made).exit_code == 0
    both = CliRunner().invoke(app, ["report", str(run), str(cut), "--out", str(tmp_path / "both.html")])
    assert both.exit_code == 0, both.output
    words = parse((tmp_path / "both.html").read_text()).one("section", id="latency").text
    assert "HALP 80 %" in words
    assert "one-shot group Fisher 80 %" in words


def test_a_budget_is_part_of_the_settings():
    begun = settings(latency=0.5, **IEE)
    config = as_config(begun, steps=40, per_epoch=40, command="")
    assert (config["latency"], config["density"]) == (0.5, None)
    assert from_config(config, {"latency": 0.5}, "run").latency == 0.5
    with pytest.raises(TrainError, match="begun with latency = 0.5, not 0.3"):
        from_config(config, {"latency": 0.3}, "run")
    assert as_config(settings(), steps=40, per_epoch=40, command="")["density"] == 0.1
    old = {key: value for key, value in as_config(settings(), steps=40, per_epoch=40, command="").items()}
    for name in ("latency", "macs", "parameters", "backend", "table", "latency_batch"):
        del old[name]  # as runs before budgets wrote it
    assert from_config(old, {}, "run").asked_density == 0.1


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"latency": 0.5, "density": 0.5, **IEE},
            BudgetError,
            "--density counts what stays and --latency what it costs",
        ),
        ({"macs": 2.0, **IEE}, BudgetError, r"macs 2.0 is outside \(0, 1\]"),
        ({"macs": 0.5, "method": "iee"}, BudgetError, "--units weights does not: give --units channels"),
        (
            {"macs": 0.5, "method": "gmp", "units": "channels"},
            BudgetError,
            "'gmp' takes a density .*; static, iee, halp, smcp take",
        ),
        ({"macs": 0.5, "method": "dense", "units": "channels"}, BudgetError, "a dense run removes nothing"),
        (HALP, BudgetError, "the method 'halp' needs a budget of cost: give --latency, --macs or --parameters"),
        ({"macs": 0.001, **IEE}, BudgetError, "the budget cannot be met"),
    ],
)
def test_what_it_refuses(tmp_path, changed, error, message):
    with pytest.raises(error, match=message):
        train(settings(**changed), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_method_without_budgets_says_so_before_anything_is_measured(tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("nothing is to be measured for a run that cannot begin")

    monkeypatch.setattr("niwaki.app.budgets.latency_table", never)
    for method, message in {"gmp": "takes a density and no budget", "dense": "a dense run removes nothing"}.items():
        with pytest.raises(BudgetError, match=message):
            train(settings(method=method, units="channels", latency=0.5), tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 10}, "10 steps are too few: a run of 5 prunings 4 steps apart"),
        ({"switches": {"evry": 4}}, "no switch 'evry'"),
        ({"switches": {"events": 0}}, "events=0 will not do; give a whole number of at least 1"),
    ],
)
def test_what_a_method_refuses_it_refuses_before_anything_is_measured(tmp_path, monkeypatch, changed, message):
    def never(*_, **__):
        pytest.fail("a table was measured")

    monkeypatch.setattr("niwaki.app.budgets.latency_table", never)
    with pytest.raises(NiwakiError, match=message):
        train(settings(**{**HALP, "latency": 0.5, **changed}), tmp_path / "run")
