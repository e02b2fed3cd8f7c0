"""The formulas again, in plain loops over single numbers, sharing nothing with the package."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import digamma

LCG = (1103515245, 12345, 2**31)


def golden_series(length=300):
    """The reference series: a linear congruential generator drives a contracting map."""
    state, x, y = 12345, [], [0.3]
    for _ in range(length):
        state = (LCG[0] * state + LCG[1]) % LCG[2]
        x.append(state / LCG[2])
    for t in range(length - 1):
        y.append(0.5 * y[-1] + 0.4 * x[t] ** 2)
    return np.array(x), np.array(y)


def columns(series):
    series = np.asarray(series, dtype=float)
    return series.reshape(len(series), -1)


def vectors(series, delays, start):
    series = columns(series)
    return [[float(v) for d in delays for v in series[t - d]] for t in range(start, len(series))]


def cheb(a, b):
    return max((abs(p - q) for p, q in zip(a, b, strict=True)), default=0.0)


def ksg_local(a, b, k):
    """Within one neighbourhood, after the reference: equal rows dropped, strict counts with the point itself."""
    keep: list[tuple[list[float], list[float]]] = []
    for p, q in zip(a, b, strict=True):
        if not any(p == r and q == s for r, s in keep):
            keep.append((p, q))
    n = len(keep)
    if n < k + 1:
        return 0.0
    counts = []
    for u in range(n):
        far = sorted(max(cheb(keep[u][0], v[0]), cheb(keep[u][1], v[1])) for i, v in enumerate(keep) if i != u)
        eps = far[k - 1]
        counts.append([sum(cheb(keep[u][side], v[side]) < eps for v in keep) for side in (0, 1)])
    mean = [sum(digamma(c[side]) for c in counts) / n for side in (0, 1)]
    return float(digamma(k) - mean[0] - mean[1] + digamma(n))


def scaled(rows):
    spread = np.std(np.array(rows), axis=0)
    return [[v / s if s > 0 else v for v, s in zip(row, spread, strict=True)] for row in rows]


def iee(x, y, p=1, k=2, nd=10, theiler=None, *, lag=1, signed=False, local=False):
    theiler = p * lag if theiler is None else theiler
    first = vectors(x, range(lag, p * lag + 1, lag), p * lag)
    second = vectors(y, range(0, p * lag + 1, lag), p * lag)
    out = []
    for i, here in enumerate(second):
        far = sorted(
            (sum((a - b) * (a - b) for a, b in zip(there, here, strict=True)), j)
            for j, there in enumerate(second)
            if abs(j - i) > theiler
        )
        near = [j for _, j in far[:nd]]
        a = [[v - w for v, w in zip(first[j], first[i], strict=True)] for j in near]
        b = [[v - w for v, w in zip(second[j], here, strict=True)] for j in near]
        found = ksg_local(scaled(a) if local else a, scaled(b) if local else b, k)
        out.append(found if signed else abs(found))
    return math.fsum(out) / len(out)


def information(x, y, z=None, k=3, theiler=0):
    """Frenzel and Pompe; without z, Kraskov's first estimate with the admissible points of each sample."""
    x, y = vectors(x, [0], 0), vectors(y, [0], 0)
    z = vectors(z, [0], 0) if z is not None else [[] for _ in x]
    total = 0.0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if abs(i - j) > theiler]
        d = [(cheb(x[i], x[j]), cheb(y[i], y[j]), cheb(z[i], z[j])) for j in others]
        eps = sorted(max(row) for row in d)[k - 1]
        n_xz = sum(max(a, c) < eps for a, _, c in d)
        n_yz = sum(max(b, c) < eps for _, b, c in d)
        n_z = sum(c < eps for *_, c in d) if z[i] else len(others)
        total += digamma(n_z + 1) - digamma(n_xz + 1) - digamma(n_yz + 1)
    return float(digamma(k) + total / len(x))


def nearest(points, count, theiler, library=None):
    points = columns(points).tolist()
    library = range(len(points)) if library is None else library
    found = []
    for i, here in enumerate(points):
        far = sorted(
            (sum((a - b) * (a - b) for a, b in zip(points[j], here, strict=True)), j)
            for j in library
            if abs(i - j) > theiler
        )
        found.append([j for _, j in far[:count]])
    return found


def cross_map(x, y, p, theiler):
    """The authors' form: columns of the cause's past from the effect's neighbours."""
    past = np.array(vectors(x, range(1, p + 1), p))
    points = np.array(vectors(y, range(p + 1), p))
    guess = np.empty_like(past)
    for i, near in enumerate(nearest(points, points.shape[1] + 1, theiler)):
        d = [math.dist(points[i], points[j]) for j in near]
        w = [math.exp(-v / d[0]) for v in d]
        guess[i] = sum(v * past[j] for v, j in zip(w, near, strict=True)) / sum(w)
    return float(np.mean([abs(np.corrcoef(guess[:, c], past[:, c])[0, 1]) for c in range(p)]))
