"""``niwaki predict``: a table of what models say, and the audit that reads it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app import predictions
from niwaki.app.cli import app
from niwaki.app.data import load_data, ready
from niwaki.app.run import train
from niwaki.app.saved import open_model
from niwaki.app.settings import Settings
from niwaki.core.errors import AddressError, StoreError, TrainError
from niwaki.report.picture_attributes import picture_attributes

CNN = "zoo:cnn?width=4"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    base = {"batch": 32, "threads": 1, "steps": 30}
    train(Settings(CNN, "digits", method="dense", **base), place / "dense")
    train(Settings(CNN, "digits", method="static", density=0.1, seed=1, **base), place / "sparse")
    return place


def told(command):
    return CliRunner().invoke(app, command)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_holds_what_the_models_say(runs, tmp_path):
    out = tmp_path / "seen.csv"
    found = predictions.predict([str(runs / "dense"), str(runs / "sparse")], "digits", out, threads=1)
    data, rows = load_data("digits"), table(out)
    x, y = data.test
    assert [row["class"] for row in rows] == [data.classes[i] for i in y]
    for name in ("dense", "sparse"):
        with torch.no_grad():
            said = open_model(str(runs / name)).eval()(ready(data, x)).argmax(1)
        assert [row[name] for row in rows] == [data.classes[i] for i in said]
        accuracy = json.loads((runs / name / "result.json").read_text())["accuracy"]
        assert found["accuracy"][name] == pytest.approx(accuracy, abs=1e-12)
    measured = picture_attributes(x.numpy())
    assert found["attributes"] == list(measured)
    for name, values in measured.items():
        np.testing.assert_array_equal([float(row[name]) for row in rows], values)


def test_from_models_to_the_audit_on_the_command_line(runs, tmp_path):
    out = tmp_path / "seen.csv"
    asked = told(["predict", str(runs / "dense"), str(runs / "sparse"), "--data", "digits", "--out", str(out)])
    assert asked.exit_code == 0, asked.output
    *facts, hint = asked.output.splitlines()
    assert len(facts) == 3
    prefix = "who is harmed? niwaki "
    assert hint.startswith(prefix)
    audited = told([*hint.removeprefix(prefix).split(), "--permutations", "20", "--json"])
    assert audited.exit_code == 0, audited.output
    assert json.loads(audited.stdout)["accuracy_before"] == pytest.approx(
        float(facts[0].split()[1][:-1]) / 100, abs=1e-4
    )


def test_rows_of_features_are_attributes_and_volumes_have_none():
    x = torch.randn(12, 3)
    assert list(predictions._attributes(x)) == ["x0", "x1", "x2"]
    assert predictions._attributes(x)["x1"] == x[:, 1].tolist()
    assert predictions._attributes(torch.zeros(12, 1, 3, 4, 5)) == {}


def test_classes_that_the_data_do_not_have(tmp_path):
    torch.manual_seed(0)
    model = open_model("zoo:cnn?classes=12")
    model.get_parameter("linear.bias").data[11] = 99.0
    nw.save_program(model.eval(), tmp_path / "twelve.pt2", torch.zeros(2, 1, 8, 8))
    out = tmp_path / "seen.csv"
    found = predictions.predict([str(tmp_path / "twelve.pt2")], "digits", out, part="valid", threads=1)
    assert found["accuracy"] == {"twelve.pt2": 0.0}
    assert {row["twelve.pt2"] for row in table(out)} == {"class 11"}
    assert len(table(out)) == len(load_data("digits").valid[1])


def test_what_it_refuses(runs, tmp_path):
    out, dense = tmp_path / "seen.csv", str(runs / "dense")
    with pytest.raises(AddressError, match="the part 'tset' is none of test, valid, train"):
        predictions.predict([dense], "digits", out, part="tset")
    with pytest.raises(AddressError, match=r"each model needs a column of its own beside 'class'; these are .*dense, "):
        predictions.predict([dense, dense], "digits", out)
    text = tmp_path / "plain.txt"
    text.write_text("a sentence about bonsai trees. " * 200)
    with pytest.raises(TrainError, match="have no class each but a sequence of them"):
        predictions.predict(["zoo:char_gru"], f"text:{text}", out)
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(StoreError, match="is there already; add --overwrite"):
        predictions.predict([dense], "digits", out)
    assert out.read_text() == "mine"
    predictions.predict([dense], "digits", out, overwrite=True)
    assert len(table(out)) == 359
