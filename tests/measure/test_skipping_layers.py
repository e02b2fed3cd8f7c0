"""Layers that skip zeros compute what the definition says, whatever their sizes, strides, paddings and groups."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from niwaki.core import TrainError
from niwaki.measure import skipping_layers
from niwaki.measure.skipping_layers import SkippingConvolution, SkippingProduct

pytestmark = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL")

KINDS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def thinned(layer: nn.Module, density: float) -> nn.Module:
    with torch.no_grad():
        layer.weight.masked_fill_(torch.rand(layer.weight.shape) >= density, 0)
    return layer


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([(), (1,), (4,), (2, 3), (0,), (1, 1, 5)]),
    st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    st.booleans(),
    st.integers(0, 99),
)
def test_linear_layers_multiply_as_before(rows, columns, before, density, bias, seed):
    torch.manual_seed(seed)
    layer = thinned(nn.Linear(columns, rows, bias=bias).double(), density)
    x = torch.randn(*before, columns, dtype=torch.float64)
    found = SkippingProduct(layer)(x)
    assert found.is_contiguous() and found.shape == (*before, rows)
    # By the definition, element by element.
    wanted = torch.einsum("...i,oi->...o", x, layer.weight) + (layer.bias if bias else 0)
    torch.testing.assert_close(found, wanted.detach(), rtol=1e-12, atol=1e-12)


@st.composite
def convolutions(draw):
    """A convolution and an input that it takes."""
    torch.manual_seed(draw(st.integers(0, 999)))
    dims = draw(st.integers(1, 3))
    several = st.tuples(*[st.integers(1, 4 if dims < 3 else 3)] * dims)
    kernel, dilation, stride = draw(several), draw(st.tuples(*[st.integers(1, 2)] * dims)), draw(several)
    whole = st.just("valid") if max(stride) > 1 else st.sampled_from(["valid", "same"])
    padding = draw(st.one_of(st.tuples(*[st.integers(0, 3)] * dims), whole))
    groups = draw(st.integers(1, 3))
    mode = draw(st.sampled_from(["zeros"] * 3 + ["circular", "replicate"]))
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    # Large enough for the kernel, and for what is wrapped around.
    size = [max(e, 4) + draw(st.integers(0, 5)) for e in extent]
    channels, outs = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    layer = KINDS[dims](
        channels, outs, kernel, stride, padding, dilation, groups, draw(st.booleans()), mode, dtype=torch.float64
    )
    x = torch.randn(draw(st.integers(0, 3)), channels, *size, dtype=torch.float64)
    return thinned(layer, draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))), x


@given(convolutions(), st.sampled_from([1, 2000, 2**22]))
def test_convolutions_compute_as_before(case, room):
    layer, x = case
    with torch.no_grad():
        wanted = layer(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skipping_layers, "_ROOM", room)  # bytes: one image at a time, some of them, all
        found = SkippingConvolution(layer)(x)
    assert found.is_contiguous()
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


def test_every_weight_by_itself_ends_where_it_should():
    """Worked by hand: one weight alone moves the image by its place in the kernel, and puts zeros where it ends."""
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    for row in range(3):
        for column in range(3):
            layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
            layer.weight.data.zero_()[0, 0, row, column] = 2
            wanted = torch.zeros(3, 4)
            for i in range(3):
                for j in range(4):
                    y, x = i + row - 1, j + column - 1
                    if 0 <= y < 3 and 0 <= x < 4:
                        wanted[i, j] = 2 * (4 * y + x)
            made = SkippingConvolution(layer)
            assert torch.equal(made(image)[0, 0], wanted) and len(made.shifts) == 1


def test_images_do_not_reach_into_each_other():
    """Paddings are shared by neighbours in memory, so a NaN in one image must not come into another one."""
    layer = nn.Conv2d(2, 3, (5, 3), padding=(3, 1), stride=(2, 1)).double()
    x = torch.randn(3, 2, 6, 5, dtype=torch.float64)
    with torch.no_grad():
        wanted = layer(x)
    x[1] = float("nan")
    found = SkippingConvolution(layer)(x)
    torch.testing.assert_close(found[[0, 2]], wanted[[0, 2]])
    assert found[1].isnan().any()


def test_a_single_image_and_layouts():
    layer = nn.Conv2d(4, 6, 3, padding=1).double()
    made, x = SkippingConvolution(layer), torch.randn(2, 4, 5, 7, dtype=torch.float64)
    last = x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.testing.assert_close(made(x[0]), layer(x[0]))
        torch.testing.assert_close(made(last), layer(last))
        assert made(last).is_contiguous(memory_format=torch.channels_last) and made(x).is_contiguous()
    torch.testing.assert_close(made(x.requires_grad_()), layer(x))  # a model may run with gradients turned on


def test_strides_and_places_without_weights_cost_no_product():
    layer = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    assert len(SkippingConvolution(layer).shifts) == 4  # not 9: pixels between two outputs are channels
    assert len(SkippingConvolution(nn.Conv2d(3, 8, 16, stride=16)).shifts) == 1  # patches
    layer.weight.data[:, :, 2] = 0
    assert len(SkippingConvolution(layer).shifts) == 2
    layer.weight.data.zero_()
    empty = SkippingConvolution(layer)
    assert len(empty.shifts) == 1
    torch.testing.assert_close(empty(torch.ones(1, 3, 4, 4)), layer.bias.detach()[:, None, None].expand(1, 8, 2, 2))


def test_an_input_smaller_than_the_kernel():
    made = SkippingConvolution(nn.Conv2d(1, 1, 5, padding=1))
    with pytest.raises(TrainError, match=r"inputs of size \[2, 9\] are smaller than the kernel, which spans \[5, 5\]"):
        made(torch.ones(1, 1, 2, 9))


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(6, 4, 3, bias=False), nn.Conv1d(6, 4, 2, stride=2)])
def test_copies_and_what_other_processes_get(layer):
    kind = SkippingProduct if isinstance(layer, nn.Linear) else SkippingConvolution
    made = kind(thinned(layer, 0.5))
    x = torch.randn(2, 6, *[5] * (layer.weight.dim() - 2))
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), copy.deepcopy(nn.Sequential(made))):  # noqa: S301
        assert torch.equal(other(x), made(x))
    copied = copy.deepcopy(made)
    copied.get_buffer("weight" if kind is SkippingProduct else "weight_0").values().zero_()
    assert not torch.equal(copied(x), made(x))  # nothing is shared


def test_what_code_reads_of_a_layer():
    made = SkippingConvolution(nn.Conv1d(1, 1, 3, dtype=torch.float64))
    assert (made.weight.dtype, made.weight.device.type) == (torch.float64, "cpu")
    assert repr(made) == "SkippingConvolution(1, 1, weights=3, places=3)"
    assert repr(SkippingProduct(nn.Linear(2, 3))) == "SkippingProduct(2, 3, weights=6)"
