"""Bad input is named, with what to do."""

import re

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from niwaki.core import Group, GroupError, SignalError, Slice
from niwaki.criteria import Fisher, Lamp, Magnitude, Random, Taylor
from niwaki.signals import collect, probe, score
from niwaki.structure.declare import weights
from niwaki.train import reestimate_norms

LOSS = nn.functional.cross_entropy


def _model():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def _batch():
    return torch.randn(5, 3), torch.randint(0, 2, (5,))


def _refusal(*args, **kwargs):
    with pytest.raises(SignalError) as caught:
        collect(_model(), *args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["grad", "grad_sq", "grad_batches_sq", "hessian_grad", "flow", "input_norm"])
def test_no_batches_left(kind):
    exhausted = iter([_batch()])
    list(exhausted)
    match = "there were no batches: they are empty, or an iterator .* give a list"
    assert re.search(match, _refusal([], LOSS, needs={kind}))
    assert re.search(match, _refusal(exhausted, LOSS, needs={kind}))


def test_what_is_missing():
    assert re.search(
        "'grad_sq' is a derivative of the loss; pass loss=", _refusal([_batch()], needs={"grad_sq", "weight"})
    )
    assert re.search("'grad' needs batches=", _refusal(None, LOSS, needs={"grad"}))
    assert re.search("'flow' needs batches=", _refusal(needs={"flow"}))
    assert re.search(
        r"'noise' is random; pass generator=torch\.Generator\(\)\.manual_seed\(0\)", _refusal(needs={"noise"})
    )
    assert re.search("'hessian_diag' is random; pass generator=", _refusal([_batch()], LOSS, needs={"hessian_diag"}))
    assert re.search(
        "'gate_hessian_diag' is random; pass generator=", _refusal([_batch()], LOSS, needs={"gate_hessian_diag"})
    )
    assert re.search("'input_norm' needs batches=", _refusal(needs={"input_norm"}))
    assert re.search(
        "give loss=, .* or step=, .* but not both", _refusal([_batch()], LOSS, step=lambda m, b: b, needs={"grad"})
    )


ONE = _batch()
NO_BATCHES = {
    "is a single one, a tuple; give a list of batches": ONE,
    "is a single one, a Tensor; give a list": ONE[0],
    "is a single one, a dict; give a list": {"x": ONE[0], "y": ONE[1]},
    "is a single one, a str; give a list": "train",
    "is a TensorDataset, which gives its samples one by one; put a DataLoader": TensorDataset(*ONE),
    "cannot be read, it is of type int; give a list of batches or a DataLoader": 5,
    "cannot be read, it is of type function;": LOSS,
}


@pytest.mark.parametrize("words", NO_BATCHES)
def test_what_cannot_be_read_batch_by_batch(words):
    model, batches = _model(), NO_BATCHES[words]
    match = re.escape(f"batches= {words}")
    assert re.search(match, _refusal(batches, LOSS, needs={"grad"}))
    with pytest.raises(SignalError, match=match):
        score(Taylor(), model, weights(model), batches, LOSS, per_batch=True)
    with pytest.raises(SignalError, match=match):
        probe(batches, LOSS)
    with pytest.raises(SignalError, match=match):
        reestimate_norms(nn.Sequential(nn.BatchNorm1d(3)), batches)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"loss": "mse"}, "loss= is 'mse'; give a function, such as torch.nn.functional.cross_entropy"),
        ({"loss": nn.CrossEntropyLoss}, "loss= is the class CrossEntropyLoss; give a function, such as torch"),
        ({"step": 0.5}, "step= is 0.5; give a function, such as one of model and batch that gives the loss"),
    ],
)
def test_what_cannot_be_called(wrong, words):
    assert re.search(words, _refusal([_batch()], needs={"grad"}, **wrong))
    with pytest.raises(SignalError, match=words):
        probe([_batch()], **wrong)


def test_batches_may_come_from_anything_that_gives_them():
    model = _model()
    whole = collect(model, [ONE, ONE], LOSS, needs={"grad"}).of("grad", "0.weight")

    class Stream(IterableDataset[object]):
        def __iter__(self):
            return iter([ONE, ONE])

    class Numbered:
        def __getitem__(self, i):
            return [ONE, ONE][i]

    for batches in (([*ONE], [*ONE]), Stream(), Numbered(), DataLoader(TensorDataset(*ONE), batch_size=5), iter([ONE])):
        found = collect(model, batches, LOSS, needs={"grad"}).of("grad", "0.weight")
        torch.testing.assert_close(found, whole)


def test_signals_of_units_want_the_units():
    match = "the signal 'gate_grad_sq' is measured per unit and needs to know the units; pass tensors=groups"
    assert re.search(match, _refusal([_batch()], LOSS, needs={"gate_grad_sq"}))
    assert re.search(match, _refusal([_batch()], LOSS, needs={"gate_grad_sq"}, tensors=["0.weight"]))
    with pytest.raises(SignalError, match="'gate_grad_sq' was not collected for group 'c' "):
        collect(_model(), needs={"weight"}).of("gate_grad_sq", "c")


def test_unknown_names():
    assert re.search(
        "nobody knows how to collect 'gard'; known signals: flow, .* grad, .*signals.merged", _refusal(needs={"gard"})
    )
    assert re.search(
        "Sequential has no parameter '1.weight'; it has: 0.weight, 0.bias",
        _refusal(needs={"weight"}, tensors=["1.weight"]),
    )
    assert re.search("Sequential has no parameters to measure", _refusal(needs={"weight"}, tensors=[]))
    with pytest.raises(SignalError, match="ReLU has no parameters to measure; it has: none"):
        collect(nn.ReLU(), needs={"weight"})


def test_groups_of_another_model():
    foreign = [Group("g", 6, (Slice("0.weight", (2, 3)),))]
    with pytest.raises(GroupError, match=r"'0.weight' had shape \(2, 3\) .* and has \(4, 3\) now"):
        collect(_model(), needs={"weight"}, tensors=foreign)
    with pytest.raises(GroupError, match=r"'0.weight' had shape \(2, 3\) .* and has \(4, 3\) now"):
        score(Magnitude(), _model(), foreign)


def test_batches_of_the_wrong_form():
    x, y = _batch()
    assert re.search(
        r"a batch must be a pair \(inputs, target\), not a Tensor; or give step=", _refusal([x], LOSS, needs={"grad"})
    )
    assert re.search(
        r"must be a pair \(inputs, target\), not a tuple of 3", _refusal([(x, y, y)], LOSS, needs={"grad"})
    )
    assert re.search(
        "a batch of type str holds no tensor whose first axis could count", _refusal(["x"], step=len, needs={"grad"})
    )
    assert re.search(
        "a batch holds no samples; leave empty batches out", _refusal([(x[:0], y[:0])], LOSS, needs={"grad"})
    )
    found = _refusal([(torch.zeros(2, 3, dtype=torch.long), y)], needs={"flow"})
    assert re.search("'flow' feeds ones into the network, and these inputs are no floating-point", found)


def test_losses_that_are_none():
    x, y = _batch()

    def each(output, target):
        return LOSS(output, target, reduction="none")

    def detached(output, target):
        return LOSS(output.detach(), target)

    for kind in ("grad", "grad_sq", "hessian_grad"):
        assert re.search("the loss must be one number, .* got shape", _refusal([(x, y)], each, needs={kind}))
        assert re.search(
            "the loss does not depend on the measured parameters", _refusal([(x, y)], detached, needs={kind})
        )
    assert re.search("the loss must be one number, .* got float", _refusal([(x, y)], lambda o, t: 1.0, needs={"grad"}))


def test_a_wrong_model_is_reported_as_it_is_and_not_hidden_by_the_loop():
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        collect(_model(), [(torch.randn(5, 7), torch.zeros(5).long())], LOSS, needs={"grad_sq"})


def test_non_finite_weights():
    model = _model()
    with torch.no_grad():
        model[2].weight[0, 1] = torch.nan
    with pytest.raises(SignalError, match="'weight' of tensor '2.weight' is not finite in 1 of 8 .*has diverged"):
        collect(model, needs={"weight"})


def test_batch_norm_without_running_statistics_has_no_single_samples():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2))
    with pytest.raises(
        SignalError, match="'1' normalises over the batch and keeps no running statistics.*track_running"
    ):
        collect(model, [_batch()], LOSS, needs={"grad_sq"})


def test_too_few_draws():
    generator = torch.Generator()
    assert re.search(
        "at least one draw of signs, not 0",
        _refusal([_batch()], LOSS, needs={"hessian_diag"}, generator=generator, draws=0),
    )


@pytest.mark.accelerator
def test_a_generator_on_the_device():
    assert re.search("drawn on the CPU, .* lives on cuda", _refusal(needs={"noise"}, generator=torch.Generator("cuda")))


def test_a_probe_reads_again_and_again():
    with pytest.raises(SignalError, match="a probe reads its batches again and again; give a list or a DataLoader"):
        probe(iter([_batch()]), LOSS)


def test_scores_that_are_none():
    class Short(Magnitude):
        def __call__(self, group, signals):
            return torch.zeros(3)

    class Huge(Magnitude):
        def __call__(self, group, signals):
            return torch.full((group.size,), torch.inf)

    model = _model()
    with pytest.raises(SignalError, match=r"Short gave \(3,\) scores for group '0.weight' of 12 units"):
        score(Short(), model, weights(model))
    with pytest.raises(SignalError, match="Huge gave 12 of 12 units of group '0.weight' a score that is not finite"):
        score(Huge(), model, weights(model))


def test_scores_without_what_the_criterion_needs():
    model = _model()
    with pytest.raises(SignalError, match="'grad' is a derivative of the loss"):
        score(Taylor(), model, weights(model), [_batch()])
    with pytest.raises(SignalError, match="'grad_sq' needs batches="):
        score(Lamp(Fisher()), model, weights(model), loss=LOSS)
    with pytest.raises(SignalError, match="'noise' is random"):
        score(Random(), model, weights(model))
    with pytest.raises(SignalError, match="per_batch=True averages the scores of batches; pass batches="):
        score(Magnitude(), model, weights(model), per_batch=True)
    with pytest.raises(SignalError, match="there were no batches"):
        score(Taylor(), model, weights(model), [], LOSS, per_batch=True)
