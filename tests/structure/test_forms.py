"""Shapes told by arithmetic against torch's own answers, for every operator and many layouts."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_iter, tree_map

from niwaki.structure.fake import Hollows, read
from niwaki.structure.forms import FORMS, IN_PLACE

aten = torch.ops.aten
CPU = torch.device("cpu")
ROWS = torch.randn(4, 6)
IMAGE = torch.randn(2, 6, 8, 10)
LAYOUTS = [
    IMAGE,
    IMAGE.to(memory_format=torch.channels_last),
    IMAGE.permute(2, 0, 3, 1),
    IMAGE[:, :, ::2],
    IMAGE[:1, :, :1],
    ROWS,
    ROWS.t(),
    ROWS[:1],
    torch.tensor(2.0),
    IMAGE.double(),
    IMAGE.bfloat16(),
    IMAGE.long(),
    torch.randn(0, 6),
]
SCALE = torch.rand(6)


def cases():
    plain = [op for op in [*FORMS, *IN_PLACE] if sum(not a.has_default_value() for a in op._schema.arguments) == 1]
    plain = [op for op in plain if op is not aten.cat.default]
    for op in plain:
        yield from ((op, (x,)) for x in LAYOUTS)
    for name in ("add", "mul", "sub", "div"):
        others = [2, 0.5, True, torch.tensor(2.0), torch.randn(6), torch.randn(6, 1, 1), torch.randn(10), torch.ones(3)]
        for x in LAYOUTS:
            for op in (getattr(aten, name).Tensor, getattr(aten, f"{name}_").Tensor):
                yield from (
                    (op, (x, other))
                    for other in [*others, x, x.t() if x.dim() == 2 else x[..., :1] if x.dim() else x, x.float()]
                )
    for x in LAYOUTS:
        yield from ((op, (x, 0)) for op in (aten.clamp_min.default, aten.clamp_max.default))
        yield from ((aten.pow.Tensor_Scalar, (x, p)) for p in (2, 0.5))
        yield aten.rsub.Scalar, (x, 1.0)
        yield from ((aten.mean.dim, (x, dims, keep)) for dims in ([-1], [0, 1], [2, 3]) for keep in (False, True))
        yield aten.sum.dim_IntList, (x, [-1])
        yield from ((op, (x, -1, False)) for op in (aten._softmax.default, aten._log_softmax.default))
        yield from ((aten.cat.default, ([x, x], dim)) for dim in (0, 1, -1))
        yield aten.cat.default, ([x, IMAGE[:, :3]], 1)
        yield aten._adaptive_avg_pool2d.default, (x, [1, 1])
        yield aten.max_pool2d_with_indices.default, (x, [3, 3], [2, 2], [1, 1])
        yield aten.max_pool2d_with_indices.default, (x, [2], [], [0], [1], True)
        yield aten.native_batch_norm.default, (x, SCALE, SCALE, SCALE, SCALE, False, 0.1, 1e-5)
        yield aten.native_group_norm.default, (x, SCALE, None, 2, 6, 80, 3, 1e-5)
        yield aten.native_layer_norm.default, (x, [10], torch.rand(10), None, 1e-5)
        for weight in (torch.randn(4, 6, 3, 3), torch.randn(4, 6, 1, 1).to(memory_format=torch.channels_last)):
            yield aten.convolution.default, (x, weight, torch.randn(4), [2, 1], [1, 0], [1, 2], False, [0, 0], 1)
        yield aten.convolution.default, (x, torch.randn(6, 1, 3, 3), None, [1], [1], [1], False, [0], 6)
        yield aten.convolution.default, (x, torch.randn(4, 5, 3, 3), None, [1], [1], [1], False, [0], 1)
        yield aten.convolution.default, (x, torch.randn(6, 3, 3, 3), None, [2], [0], [1], True, [1], 2)
        yield aten.mm.default, (x, ROWS)
        yield aten.mm.default, (x, ROWS.t())
        yield from ((aten.addmm.default, (bias, x, ROWS.t())) for bias in (torch.randn(4), torch.randn(3)))
        yield aten.baddbmm.default, (torch.randn(3, 5, 7), torch.randn(3, 5, 4), torch.randn(3, 4, 7))
        yield aten.bmm.default, (torch.randn(3, 5, 4), torch.randn(3, 4, 7))
        yield aten.clone.default, (x,)


def outcome(run):
    """Shapes, types and steps of what comes out; steps of axes of one position mean nothing."""
    try:
        found = run()
    except Exception as error:
        return type(error).__name__
    return [
        (tuple(x.shape), x.dtype, x.device, [step for step, size in zip(x.stride(), x.shape, strict=True) if size != 1])
        for x in tree_iter(found)
    ]


def test_what_is_told_is_what_torch_says():
    hollows, told, wrong = Hollows(), 0, []
    for op, args in cases():
        mode = FakeTensorMode()
        mine = tree_map(lambda x: hollows.stand_in(x, CPU) if isinstance(x, torch.Tensor) else x, args)
        theirs = tree_map(lambda x: mode.from_tensor(x) if isinstance(x, torch.Tensor) else x, args)  # noqa: B023
        sizes = [tuple(x.shape) for x in tree_iter(args) if isinstance(x, torch.Tensor)]
        with torch.no_grad():
            got, wanted = outcome(lambda: hollows.run(op, mine, {})), outcome(lambda: op(*theirs))  # noqa: B023
        told += not isinstance(got, str) and (FORMS | IN_PLACE)[op](*read(mine, [])) not in (None, False)
        if op is aten.native_batch_norm.default and not isinstance(got, str):
            got, wanted = got[:1], wanted[:1]  # the rest depends on the device, and is never read
        if got != wanted:
            wrong.append((str(op), sizes, got, wanted))
    assert not wrong
    assert told > 500


def test_every_operator_has_a_case():
    assert {op for op, _ in cases()} >= {*FORMS, *IN_PLACE}


def test_what_views_share_and_what_they_do_not():
    hollows = Hollows()
    x = hollows.stand_in(IMAGE, CPU)
    view = hollows.run(aten.view.default, (x, [12, 80]), {})
    half = hollows.run(aten.split.Tensor, (x, 3, 1), {})
    new = hollows.run(aten.relu.default, (x,), {})
    base = x.untyped_storage()._cdata
    assert (tuple(view.shape), view.untyped_storage()._cdata) == ((12, 80), base)
    assert [(tuple(h.shape), h.untyped_storage()._cdata) for h in half] == [((2, 3, 8, 10), base)] * 2
    assert new.untyped_storage()._cdata != base
    assert new.device == CPU == view.device


@pytest.mark.parametrize("op", [aten.roll.default, aten._safe_softmax.default])
def test_what_was_asked_once_is_the_same_again(op):
    hollows = Hollows()
    for x in (IMAGE, IMAGE.permute(2, 0, 3, 1), IMAGE.double()):
        args = (hollows.stand_in(x, CPU), *([[1], [2]] if op is aten.roll.default else [1]))
        first, again = (outcome(lambda: hollows.run(op, args, {})) for _ in range(2))  # noqa: B023
        real = op(x, *args[1:])
        assert first == again
        assert first[0][:2] == (tuple(real.shape), real.dtype)


def test_numbers_of_another_type_are_told_apart():
    # 1 == 1.0 == True, and yet whole numbers plus 1.0 are no whole numbers.
    hollows = Hollows()
    whole = hollows.stand_in(torch.ones(3, dtype=torch.long), CPU)
    kinds = [hollows.run(aten.fmod.Scalar, (whole, number), {}).dtype for number in (1, 1.0, True)]
    assert kinds == [aten.fmod.Scalar(torch.ones(3, dtype=torch.long), number).dtype for number in (1, 1.0, True)]
    assert math.prod(whole.shape) == 3


@pytest.mark.parametrize("op", [aten.t_.default, aten.unsqueeze_.default, aten.transpose_.default])
def test_a_layout_that_changes_in_place_is_read_anew(op):
    hollows, real = Hollows(), torch.randn(4, 6)
    x = hollows.stand_in(real, CPU)
    rest = {aten.t_.default: (), aten.unsqueeze_.default: (0,), aten.transpose_.default: (0, 1)}[op]
    before = hollows.run(aten.relu.default, (x,), {})
    hollows.run(op, (x, *rest), {})
    op(real, *rest)
    after, seen = hollows.run(aten.relu.default, (x,), {}), hollows.run(aten.view.default, (x, list(real.shape)), {})
    assert tuple(before.shape) == (4, 6)
    assert tuple(after.shape) == tuple(seen.shape) == tuple(real.shape)
    assert after.stride() == real.stride() == seen.stride()


def test_what_holds_nothing_is_one_tensor_and_the_rest_are_many():
    hollows = Hollows()
    scale = hollows.stand_in(SCALE, CPU)
    given = (hollows.stand_in(IMAGE, CPU), scale, scale, scale, scale, False, 0.1, 1e-5)
    first, again = (hollows.run(aten.native_batch_norm.default, given, {}) for _ in range(2))
    assert first[0] is not again[0]
    assert first[1] is again[1] is first[2]
    assert tuple(first[1].shape) == (0,)
