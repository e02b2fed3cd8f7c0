"""How tensors lie in memory stays, so that a loaded model rounds as the saved one did."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from niwaki.store import load, load_training, save, save_training
from niwaki.store.encode import decode, encode
from tests.store.cut_models import bits

SHAPES = [(3, 4), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 3, 2), (1, 3, 1, 4), (4, 1, 2)]
ORDERS = [(shape, order) for shape in SHAPES for order in itertools.permutations(range(len(shape)))]


class Held(nn.Module):
    """A parameter and a buffer."""

    def __init__(self, parameter, buffer):
        super().__init__()
        self.w = nn.Parameter(parameter)
        self.register_buffer("b", buffer)


def laid(shape, order, start=0):
    """A tensor of this shape whose axes lie in memory in this order, the first one farthest apart."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis], step = step, step * shape[axis]
    return torch.arange(float(start), start + step).as_strided(shape, strides)


def steps(tensor):
    """What tells where elements lie: the strides of axes that have more than one position."""
    return [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]


@pytest.mark.parametrize("compact", [False, True])
def test_every_order_of_axes_comes_back(tmp_path, compact):
    for number, (shape, order) in enumerate(ORDERS):
        model = Held(laid(shape, order), laid(shape, order[::-1], start=7) % 3)
        save(model, tmp_path / str(number), compact=compact)
        loaded = load(Held(torch.zeros(shape), torch.zeros(shape)), tmp_path / str(number))
        for name, tensor in model.state_dict().items():
            found = loaded.state_dict()[name]
            assert torch.equal(found, tensor) and steps(found) == steps(tensor), (shape, order)


@pytest.mark.parametrize("memory", [torch.channels_last, torch.channels_last_3d])
def test_channels_last_is_an_order_like_others(tmp_path, memory):
    shape = (4, 3, 5, 2) if memory == torch.channels_last else (4, 3, 5, 2, 2)
    tensor = torch.randn(shape).contiguous(memory_format=memory)
    save(Held(tensor, tensor.clone()), tmp_path)
    assert load(Held(torch.zeros(shape), torch.zeros(shape)), tmp_path).w.is_contiguous(memory_format=memory)


def test_files_that_name_channels_last_are_read():
    values = torch.arange(24.0).reshape(1, 2, 3, 4)
    found = decode({"tensor": "x", "layout": "channels_last"}, {"x": values})
    assert torch.equal(found, values) and found.is_contiguous(memory_format=torch.channels_last)
    assert decode({"tensor": "x", "layout": "channels_last_3d"}, {"x": values}) is values  # of five axes


@pytest.mark.parametrize(
    "layout", [[0, 1, 2], [0, 0, 1, 2], [0, 1, 2, 4], ["a", 1, 2, 3], 7, "rows", [0, 1, 2, None], [[], 1, 2, 3]]
)
def test_what_is_no_order_of_these_axes_is_passed_over(layout):
    values = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert decode({"tensor": "x", "layout": layout}, {"x": values}) is values


@pytest.mark.parametrize("view", [lambda t: t[:, :2], lambda t: t[:, ::2], lambda t: t[:, :1].expand(4, 3)])
def test_views_with_gaps_or_overlaps_come_back_row_by_row(view):
    tensor = view(torch.arange(24.0).reshape(4, 6))
    found = decode(*encode({"x": tensor}))["x"]
    assert torch.equal(found, tensor) and found.is_contiguous()


def test_a_tensor_and_its_transpose_are_two_tensors():
    square = torch.arange(9.0).reshape(3, 3)
    found = decode(*encode({"a": square, "b": square.T, "c": square}))
    assert torch.equal(found["b"], square.T) and found["b"].stride() == (1, 3)
    assert found["a"] is found["c"] and found["a"].stride() == (3, 1)


def test_momentum_goes_on_in_the_layout_of_its_parameter(tmp_path):
    def run(steps, model, optimizer):
        for _ in range(steps):
            optimizer.zero_grad()
            (model.w * model.b).square().sum().backward()
            optimizer.step()

    make = lambda: Held(laid((3, 4), (1, 0)), laid((3, 4), (1, 0), start=1) / 50)  # noqa: E731
    model, again = make(), make()
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9) for each in (model, again)]
    run(3, model, optimizers[0])
    save_training(tmp_path, model=model, optimizer=optimizers[0])
    load_training(tmp_path, model=again, optimizer=optimizers[1])
    for each, optimizer in zip((model, again), optimizers, strict=True):
        run(3, each, optimizer)
        assert optimizer.state[each.w]["momentum_buffer"].stride() == each.w.stride() == (1, 3)
    assert bits(model) == bits(again)
