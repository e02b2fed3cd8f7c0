"""What every criterion promises. A new criterion is one row of the table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from niwaki import criteria
from niwaki.core import Criterion, Group, SignalError, Signals, Slice
from niwaki.criteria import H2, HInfinity, Lamp, Random, TailShare
from tests.contract.criteria_rows import ROWS
from tests.criteria.cases import CASES, of_unit, signals_for
from tests.elsewhere import ELSEWHERE, SINGLE, Pretended

PAIRS = [
    pytest.param(row.criterion, case, id=f"{name}-{case.name}")
    for name, row in ROWS.items()
    for case in CASES
    if row.on(case)
]
each_pair = pytest.mark.parametrize(("criterion", "case"), PAIRS)
each_criterion = pytest.mark.parametrize("criterion", [pytest.param(r.criterion, id=n) for n, r in ROWS.items()])
WEIGHTS = CASES[0]
on_weights = pytest.mark.parametrize("row", [pytest.param(r, id=n) for n, r in ROWS.items() if r.on(WEIGHTS)])


def test_every_public_criterion_has_a_row():
    assert {getattr(criteria, name) for name in criteria.__all__} == {type(row.criterion) for row in ROWS.values()}


@pytest.mark.parametrize(
    ("row", "case"),
    [
        pytest.param(row, case, id=f"{name}-{case.name}")
        for name, row in ROWS.items()
        for case in CASES
        if row.formula and row.on(case)
    ],
)
def test_the_score_is_the_formula_over_the_members(row, case):
    signals = signals_for(case)
    expected = [row.formula(of_unit(case, signals, unit)) for unit in range(case.group.size)]
    np.testing.assert_allclose(row.criterion(case.group, signals).numpy(), expected, rtol=1e-12)


@each_pair
def test_one_finite_score_per_unit(criterion, case):
    score = criterion(case.group, signals_for(case))
    assert score.shape == (case.group.size,)
    assert bool(torch.isfinite(score).all())


@each_pair
def test_scores_follow_a_permutation_of_the_units(criterion, case):
    signals = signals_for(case)
    moved = case.moved(signals)
    before, after = criterion(case.group, signals), criterion(case.group, moved)
    if isinstance(criterion, Random) and case.name == "stream":
        # Permuting the stream also permutes the columns inside a row, and with them which element comes first.
        assert torch.equal(after, moved.of("noise", "w")[:, 0])
        return
    torch.testing.assert_close(after, before[list(case.order)], rtol=1e-12, atol=0)


@each_pair
def test_nothing_is_changed_or_shared(criterion, case):
    signals = signals_for(case)
    copies = {kind: {name: t.clone() for name, t in of.items()} for kind, of in signals.values.items()}
    first = criterion(case.group, signals)
    kept = first.clone()
    assert torch.equal(criterion(case.group, signals), kept)
    first.fill_(-7.0)
    for kind, of in signals.values.items():
        for name, tensor in of.items():
            assert torch.equal(tensor, copies[kind][name]), f"{kind} of {name} was written on"


@each_pair
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_scores_are_in_float32_at_least(criterion, case, dtype):
    signals = signals_for(case, dtype=dtype)
    score = criterion(case.group, signals)
    assert score.dtype in ({torch.float64} if dtype == torch.float64 else {torch.float32, torch.float64})
    wide = Signals({k: {n: t.double() for n, t in of.items()} for k, of in signals.values.items()})
    torch.testing.assert_close(score.double(), criterion(case.group, wide), rtol=1e-5, atol=1e-6)


@each_pair
def test_only_the_needed_signals_are_read(criterion, case):
    signals = signals_for(case)
    enough = Signals({kind: signals.values[kind] for kind in criterion.needs})
    assert torch.equal(criterion(case.group, enough), criterion(case.group, signals))


@each_pair
def test_a_missing_signal_is_named(criterion, case):
    signals = signals_for(case)
    for kind in criterion.needs:
        less = Signals({k: of for k, of in signals.values.items() if k != kind})
        with pytest.raises(
            SignalError, match=f"the signal '{kind}' was not collected for (tensor|group) '.*collect it with"
        ):
            criterion(case.group, less)


@each_criterion
def test_criteria_are_values(criterion):
    assert isinstance(criterion, Criterion)
    assert criterion.needs and all(isinstance(kind, str) for kind in criterion.needs)
    twin = type(criterion)(**vars(criterion))
    assert twin == criterion
    assert hash(twin) == hash(criterion)
    with pytest.raises(AttributeError):
        criterion.norm = 3


@on_weights
def test_the_ranking_does_not_depend_on_the_unit_of_the_loss(row):
    criterion = row.criterion
    # The loss times 8: gradients times 8, squares and H g times 64; powers of two, so that not a bit of rounding moves.
    powers = {
        "grad": 1,
        "grad_batches_abs": 1,
        "hessian_diag": 1,
        "grad_sq": 2,
        "grad_batches_sq": 2,
        "hessian_grad": 2,
        "gate_grad_sq": 2,
        "gate_hessian_diag": 1,
    }
    signals = signals_for(WEIGHTS)
    scaled = Signals({k: {n: t * 8.0 ** powers.get(k, 0) for n, t in of.items()} for k, of in signals.values.items()})
    before, after = criterion(WEIGHTS.group, signals), criterion(WEIGHTS.group, scaled)
    same = torch.equal(torch.argsort(before, stable=True), torch.argsort(after, stable=True))
    assert same == row.any_unit


@on_weights
def test_units_of_one_weight_score_as_the_weight_however_they_are_declared(row):
    criterion = row.criterion
    vector = Group("w", 6, (Slice("w", (6,)),))
    tiles = Group("w", 6, (Slice("w", (6,), tile=(1, 1)),), kind="block")
    along = Group("w", 6, (Slice("w", (6,), dim=0, index=torch.arange(6).reshape(6, 1)),), kind="channel")
    values = {kind: {"w": of["w"].reshape(-1)[:6]} for kind, of in signals_for(WEIGHTS).values.items()}
    expected = criterion(vector, Signals(values))
    assert torch.equal(criterion(tiles, Signals(values)), expected)
    assert torch.equal(criterion(along, Signals(values)), expected)


# These look at their numbers, which the meta device has not; the pretended ones below have them.
LOOKING = (Lamp, TailShare, HInfinity, H2)


@pytest.mark.parametrize(("criterion", "case"), [p for p in PAIRS if not isinstance(p.values[0], LOOKING)])
def test_scores_stay_on_the_device_of_the_signals(criterion, case):
    signals = signals_for(case)
    elsewhere = Signals({k: {n: t.to("meta") for n, t in of.items()} for k, of in signals.values.items()})
    assert criterion(case.group, elsewhere).device.type == "meta"


@each_pair
def test_scores_elsewhere_are_those_of_the_cpu(criterion, case):
    signals = signals_for(case)
    with Pretended():
        there = Signals({k: {n: t.to(ELSEWHERE) for n, t in of.items()} for k, of in signals.values.items()})
        score = criterion(case.group, there)
        assert score.device == ELSEWHERE
        assert torch.equal(score.cpu(), criterion(case.group, signals))


def single(tensor):
    return tensor.to(torch.complex64 if tensor.is_complex() else torch.float32)


@each_pair
def test_scores_do_without_float64_where_there_is_none(criterion, case):
    signals = signals_for(case)
    with Pretended():
        there = Signals({k: {n: single(t).to(SINGLE) for n, t in of.items()} for k, of in signals.values.items()})
        score = criterion(case.group, there).cpu()
    here = Signals({k: {n: single(t).to(t.dtype) for n, t in of.items()} for k, of in signals.values.items()})
    torch.testing.assert_close(score.double(), criterion(case.group, here).double(), rtol=1e-4, atol=1e-5)


@pytest.mark.accelerator
@each_pair
def test_scores_stay_on_the_accelerator(criterion, case):
    signals = signals_for(case)
    there = Signals({k: {n: t.cuda() for n, t in of.items()} for k, of in signals.values.items()})
    score = criterion(case.group, there)
    assert score.device.type == "cuda"
    torch.testing.assert_close(score.cpu(), criterion(case.group, signals), rtol=1e-12, atol=1e-12)
