"""Three sets of real data on which causes are sought, as they lie in one folder.

* ``celegans_herm_edgelist_cook2019.csv.gz``, ``celegans_white1986_whole.csv``: who has synapses with whom in a worm. No
  activity was recorded with them, so the neurons are given dynamics here: only the wiring is real.
* ``japan_covid19_prefectures.csv.gz``: cases by prefecture and day. Who infected whom is not known.
* ``cycMouseLiverRNA.csv``: ten genes of the mouse liver every hour for two days. The edges are textbook knowledge.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIRING, OLDER_WIRING = "celegans_herm_edgelist_cook2019.csv.gz", "celegans_white1986_whole.csv"
CASES, GENES = "japan_covid19_prefectures.csv.gz", "cycMouseLiverRNA.csv"

# Which factors bind at which genes. CLOCK (with BMAL1) at E-boxes; the REV-ERBs (Nr1d1, Nr1d2) and ROR (Rorc) at
# response elements of ROR; TEF at D-boxes. The PERs bind nothing themselves but hold CLOCK's targets down.
E_BOX = ("Per1", "Per2", "Nr1d1", "Nr1d2", "Rorc", "Tef")
BINDING = {
    "Clock": E_BOX,
    "Nr1d1": ("Clock", "Rorc"),
    "Nr1d2": ("Clock", "Rorc"),
    "Rorc": ("Clock",),
    "Tef": ("Per1", "Per2", "Nr1d1", "Nr1d2"),
}
HOLDING = {"Per1": E_BOX, "Per2": E_BOX}

BORDERS = """Aomori: Iwate Akita; Iwate: Miyagi Akita; Miyagi: Akita Yamagata Fukushima; Akita: Yamagata;
Yamagata: Fukushima Niigata; Fukushima: Ibaraki Tochigi Gunma Niigata; Ibaraki: Tochigi Saitama Chiba;
Tochigi: Gunma Saitama; Gunma: Saitama Niigata Nagano; Saitama: Chiba Tokyo Yamanashi Nagano; Chiba: Tokyo;
Tokyo: Kanagawa Yamanashi; Kanagawa: Yamanashi Shizuoka; Niigata: Toyama Nagano; Toyama: Ishikawa Nagano Gifu;
Ishikawa: Fukui Gifu; Fukui: Gifu Shiga Kyoto; Yamanashi: Nagano Shizuoka; Nagano: Gifu Shizuoka Aichi;
Gifu: Aichi Mie Shiga; Shizuoka: Aichi; Aichi: Mie; Mie: Shiga Kyoto Nara Wakayama; Shiga: Kyoto;
Kyoto: Osaka Hyogo Nara; Osaka: Hyogo Nara Wakayama; Hyogo: Tottori Okayama; Nara: Wakayama;
Tottori: Shimane Okayama Hiroshima; Shimane: Hiroshima Yamaguchi; Okayama: Hiroshima; Hiroshima: Yamaguchi;
Tokushima: Kagawa Ehime Kochi; Kagawa: Ehime; Ehime: Kochi; Fukuoka: Saga Kumamoto Oita; Saga: Nagasaki;
Kumamoto: Oita Miyazaki Kagoshima; Oita: Miyazaki; Miyazaki: Kagoshima"""


@dataclass(frozen=True)
class Recorded:
    """Series, and what is known or supposed of their causes.

    Args:
        series: one for each name, all of the same length.
        edges: pairs (cause, effect).
        unclear: pairs that count neither way.
    """

    series: dict[str, Floats]
    edges: tuple[tuple[str, str], ...]
    unclear: tuple[tuple[str, str], ...] = ()


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    read = csv.DictReader(text.splitlines(), delimiter=delimiter)
    return [{name.strip(): value.strip() for name, value in row.items()} for row in read]


def genes(folder: Path) -> Recorded:
    """Logarithms of the expression, and the edges that are direct: binding at promoters."""
    found = {}
    for row in rows_of(folder / GENES):
        name = row.pop("geneName").partition("_")[0]
        found[name] = np.log(np.array([float(value) for value in row.values()]))
    direct = [(cause, effect) for cause, effects in BINDING.items() for effect in effects]
    held = [(cause, effect) for cause, effects in HOLDING.items() for effect in effects if cause != effect]
    return Recorded(found, tuple(direct), tuple(held))


def prefectures(folder: Path, *, is_common_left_out: bool) -> Recorded:
    """Logarithms of the cases of seven days, by day, from 18 March 2020 on; land borders stand in for the truth.

    Args:
        folder: where the file is.
        is_common_left_out: take the mean of all prefectures away from each, and with it the waves that all had.
    """
    total: dict[str, dict[tuple[int, int, int], float]] = {}
    for row in rows_of(folder / CASES):
        day = (int(row["year"]), int(row["month"]), int(row["date"]))
        total.setdefault(row["prefectureNameE"], {})[day] = float(row["testedPositive"])
    days = sorted(set.intersection(*(set(of) for of in total.values())))
    names = sorted(total)
    counts = np.array([[total[name][day] for day in days] for name in names])
    weekly = np.log1p(np.maximum(counts[:, 7:] - counts[:, :-7], 0))  # totals were at times corrected downwards
    if is_common_left_out:
        weekly -= weekly.mean(axis=0)
    pairs = [line.split(":") for line in BORDERS.replace("\n", " ").split(";")]
    borders = [(one.strip(), other) for one, others in pairs for other in others.split()]
    return Recorded(dict(zip(names, weekly, strict=True)), tuple(borders + [(b, a) for a, b in borders]))


def wiring(folder: Path, size: int = 20, least: int = 5) -> tuple[list[str], Floats, NDArray[Any], NDArray[Any]]:
    """The neurons with most synapses, of those that both tables name alike.

    Args:
        folder: where the files are.
        size: how many neurons.
        least: sections of a synapse that make it an edge for sure.

    Returns:
        Names; sections of all synapses, chemical and electrical, ``[size, size]``, row = sends; which pairs are edges
        (at least so many sections), and which are edges in the older table.
    """
    older = {(row["pre"], row["post"]) for row in rows_of(folder / OLDER_WIRING, "\t")}
    neurons = {name for pair in older for name in pair}
    sections: Counter[tuple[str, str]] = Counter()
    for row in rows_of(folder / WIRING):
        if row["Source"] != row["Target"] and {row["Source"], row["Target"]} <= neurons:
            sections[row["Source"], row["Target"]] += int(row["Weight"])
    busy: Counter[str] = Counter()
    for pair, count in sections.items():
        for name in pair:
            busy[name] += count
    names = sorted(sorted(busy), key=lambda name: -busy[name])[:size]
    weights = np.array([[float(sections[one, other]) for other in names] for one in names])
    also = np.array([[one != other and (one, other) in older for other in names] for one in names])
    return names, weights, weights >= least, also


def alive(weights: Floats, *, dynamics: str, length: int, seed: int, skip: int = 500) -> Floats:
    """Activity ``[length, n]`` of neurons wired so.

    ``"maps"``: chaotic logistic maps, each leaning by a third on the mean of what it gets, ``v' = r v (1 - 2/3 v - 1/3
    input) + noise``. ``"rates"``: firing rates driven by noise, ``v' = 0.5 v + 0.5 tanh(3 input) + noise``, every
    neuron sending with a sign drawn by chance, since the tables tell none.

    Args:
        weights: ``[n, n]``, row = sends.
        dynamics: which.
        length: time points kept.
        seed: of start, signs and noise.
        skip: time points left out before.
    """
    rng = np.random.default_rng(seed)
    given = weights / weights.sum(axis=0)
    size = len(weights)
    state, rates, signs = rng.uniform(0.1, 0.9, size), rng.uniform(3.6, 3.9, size), rng.choice([-1.0, 1.0], size)
    found = np.empty((skip + length, size))
    for now in range(len(found)):
        if dynamics == "maps":
            state = rates * state * (1 - state * 2 / 3 - given.T @ state / 3) + 0.001 * rng.normal(size=size)
            state = np.clip(state, 1e-6, 1 - 1e-6)
        else:
            state = 0.5 * state + 0.5 * np.tanh(3 * given.T @ (signs * state)) + 0.3 * rng.normal(size=size)
        found[now] = state
    return found[skip:]
