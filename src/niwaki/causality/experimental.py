"""Experimental: forms that no publication defines. They may change or go."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from .blocks import neighbourhood_distances
from .digamma import digamma_table
from .embedding import Standardise, past, present, standardised
from .engine import nearest
from .errors import CausalityError
from .frame import Floats, as_series, is_constant
from .interventional import InterventionalEntropy

Neighbourhood = Literal["effect", "both"]


def conditional_interventional_entropy(
    x: Any,
    y: Any,
    z: Any,
    index: InterventionalEntropy | None = None,
    *,
    neighbourhood: Neighbourhood = "effect",
    standardise: Standardise = "none",
) -> float:
    """Experimental: how ``y``'s offsets answer to ``x``'s at equal offsets of ``z``, in nats.

    ``E_t [ I(dX; dY | dZ) ]`` in the neighbourhoods of `interventional_embedding_entropy`, estimated by
    ``psi(k) + <psi(n_Z) - psi(n_XZ) - psi(n_YZ)>`` with counts that include the state itself. ``Z_t = (z[t - lag], ...,
    z[t - order lag])``. The paper defines no such form; this is the counterpart, by our choice, of the conditional
    embedding entropy. Tens of neighbours are few for three spaces: take more than the default ten.

    Args:
        x: the cause, ``[T]`` or ``[T, d]``.
        y: the effect, likewise.
        z: what may act on both, likewise.
        index: the settings; `InterventionalEntropy()` by default.
        neighbourhood: where states are near: ``"effect"``, among the vectors of ``y``, or ``"both"``, of ``y`` and
            ``z``.
        standardise: how each component is rescaled first.

    Raises:
        CausalityError: if the series differ in length or the neighbourhood is unknown.
    """
    index = InterventionalEntropy() if index is None else index
    if neighbourhood not in get_args(Neighbourhood):
        raise CausalityError(
            f"neighbourhood={neighbourhood!r} is unknown; choose from {', '.join(get_args(Neighbourhood))}"
        )
    blocks = [standardised(as_series(s, n), standardise) for s, n in ((x, "x"), (y, "y"), (z, "z"))]
    if len({len(block) for block in blocks}) > 1:
        lengths = ", ".join(str(len(block)) for block in blocks)
        raise CausalityError(f"x, y and z have {lengths} time points; cut them to the same times")
    index.check(len(blocks[0]))
    if is_constant(blocks[0]) or is_constant(blocks[1]):
        return 0.0  # nothing acts, or nothing answers
    effect, third = present(blocks[1], index.order, index.lag), past(blocks[2], index.order, index.lag)
    space = effect if neighbourhood == "effect" else np.concatenate([effect, third], axis=1)
    near = nearest(space, index.neighbours, index.window)
    spaces = (past(blocks[0], index.order, index.lag), effect, third)
    blocks_of = neighbourhood_distances(spaces, near, index.local_scale)
    local = np.concatenate([_within(of_x, of_y, of_z, index.k) for of_x, of_y, of_z in blocks_of])
    return float((local if index.signed else np.abs(local)).mean())


def _within(of_x: Floats, of_y: Floats, of_z: Floats, k: int) -> Floats:
    """Conditional information ``[rows]`` within neighbourhoods of distances ``[rows, N, N]``."""
    in_xz, in_yz = np.maximum(of_x, of_z), np.maximum(of_y, of_z)
    joint = np.maximum(in_xz, in_yz)
    size = joint.shape[1]
    valid = ~((joint == 0) & np.tri(size, k=-1, dtype=bool)).any(axis=2)  # of equal rows the first stays
    left = valid.sum(axis=1)
    others = np.where(valid[:, None, :] & ~np.eye(size, dtype=bool), joint, np.inf)
    reach = np.partition(others, k - 1, axis=2)[:, :, k - 1, None]
    psi = digamma_table(size)
    n_xz, n_yz, n_z = (((d < reach) & valid[:, None, :]).sum(axis=2) for d in (in_xz, in_yz, of_z))
    terms = np.where(valid, psi[n_z] - psi[n_xz] - psi[n_yz], 0.0).sum(axis=1)
    return np.where(left > k, psi[k] + terms / np.maximum(left, 1), 0.0)
