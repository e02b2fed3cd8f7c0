"""Accuracy, loss, and whether model and data fit."""

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.app.data import Data
from niwaki.app.evaluation import check_fit, evaluate, laid_out, loss_of
from niwaki.core import TrainError


def data_of(x, y, classes=3):
    return Data((x, y), (x, y), (x, y), tuple(map(str, range(classes))))


def by_hand(scores, labels):
    """Accuracy and cross-entropy in float64, with numpy."""
    scores = scores.double().numpy().reshape(-1, scores.shape[-1])
    labels = labels.numpy().reshape(-1)
    shifted = scores - scores.max(1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(1))
    return (scores.argmax(1) == labels).mean(), -chosen.mean()


def test_accuracy_and_loss_over_several_batches():
    x, y = torch.randn(1203, 5), torch.randint(3, (1203,))
    model = nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.5))
    model.train()
    accuracy, loss = evaluate(model, data_of(x, y), (x, y))
    expected = by_hand(model[0](x).detach(), y)
    np.testing.assert_allclose((accuracy, loss), expected, rtol=1e-5)
    assert model.training


def test_sequences_are_scored_at_every_place():
    class Next(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot((x + 1) % 3, 3).float()

    x = torch.randint(3, (7, 4))
    y = torch.where(torch.arange(28).reshape(7, 4) < 21, (x + 1) % 3, x)
    accuracy, loss = evaluate(Next(), data_of(x, y), (x, y))
    np.testing.assert_allclose((accuracy, loss), by_hand(Next()(x), y), rtol=1e-5)
    assert accuracy == 0.75


def test_a_loss_that_is_no_number_is_infinite():
    model = nn.Linear(2, 3)
    nn.init.constant_(model.weight, float("nan"))
    x, y = torch.ones(4, 2), torch.zeros(4, dtype=torch.long)
    assert evaluate(model, data_of(x, y), (x, y))[1] == float("inf")


def test_the_training_mode_is_put_back_after_an_error():
    model = nn.Linear(2, 3).train()
    x, y = torch.ones(4, 5), torch.zeros(4, dtype=torch.long)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        evaluate(model, data_of(x, y), (x, y))
    assert model.training


def test_scores_in_a_field_are_found():
    class Output:
        logits = torch.tensor([[0.0, 0.0]])

    assert float(loss_of(Output(), torch.tensor([1]))) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(4, 3), r"the model m does not take the data d, samples of shape \(2,\) \(RuntimeError: .*; choose"),
        (nn.Linear(2, 2), r"scores of shape \(2, 3\) are needed for its classes, it gave \(2, 2\)"),
        (nn.Unflatten(1, (2, 1)), r"it gave \(2, 2, 1\)"),
    ],
)
def test_models_that_do_not_fit_are_refused(model, message):
    data = data_of(torch.zeros(5, 2), torch.zeros(5, dtype=torch.long))
    with pytest.raises(TrainError, match=message):
        check_fit(model, data, ("m", "d"))


def test_models_that_fit_are_let_through_in_the_mode_they_were_in():
    data = data_of(torch.zeros(5, 2), torch.zeros(5, dtype=torch.long))
    for model in (nn.Linear(2, 3).train(), nn.Linear(2, 9).eval()):
        mode = model.training
        check_fit(model, data, ("m", "d"))
        assert model.training is mode


def test_memory_layout():
    x = torch.zeros(2, 3, 4, 4)
    assert laid_out(x, True).stride() == (48, 1, 12, 3)
    assert laid_out(x, False) is x
    assert laid_out(torch.zeros(2, 3), True).shape == (2, 3)
