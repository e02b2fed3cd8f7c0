"""Groups, the names of parameters, and the check that groups and model belong together."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import nn

from niwaki.core import Group, GroupError, Groups, Slice, bare_model, check_groups, parameters_of, plain_name
from niwaki.structure import weights

GROUP = Group("a", 6, (Slice("a.weight", (2, 3)),))
TENSORS = {"a.weight": torch.zeros(2, 3)}


def test_groups_are_a_sequence_that_knows_its_size():
    groups = Groups((GROUP, Group("b", 4, (Slice("b.weight", (4,)),))), {"a.bias": "a vector"})
    assert [g.name for g in groups] == ["a", "b"]
    assert len(groups) == 2
    assert groups[1].name == "b"
    assert [g.name for g in groups[:1]] == ["a"]
    assert groups.size == 10
    assert groups.left_out["a.bias"] == "a vector"


def test_groups_that_fit_pass():
    check_groups([GROUP], TENSORS)
    assert Groups((GROUP,)).left_out == {}


@pytest.mark.parametrize(
    ("groups", "tensors", "says"),
    [
        ([], TENSORS, "no groups: nothing can be pruned here; `groups.left_out` has the reasons"),
        ([GROUP, GROUP], TENSORS, "two groups are called 'a'; give each its own name"),
        ([replace(GROUP, size=0)], TENSORS, "group 'a' has no parameters; leave it out"),
        ([replace(GROUP, slices=())], TENSORS, "group 'a' has no parameters; leave it out"),
        ([GROUP], {"b.weight": torch.zeros(2, 3)}, "names the tensor 'a.weight', which the model does not have; make"),
        (
            [GROUP],
            {"a.weight": torch.zeros(3, 2)},
            r"had shape \(2, 3\) .* has \(3, 2\) now; make the groups anew",
        ),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, tensors, says):
    with pytest.raises(GroupError, match=says):
        check_groups(groups, tensors)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("layer.weight", "layer.weight"),
        ("_orig_mod.layer.weight", "layer.weight"),
        ("module.layer.weight", "module.layer.weight"),  # the user's own word, also at the top
        ("block._orig_mod.layer.weight", "block.layer.weight"),  # only a block of the model is compiled
        ("block.module.weight", "block.module.weight"),  # the user's own word, further down
    ],
)
def test_compiling_leaves_no_trace_in_names(name, plain):
    assert plain_name(name) == plain


def test_a_compiled_model_has_the_names_of_the_model_itself():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    whole, part = cast(nn.Module, torch.compile(model)), cast(nn.Module, torch.compile(model[0]))
    assert list(parameters_of(whole)) == list(parameters_of(model))
    model[0] = part
    assert list(parameters_of(model)) == ["0.weight", "0.bias", "1.weight", "1.bias"]


@pytest.fixture
def _one_process(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=int(os.environ.get("WORLD_SIZE", 1))
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("_one_process")
def test_a_distributed_model_has_the_names_of_the_model_itself():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    wrapped = nn.parallel.DistributedDataParallel(model)
    assert list(parameters_of(wrapped)) == list(parameters_of(model))
    assert parameters_of(wrapped)["0.weight"] is model[0].weight
    compiled = cast(nn.Module, torch.compile(wrapped))
    assert bare_model(compiled) is model
    assert list(parameters_of(compiled)) == list(parameters_of(model))
    single = nn.parallel.DistributedDataParallel(nn.Linear(4, 4))
    assert [group.name for group in weights(single)] == ["weight"]


def test_a_model_may_call_a_part_of_itself_module():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(2, 2)
            self.weight = nn.Parameter(torch.zeros(2, 2))

    assert list(parameters_of(Own())) == ["weight", "module.weight", "module.bias"]
    assert [group.name for group in weights(Own(), also="weight", ignore="module")] == ["weight"]
    average = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2))
    assert list(parameters_of(average)) == ["weight", "bias"]


def test_a_shared_parameter_is_there_once():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert list(parameters_of(model)) == ["0.weight"]
