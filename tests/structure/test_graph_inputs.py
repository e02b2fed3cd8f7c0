"""What goes into a graph, what comes out of it, and whose tensors it holds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import niwaki as nw
from tests.structure.graph_nets import alternate, zeroed


@dataclass
class Result:
    """What `Several` returns within."""

    sum: torch.Tensor
    words: str


class Several(nn.Module):
    """Named inputs, nested outputs, a flag, a tied weight, a table, constants that are written on."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 2)
        self.again.weight = self.first.weight
        self.register_buffer("table", torch.randn(6), persistent=False)
        self.offset = torch.randn(2)

    def forward(self, left, *, right, twice):
        steps = torch.tensor([0.0, 1.0])
        steps += self.offset
        out = self.last((self.first(left) + self.again(right)) * self.table)
        out = out * 2 if twice else out
        return {"out": (out, out + steps), "more": [Result(out.sum(1), "sum"), len(left)]}


def several():
    model = Several()
    example = {"right": torch.randn(2, 4), "left": torch.randn(2, 4), "twice": True}
    groups = nw.channels(model, example)
    return model, example, groups, nw.shrink_graph(model, groups, alternate(groups), example)


def test_inputs_keep_their_names_and_outputs_their_structure():
    model, _, groups, graph = several()
    given = {"left": torch.randn(5, 4), "right": torch.randn(5, 4), "twice": True}
    for _ in range(2):  # what is written on constants does not stay
        found, wanted = graph(**given), zeroed(model, groups, alternate(groups))(**given)
        torch.testing.assert_close(found["out"], wanted["out"])
        torch.testing.assert_close(found["more"][0]["sum"], wanted["more"][0].sum)
        assert (found["more"][0]["words"], found["more"][1]) == ("sum", 5)


def test_an_input_that_is_no_tensor_must_be_that_of_the_example():
    *_, graph = several()
    with pytest.raises(nw.GroupError, match="'twice' must be True, as in the example"):
        graph(left=torch.zeros(1, 4), right=torch.zeros(1, 4), twice=False)


def test_tensors_keep_names_ties_and_marks_and_nothing_of_the_model_changes():
    model, example, groups, graph = several()
    names = dict(graph.named_parameters())
    assert list(names) == [name for name, _ in model.named_parameters()]
    assert names["first.weight"].shape == (3, 4)
    assert "table" not in graph.state_dict()
    assert graph.table.shape == (3,)
    assert model.first.weight.shape == (6, 4)
    before = model.first.weight.clone()
    out = graph(**example)["out"][0].sum()
    out.backward()
    assert all(parameter.grad is not None for parameter in graph.parameters())
    with torch.no_grad():
        graph.first.weight.zero_()
    assert torch.equal(model.first.weight, before)
