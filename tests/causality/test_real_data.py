"""Recorded series, where they are at hand: genes of the day, of yeast, and cases of COVID-19."""

import csv
import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest

from niwaki.causality import CausalityError, Granger, evaluate, score_matrix
from tests.causality import oracle

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "causal"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")
CLOCKWORK = [("Clock", gene) for gene in ("Per1", "Per2", "Nr1d1", "Nr1d2", "Rorc", "Tef")]


def _genes(name):
    with (DATA / name).open() as file:
        rows = list(csv.reader(file))[1:]
    return {row[0].partition("_")[0]: np.log(np.array(row[1:], dtype=float)) for row in rows}


def test_genes_of_the_mouse_score_as_the_loop_says():
    genes = _genes("cycMouseLiverRNA.csv")
    assert len(genes) == 10
    assert {len(series) for series in genes.values()} == {48}
    found = score_matrix(genes)
    scaled = {name: (series - series.mean()) / series.std() for name, series in genes.items()}
    pairs = list(itertools.permutations(genes, 2))
    for a, b in CLOCKWORK:
        assert found.score(a, b) == pytest.approx(oracle.iee(scaled[a], scaled[b]), abs=1e-9)
    # AUROC by counting: of every edge beside every other pair, how often does the edge score higher?
    edges, others = ([found.score(*pair) for pair in pairs if (pair in CLOCKWORK) is known] for known in (True, False))
    wins = [(edge > other) + (edge == other) / 2 for edge in edges for other in others]
    assert evaluate(found, CLOCKWORK).auroc == pytest.approx(np.mean(wins), abs=1e-12)


def test_eleven_points_of_yeast_are_too_few():
    genes = _genes("cycYeastCycle.csv")
    with pytest.raises(CausalityError, match=r"11 time points, 10 neighbours outside a window of 1 take at least 14"):
        score_matrix(genes)


def test_granger_from_tokyo_is_least_squares():
    total: dict[str, list[float]] = {}
    with gzip.open(DATA / "japan_covid19_prefectures.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            total.setdefault(row["prefectureNameE"], []).append(float(row["testedPositive"]))
    assert len(total) == 47
    names = ["Tokyo", "Kanagawa", "Osaka"]
    weekly = {name: np.log1p(np.maximum(np.subtract(total[name][-319:], total[name][-326:-7]), 0)) for name in names}
    found = score_matrix(weekly, Granger(2, lag=7))
    for cause, effect in itertools.permutations(names, 2):
        x, y = weekly[cause], weekly[effect]
        own = np.column_stack([np.ones(305), y[7:-7], y[:-14]])
        errors = []
        for design in (own, np.column_stack([own, x[7:-7], x[:-14]])):
            beta = np.linalg.lstsq(design, y[14:], rcond=None)[0]
            errors.append(((y[14:] - design @ beta) ** 2).sum())
        assert found.score(cause, effect) == pytest.approx(np.log(errors[0] / errors[1]), abs=1e-9)
