"""Systems whose causes are known, to try an index on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import CausalityError
from .frame import Floats


@dataclass(frozen=True)
class System:
    """Series of a system and what acts on what in it.

    Args:
        series: ``[T, n]``.
        truth: ``[n, n]`` booleans, row = cause, column = effect.
    """

    series: Floats
    truth: NDArray[np.bool_]


def logistic_maps(
    rates: Sequence[float],
    edges: Sequence[tuple[int, int]],
    *,
    coupling: float,
    length: int,
    noise: float = 0.001,
    skip: int = 500,
    seed: int = 0,
) -> System:
    """Logistic maps that lean on their causes: ``v' = r v (1 - (1 - m b) v - b sum(causes)) + noise``.

    ``m`` is the number of causes of a map.

    Args:
        rates: growth ``r`` of each.
        edges: pairs ``(cause, effect)`` of positions.
        coupling: ``b``.
        length: time points kept.
        noise: standard deviation of the noise; states are kept within (0, 1), which it could leave.
        skip: time points left out before.
        seed: of start and noise.
    """
    growth, acts = np.asarray(rates, dtype=np.float64), _acts(len(rates), edges)
    weight = coupling * acts.T
    own = 1 - weight.sum(axis=1)
    rng = np.random.default_rng(seed)
    state = rng.uniform(0.1, 0.9, len(growth))
    found = np.empty((skip + length, len(growth)))
    for now in range(len(found)):
        state = growth * state * (1 - own * state - weight @ state) + noise * rng.normal(size=len(growth))
        state = np.clip(state, 1e-6, 1 - 1e-6)
        found[now] = state
    return System(found[skip:], acts)


def competing_maps(
    rates: Sequence[float],
    edges: Sequence[tuple[int, int]],
    *,
    coupling: float = 0.35,
    length: int,
    noise: float = 0.001,
    skip: int = 500,
    seed: int = 0,
) -> System:
    """Logistic maps that their causes hold down: ``v' = v (r - r v - b sum(causes)) + noise``.

    Args:
        rates: growth ``r`` of each.
        edges: pairs ``(cause, effect)`` of positions.
        coupling: ``b``.
        length: time points kept.
        noise: standard deviation of the noise; states are kept within (0, 1), which it could leave.
        skip: time points left out before.
        seed: of the noise; every map starts near 0.4.
    """
    growth, acts = np.asarray(rates, dtype=np.float64), _acts(len(rates), edges)
    rng = np.random.default_rng(seed)
    state = 0.4 + noise * rng.normal(size=len(growth))
    found = np.empty((skip + length, len(growth)))
    for now in range(len(found)):
        state = state * (growth - growth * state - coupling * (acts.T @ state)) + noise * rng.normal(size=len(growth))
        state = np.clip(state, 1e-6, 1 - 1e-6)
        found[now] = state
    return System(found[skip:], acts)


EIGHT_RATES = (3.9, 3.5, 3.62, 3.75, 3.65, 3.72, 3.57, 3.68)
EIGHT_EDGES = ((0, 2), (1, 2), (1, 3), (2, 4), (2, 5), (5, 6), (5, 7))


def eight_maps(*, length: int, coupling: float = 0.35, noise: float = 0.001, seed: int = 0) -> System:
    """Eight competing maps, from one: 1 -> 3, 2 -> 3, 2 -> 4, 3 -> 5, 3 -> 6, 6 -> 7, 6 -> 8.

    Args:
        length: time points.
        coupling: strength of every edge.
        noise: standard deviation of the noise.
        seed: of the noise.
    """
    return competing_maps(EIGHT_RATES, EIGHT_EDGES, coupling=coupling, length=length, noise=noise, seed=seed)


def henon_chain(
    size: int = 9, *, length: int, coupling: float = 0.5, noise: float = 0.001, skip: int = 500, seed: int = 0
) -> System:
    """Hénon maps in a row, each driven by the one before it: ``v' = 1.4 - (b/2 u + (1 - b) v)^2 + 0.3 v_before``.

    The first has ``v' = 1.4 - v^2 + 0.3 v_before``. The noise is on what is
    observed, since noise within can throw the maps off their attractor.

    Args:
        size: maps.
        length: time points kept.
        coupling: ``b``.
        noise: standard deviation of the observation noise.
        skip: time points left out before.
        seed: of the noise.

    Raises:
        CausalityError: if the maps leave their attractor, as some couplings and numbers of maps make them do.
    """
    own, driven = np.full(size, 1 - coupling), np.full(size, coupling / 2)
    own[0], driven[0] = 1.0, 0.0
    state, before = np.linspace(0.1, 0.9, size), np.linspace(0.9, 0.1, size)
    found = np.empty((skip + length, size))
    for now in range(len(found)):
        state, before = 1.4 - (driven * np.roll(state, 1) + own * state) ** 2 + 0.3 * before, state
        found[now] = state
        if not np.abs(state).max() < 10:
            raise CausalityError(
                f"with coupling={coupling:g} the {size} maps run off at step {now}; change the coupling"
            )
    seen = found[skip:] + noise * np.random.default_rng(seed).normal(size=(length, size))
    return System(seen, _acts(size, [(i, i + 1) for i in range(size - 1)]))


def _acts(size: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    acts = np.zeros((size, size), dtype=bool)
    for cause, effect in edges:
        acts[cause, effect] = True
    return acts
