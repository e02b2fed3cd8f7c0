"""What README and docs say was reached is what the results files hold."""

from __future__ import annotations

import json
import statistics
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import ROOT

RESULTS = ROOT / "benchmarks" / "results"
METHODS = {"dense": "dense", "RigL": "rigl", "IEE": "iee", "IEE, dense start": "iee, dense start", "GMP": "gmp"}
README = {
    "digits, perceptron, 5 % of the weights, ten seeds": ("digits-mlp-1200-steps", 0.05),
    "digits, perceptron, 2 %, ten seeds": ("digits-mlp-1200-steps", 0.02),
    "Fashion-MNIST, LeNet-300-100, 5 %, three seeds": ("fashion-lenet300-8-epochs", 0.05),
    "CIFAR-10, ResNet-20, 10,000 images, 10 epochs, 5 %, three seeds": ("cifar-resnet20-10000-images-10-epochs", 0.05),
    "the same, 40 epochs": ("cifar-resnet20-10000-images-40-epochs", 0.05),
    "CIFAR-10, WideResNet-22-2, 10,000 images, 10 epochs, 10 %, three seeds": (
        "cifar-wide_resnet22_2-10000-images-10-epochs-fp32",
        0.1,
    ),
    "the same, 5 %": ("cifar-wide_resnet22_2-10000-images-10-epochs-fp32", 0.05),
    "the same, 2 %": ("cifar-wide_resnet22_2-10000-images-10-epochs-fp32", 0.02),
}


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows


def shown(value: float, digits: int) -> str:
    # By decimal fractions, half up: 59.05 is 59.1, whatever its nearest double is.
    exact = Decimal(str(round(value, 6)))
    return str(exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP))


def cell(row: dict[str, Any], digits: int = 1, *, spread: bool = True) -> str:
    """Mean and spread, from the runs themselves: rounded twice, 59.047 is 59.1."""
    runs = row.get("test_accuracy", row.get("accuracy"))
    said = shown(statistics.mean(runs), digits)
    return said if len(runs) == 1 or not spread else f"{said} ± {shown(statistics.stdev(runs), digits)}"


def test_half_is_rounded_up_and_once():
    assert [shown(59.05, 1), shown(98.301, 2), shown(2.0, 1)] == ["59.1", "98.30", "2.0"]
    assert cell({"accuracy": [61.04, 57.47, 58.63]}) == "59.0 ± 1.8"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*_training_*.json")), ids=lambda path: path.stem)
def test_every_result_stands_on_the_page(path):
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = rows_of(path)
    missing = [(row["method"], cell(row, 2)) for row in rows if cell(row, 1) not in page and cell(row, 2) not in page]
    assert rows
    assert not missing, missing


def test_the_first_table_of_the_readme_holds_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What it reaches so far")[2]
    lines = text.strip().partition("\n\n")[0].splitlines()
    head, _, *table = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in table] == list(README)
    for label, *cells in table:
        name, density = README[label]
        found = {(row["method"], row["density"]): row for row in rows_of(RESULTS / f"sparse_training_{name}.json")}
        for column, said in zip(head[1:], cells, strict=True):
            row = found.get((METHODS[column], 1.0 if column == "dense" else density))
            expected = "" if row is None else cell(row, spread=column != "dense")
            assert said == expected, f"{label}, {column}: the README says {said!r}"
