"""``niwaki prune`` within budgets of cost: counted by hand, timed by a clock of the test, refused in words."""

import json
import re
import warnings

import pytest
import torch
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app import backends, latencies
from niwaki.app.cli import app
from niwaki.app.models import load_model
from niwaki.app.one_shot import cut
from niwaki.app.progress import Silent
from niwaki.app.request import Request
from niwaki.core import AddressError, StoreError
from niwaki.measure import Timing, Timings
from tests.report.parsed import parse

CNN = "zoo:cnn"
SIZE = ["--input", "1x8x8", "--threads", 1]


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Tables are measured once for this file, and not in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def _clock(monkeypatch, *ratios):
    """Timings without a clock: the ratios of the smaller models, one after the other; the last one again and again."""
    left = list(ratios)

    def timed(models, inputs, *, backend, threads=None, rounds=30, warmup=5):
        ratio = left.pop(0) if len(left) > 1 else left[0]
        first, second = models
        rows = (Timing(first, (0.02,), 0.02, 0.01, 1.0, 1.0, 1.0),
                Timing(second, (0.02 * ratio,), 0.02 * ratio, 0.01, ratio, ratio - 0.02, ratio + 0.02))  # fmt: skip
        return Timings(rows, 1, 1, True)

    monkeypatch.setattr(latencies, "time_models", timed)


def test_macs_and_parameters_are_never_exceeded(tmp_path):
    done = niwaki("prune", CNN, *SIZE, "--macs", 0.5, "--parameters", 0.3, "--save", tmp_path / "small", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    dense, small = load_model(CNN), nw.load(load_model(CNN), tmp_path / "small")
    before, after = (sum(p.numel() for p in m.parameters()) for m in (dense, small))
    assert result["parameters"] == [before, after]
    assert after <= 0.3 * before
    assert result["macs"][1] <= 0.5 * result["macs"][0]
    rows = {row["cost"]: row for row in result["budget"]}
    # What the plan was to come to is what came out.
    assert rows["parameters"]["reached"] == after
    assert rows["parameters"]["dense"] == before
    assert rows["macs"]["reached"] == pytest.approx(result["macs"][1])
    assert [row["asked"] for row in result["budget"]] == [0.5, 0.3]
    # One of the two is nearly used up: one more channel would be too many.
    used = max(row["reached"] / row["most"] for row in result["budget"])
    assert 0.9 < used <= 1
    assert result["verified"]["same"]
    assert result["request"]["density"] is None
    assert "latency" not in result  # nobody asked for it


def test_the_knapsack_keeps_the_best_that_fits():
    """One limit on parameters of two independent layers is a plain knapsack: all choices are tried."""
    made = cut(Request(CNN, size="1x8x8", criterion="magnitude", parameters=0.4, threads=1))
    model = made.dense
    groups = nw.channels(model, torch.zeros(1, 1, 8, 8))
    scores = nw.score(nw.Magnitude(), model, groups)
    best = {name: row.sort(descending=True).values.double().cumsum(0) for name, row in scores.items()}
    cost = nw.counted(model, torch.zeros(1, 1, 8, 8)).parameters.cost(groups)
    worth = sum(float(best[g["name"]][g["kept"] - 1]) for g in made.result["groups"])
    # No single exchange of channels between two groups that fits is worth more.
    counts = {g["name"]: g["kept"] for g in made.result["groups"]}
    for more in counts:
        for fewer in counts:
            for given in range(9):
                other = {**counts, more: counts[more] + 1}
                other[fewer] -= given
                if (
                    min(other.values()) < 1
                    or any(other[g.name] > g.size for g in groups)
                    or cost(other) > 0.4 * cost.dense
                ):
                    continue
                assert sum(float(best[name][n - 1]) for name, n in other.items()) <= worth * (1 + 1e-6)


def test_without_data_a_budget_adds_up_absolute_weights():
    made = cut(Request(CNN, size="1x8x8", parameters=0.4, threads=1))
    assert made.result["request"]["criterion"] == "l1"
    example = torch.zeros(1, 1, 8, 8)
    groups, weights = nw.channels(made.dense, example), dict(made.dense.named_parameters())
    worth = {group.name: torch.zeros(group.size) for group in groups}
    for group in groups:
        for where in group.slices:
            for unit, places in enumerate(where.index):
                worth[group.name][unit] += weights[where.tensor].detach().index_select(where.dim, places).abs().sum()
    keep = nw.knapsack(groups, worth, nw.Parameters(0.4, nw.counted(made.dense, example).parameters))
    assert {g["name"]: g["kept"] for g in made.result["groups"]} == {k: int(v.sum()) for k, v in keep.items()}


def test_latency_is_planned_by_the_table_and_measured(tmp_path):
    folder, table = tmp_path / "small", tmp_path / "table.json"
    asked = ["--latency", 0.7, "--latency-batch", 256, "--save-table", table]
    done = niwaki("prune", CNN, *SIZE, *asked, "--save", folder, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    found = result["latency"]
    groups = nw.channels(load_model(CNN), torch.zeros(1, 1, 8, 8))
    cost = nw.LatencyTable.read(table).cost(groups)
    counts = {group["name"]: group["kept"] for group in result["groups"]}
    assert found["small"]["predicted"] == pytest.approx(cost(counts))
    assert cost(counts) <= 0.7 * cost.dense == found["target_seconds"]
    assert (found["asked"], found["batch"], found["backend"], found["threads"]) == (0.7, 256, "eager", 1)
    assert found["small"]["ratio"] < 1  # else another plan would have been taken
    assert found["small"]["ratio"] == pytest.approx(found["small"]["measured"] / found["dense"]["measured"])
    before, after = (sum(row[which] for row in found["layers"]) for which in ("dense", "small"))
    assert (before + cost.fixed, after + cost.fixed) == pytest.approx((cost.dense, cost(counts)))
    for shape in found["table"]:
        assert len(shape["seconds"]) == max(1, len(shape["inputs"]))
        assert {len(row) for row in shape["seconds"]} == {len(shape["outputs"])}
    # What the folder holds is what was said, and it becomes a page.
    assert json.loads((folder / "result.json").read_text()) == {k: v for k, v in result.items() if k != "report"}
    page = parse((folder / "report.html").read_text())
    assert page.one("section", id="latency").all("figure")
    # The table that was saved serves instead of measuring.
    again = niwaki("prune", CNN, *SIZE, "--latency", 0.7, "--latency-batch", 256, "--table", table, "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["budget"][0]["dense"] == pytest.approx(cost.dense)


def test_in_words(monkeypatch):
    _clock(monkeypatch, 0.6)
    done = niwaki("prune", CNN, *SIZE, "--latency", 0.7, "--latency-batch", 256, "--macs", 0.9)
    assert done.exit_code == 0, done.output
    assert "latency     dense 20 ms -> 12 ms (0.60; asked 0.7; predicted 0." in done.stdout
    assert "95 % interval 0.58 to 0.62, eager" in done.stdout
    assert "of the dense model's (asked 0.9)" in done.stdout


def test_a_plan_that_is_no_faster_is_followed_by_the_next(monkeypatch):
    _clock(monkeypatch, 1.1, 1.0, 0.5)
    done = niwaki("prune", CNN, *SIZE, "--latency", 0.8, "--latency-batch", 256, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["latency"]["small"]["ratio"] == 0.5
    quiet = niwaki("prune", CNN, *SIZE, "--latency", 0.8, "--latency-batch", 256)
    assert quiet.exit_code == 0
    _clock(monkeypatch, 1.1, 0.5)
    told = niwaki("prune", CNN, *SIZE, "--latency", 0.8, "--latency-batch", 256)
    assert "a plan takes 1.10 of the dense latency (1.08 to 1.12): not faster, so the next one is tried" in told.stderr


def test_if_none_is_faster_all_are_named(monkeypatch):
    _clock(monkeypatch, 1.1, 1.0)
    done = niwaki("prune", CNN, *SIZE, "--latency", 0.8, "--latency-batch", 256)
    assert done.exit_code == 1
    words = "plans within the budget timed on eager: none is faster than the dense model: 1.10 (1.08 to 1.12), 1.00"
    assert words in done.stderr
    assert "Ask for a smaller --latency, or another --backend" in done.stderr


def test_a_named_backend_is_timed_in_any_case_and_no_gain_is_said(monkeypatch):
    _clock(monkeypatch, 1.03)
    done = niwaki("prune", CNN, *SIZE, "--density", 0.9, "--backend", "eager")
    assert done.exit_code == 0, done.output
    assert "dense 20 ms -> 20.6 ms (1.03), 95 % interval 1.01 to 1.05, eager: no gain here" in done.stdout


# Here a table's noise does not matter: nothing is ranked by it.
@pytest.mark.filterwarnings("ignore:the timings of")
def test_a_table_from_elsewhere_is_used_with_a_warning_that_names_both(tmp_path, monkeypatch):
    _clock(monkeypatch, 1.5)  # here it would be refused; there nobody can time it
    table = tmp_path / "table.json"
    model, example = load_model(CNN).eval(), torch.zeros(1, 1, 8, 8)
    nw.latency_table(model, example, threads=1, coarse=True).save(table)
    data = json.loads(table.read_text())
    own = data["environment"]["machine"]
    data["environment"] |= {"machine": "a small phone", "dtype": "float16"}
    table.write_text(json.dumps(data))
    request = Request(CNN, size="1x8x8", criterion="magnitude", latency=0.9, table=str(table), threads=1)
    told: list[str] = []
    progress = Silent()
    monkeypatch.setattr(progress, "note", told.append)
    made = cut(request, progress)
    assert re.search(f"machine a small phone instead of {re.escape(own)}.*dtype float16 instead of float32", told[0])
    assert made.result["latency"]["notes"] == told
    assert [words.split(" ")[0] for words in made.result["latency"]["elsewhere"]] == ["machine", "dtype"]
    assert made.result["latency"]["small"]["ratio"] == 1.5


# Here a table's noise does not matter: nothing is ranked by it.
@pytest.mark.filterwarnings("ignore:the timings of")
def test_a_table_without_a_layer_of_the_model_is_refused(tmp_path):
    table = tmp_path / "table.json"
    nw.latency_table(load_model(CNN).eval(), torch.zeros(1, 1, 8, 8), threads=1, coarse=True).save(table)
    request = Request("zoo:resnet20", size="3x32x32", criterion="magnitude", latency=0.5, table=str(table), threads=1)
    with pytest.raises(StoreError, match=r"the latency table has no layer like 'conv1' \(.* are missing\)"):
        cut(request)
    with pytest.raises(StoreError, match="there is no latency table .*nowhere"):
        cut(Request(CNN, size="1x8x8", criterion="magnitude", latency=0.5, table=str(tmp_path / "nowhere"), threads=1))


def test_stopped_while_measuring(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("niwaki.app.budgets.latency_table", interrupted)
    done = niwaki("prune", CNN, *SIZE, "--latency", 0.5)
    assert done.exit_code == 130
    assert "what was measured is kept, and the same command goes on from there" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--latency", 0.5, "--density", 0.5],
            "--density counts what stays and --latency what it costs: give one of the",
        ),
        (["--macs", 0.5, "--parameters", 0.5, "--density", 0.1], "--macs and --parameters what it costs"),
        (["--macs", 0.5, "--share-of", "parameters"], "--share-of says what a density is a share of"),
        (["--macs", 0], "macs 0.0 is outside (0, 1]"),
        (["--latency", 1.5], "latency 1.5 is outside (0, 1]; it is the share of the dense model's that may stay"),
        (["--latency", 0.5, "--latency-batch", 0], "latency_batch = 0 is not a positive number"),
        (["--macs", 0.5, "--table", "t.json"], "a table of latencies serves a budget of latency"),
        (["--latency", 0.5, "--backend", "onnx"], "did you mean 'onnxruntime'? Known: eager, compile, onnxruntime"),
        (["--macs", 0.001], "the budget cannot be met"),
        (["--macs", 0.5, "--allocate", "uniform", "--normalise", "l2"], "leave --normalise out"),
        (["--latency", 0.5, "--units", "heads"], "has no heads that can be cut"),
    ],
)
def test_what_it_refuses(arguments, words):
    done = niwaki("prune", CNN, *SIZE, *arguments)
    assert done.exit_code == 1
    assert words in done.stderr


def test_onnxruntime_that_is_not_there_names_its_extra(monkeypatch):
    find = backends.importlib.util.find_spec
    gone = {"onnxruntime", "onnxscript"}
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None if name in gone else find(name))
    with pytest.raises(AddressError, match=r"needs onnxruntime, onnxscript: pip install 'niwaki\[export\]'"):
        Request(CNN, latency=0.5, backend="onnxruntime")


def test_uniform_widths_within_a_budget():
    done = niwaki("prune", CNN, *SIZE, "--macs", 0.5, "--allocate", "uniform", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    shares = [group["kept"] / group["units"] for group in result["groups"]]
    assert max(shares) - min(shares) < 0.13  # one share of 8, 16 and 32 channels and the like
    assert result["macs"][1] <= 0.5 * result["macs"][0]


def test_normalised_scores_go_into_the_knapsack():
    plain, scaled = (
        cut(Request(CNN, size="1x8x8", criterion="magnitude", parameters=0.5, normalise=how, threads=1)).result
        for how in ("none", "zscore")
    )
    assert [g["kept"] for g in plain["groups"]] != [g["kept"] for g in scaled["groups"]]
    assert scaled["parameters"][1] <= 0.5 * scaled["parameters"][0]


def test_nothing_is_said_about_tables_without_a_budget():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = cut(Request(CNN, size="1x8x8", criterion="magnitude", threads=1))
    assert "latency" not in done.result
