"""Model, batches and loss to signals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..core.errors import SignalError
from ..core.finite import not_finite
from ..core.group import Group, check_groups, tensors_of
from ..core.names import parameters_of
from ..core.signals import Signals
from .activations import input_norms
from .batches import Batch, check_batches, readable_again
from .curvature import hessian_diagonal, hessian_times
from .flow import synaptic_flow
from .forward import forward_only
from .gradients import PER_BATCH, batch_gradients
from .noise import check_generator, uniform_noise
from .per_sample import squared_gradients
from .processes import is_shared
from .pure import Loss, PureLoss, Step, check_functions, measuring, pure_loss, step_from
from .unit_gates import GATE_KINDS, check_whole_groups, gated_loss

FROM_LOSS = frozenset({"grad", "grad_sq", "hessian_grad", "hessian_diag", *PER_BATCH, *GATE_KINDS})
_FORWARD = frozenset({"flow", "input_norm"})
_SIGNED = frozenset({"hessian_diag", "gate_hessian_diag"})
KINDS = FROM_LOSS | _FORWARD | {"weight", "noise"}
"""Every kind of signal that can be collected."""


def check_has_values(tensors: Mapping[str, Tensor]) -> None:
    """Check that tensors are more than shapes.

    Args:
        tensors: by name.

    Raises:
        SignalError: one is on the meta device.
    """
    if hollow := [name for name, tensor in tensors.items() if tensor.is_meta]:
        raise SignalError(
            f"{hollow[0]!r} is on the meta device, where tensors have no values; give the model its values first, with "
            "model.to_empty(device='cpu') and model.load_state_dict(...)"
        )


def chosen_tensors(model: nn.Module, tensors: Sequence[Group] | Collection[str] | None) -> dict[str, nn.Parameter]:
    """The parameters to measure, in the model's order.

    Args:
        model: the model.
        tensors: groups or names of tensors; without them, every floating-point parameter.

    Returns:
        The parameters by plain name.

    Raises:
        SignalError: a name the model does not have, nothing to measure, or a tensor without values.
    """
    parameters = parameters_of(model)
    wanted = {name for name, parameter in parameters.items() if parameter.is_floating_point()}
    if tensors is not None:
        groups = [entry for entry in tensors if isinstance(entry, Group)]
        if groups:
            check_groups(groups, parameters)
        wanted = set(tensors_of(groups))
        wanted |= {entry for entry in tensors if isinstance(entry, str)}
    unknown = wanted - parameters.keys()
    if unknown or not wanted:
        what = f"no parameter {min(unknown)!r}" if unknown else "no parameters to measure"
        raise SignalError(f"{type(model).__name__} has {what}; it has: {', '.join(list(parameters)[:8]) or 'none'} ...")
    chosen = {name: parameter for name, parameter in parameters.items() if name in wanted}
    check_has_values(chosen)
    return chosen


def check_needs(
    needs: frozenset[str],
    batches: object,
    loss: object,
    step: object,
    generator: torch.Generator | None,
    draws: int = 1,
) -> None:
    """Check, without measuring anything, that kinds of signal can be collected with what is given.

    Args:
        needs: the kinds.
        batches: as for `collect`, as is the rest.
        loss: the loss.
        step: in place of the loss.
        generator: for what is random.
        draws: of signs.

    Raises:
        SignalError: a kind that nobody knows, or something that one of them takes is missing or of no use.
    """
    check_batches(batches)
    check_functions(loss, step)
    if unknown := needs - KINDS:
        raise SignalError(
            f"nobody knows how to collect {', '.join(sorted(map(repr, unknown)))}; known signals: "
            f"{', '.join(sorted(KINDS))}. Measure it yourself and add it with signals.merged(...)"
        )
    if loss is not None and step is not None:
        raise SignalError("give loss=, for loss(model(inputs), target), or step=, for step(model, batch), but not both")
    from_loss = needs & FROM_LOSS
    if from_loss and loss is None and step is None:
        raise SignalError(
            f"the signal {min(from_loss)!r} is a derivative of the loss; pass loss=, "
            "such as torch.nn.functional.cross_entropy"
        )
    if (measured := from_loss or needs & _FORWARD) and batches is None:
        raise SignalError(f"the signal {min(measured)!r} needs batches=, pairs of (inputs, target)")
    if drawn := needs & {"noise", *_SIGNED}:
        check_generator(generator, min(drawn))
    if (signed := needs & _SIGNED) and draws < 1:
        raise SignalError(f"the signal {min(signed)!r} needs at least one draw of signs, not {draws}")


def _from_loss(
    pure: PureLoss,
    batches: Iterable[Batch],
    needs: frozenset[str],
    groups: Sequence[Group],
    *,
    generator: torch.Generator | None,
    draws: int,
    shared: bool,
) -> dict[str, Mapping[str, Tensor]]:
    found: dict[str, Mapping[str, Tensor]] = {}
    if first := needs & {"grad", *PER_BATCH}:
        found |= batch_gradients(pure, batches, first, shared=shared)
    if "grad_sq" in needs:
        found["grad_sq"] = squared_gradients(pure, batches, shared=shared)
    if "hessian_grad" in needs:
        # The gradient flows through all parameters: what is measured must not depend on how much of it is wanted.
        whole = pure.of_everything()
        gradient = batch_gradients(whole, batches, frozenset({"grad"}), shared=shared)["grad"]
        product = hessian_times(whole, batches, gradient, shared=shared)
        found["hessian_grad"] = {name: product[name] for name in pure.names}
    if "hessian_diag" in needs:
        signs = check_generator(generator, "hessian_diag")
        found["hessian_diag"] = hessian_diagonal(pure, batches, signs, draws=draws, shared=shared)
    if "gate_grad_sq" in needs:
        found["gate_grad_sq"] = squared_gradients(gated_loss(pure, groups), batches, shared=shared)
    if "gate_hessian_diag" in needs:
        gates, signs = gated_loss(pure, groups), check_generator(generator, "gate_hessian_diag")
        found["gate_hessian_diag"] = hessian_diagonal(gates, batches, signs, draws=draws, shared=shared)
    return found


def check_finite(values: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Check that measurements are numbers.

    Args:
        values: by kind and name.

    Raises:
        SignalError: a NaN or an infinity; names kind and tensor or group.
    """
    for kind, tensors in values.items():
        name = not_finite(tensors)
        if name is not None:
            remedy = "look for NaN or infinity in weights and data, measure in float32, or scale the loss down"
            if kind == "weight":
                remedy = "the model has diverged; go back to an earlier checkpoint"
            what, value = "group" if kind in GATE_KINDS else "tensor", tensors[name]
            bad = int((~torch.isfinite(value)).count_nonzero())
            where = f"the signal {kind!r} of {what} {name!r} is not finite in {bad} of {value.numel()} elements"
            raise SignalError(f"{where}: {remedy}")


def collect(
    model: nn.Module,
    batches: Iterable[Batch] | None = None,
    loss: Loss | None = None,
    *,
    needs: Collection[str],
    tensors: Sequence[Group] | Collection[str] | None = None,
    step: Step | None = None,
    generator: torch.Generator | None = None,
    draws: int = 1,
    reduce: bool = True,
) -> Signals:
    """Measure a model on batches, without changing anything about it.

    =================  ===================================================================================
    kind               per tensor, in float32 at least
    =================  ===================================================================================
    weight             a copy of the weights, in their own dtype
    grad               gradient of the mean loss over all samples
    grad_sq            mean over samples of the squared gradient of each sample's loss (Fisher diagonal)
    grad_batches_sq    mean over batches of the squared gradient of the batch's mean loss
    grad_batches_abs   mean over batches of its absolute value
    hessian_grad       Hessian of the mean loss times its gradient, exact, both over all parameters that learn
    hessian_diag       diagonal of that Hessian, an unbiased random estimate from ``draws`` sign vectors a batch
    flow               SynFlow's gradient with respect to the absolute weights, float64; no data, no loss
    input_norm         norm over samples and positions of the input each element multiplies; no loss, and absent
                       for tensors that multiply nothing
    noise              uniform in [0, 1)
    gate_grad_sq       per group and unit: as ``grad_sq``, with respect to a gate on the unit's slices of role
                       ``in`` (on all where none has it), ``mean over n of (sum of g_nk * theta_k)^2``
    gate_hessian_diag  per group and unit: as ``hessian_diag``, with respect to that gate, ``theta_u^T H theta_u``
    =================  ===================================================================================

    The model is measured in the mode it is in, `train` or `eval` (but batch norms use their running statistics for
    ``grad_sq`` and ``gate_grad_sq``; ``flow`` and ``input_norm`` are taken in `eval` mode). Parameters, their ``.grad``
    and ``requires_grad``, buffers with their running statistics, and training flags are afterwards what they were, also
    after an exception. Dropout in training mode draws from torch's global generator, as in any forward pass. Batches
    are brought to the device of the model, and weighted by their number of samples.

    With several processes every one must call this, with the same needs; sums go over all of them before anything is
    squared or made absolute.

    Args:
        model: the model; wrappers (`torch.compile`, DistributedDataParallel) are looked through.
        batches: pairs (inputs, target); inputs are one tensor, a tuple of arguments or a dictionary of keywords. With
            ``step`` a batch is whatever it understands, as long as the first tensor counts the samples. A list or
            DataLoader is read anew for each family of signals (twice for ``hessian_grad``); an iterator is read once
            and held in memory.
        loss: ``loss(output, target)``, the mean over the samples of a batch.
        needs: kinds of signal.
        tensors: groups or tensor names to measure; without them, every parameter. The ``gate_`` kinds want groups.
        step: ``step(model, batch)``, the mean loss of a batch; in place of ``loss``.
        generator: for ``noise`` and the ``hessian_diag`` kinds, on the CPU.
        draws: how many sign vectors they take for each batch.
        reduce: whether to average over the processes of a distributed run.

    Returns:
        The signals.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> inputs, target = torch.tensor([[1.0, 2.0]]), model(torch.tensor([[1.0, 2.0]])).detach() - 1.0
    >>> signals = collect(model, [(inputs, target)], nn.functional.mse_loss, needs={"grad"})
    >>> [round(g, 4) for g in signals.of("grad", "weight").flatten().tolist()]  # 2 * residual * input
    [2.0, 4.0]
    """
    wanted = frozenset(needs)
    check_needs(wanted, batches, loss, step, generator, draws)
    groups = check_whole_groups(tensors, wanted)
    parameters = chosen_tensors(model, tensors)
    values: dict[str, Mapping[str, Tensor]] = {}
    if "weight" in wanted:
        values["weight"] = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    if "noise" in wanted:
        values["noise"] = uniform_noise(parameters, check_generator(generator, "noise"))
    run = step if loss is None else step_from(loss)
    if batches is not None and wanted & (FROM_LOSS | _FORWARD):
        again = readable_again(batches)
        with measuring(model):
            if run is not None and wanted & FROM_LOSS:
                pure, more = pure_loss(model, run, parameters), wanted & FROM_LOSS
                shared = is_shared(reduce)
                values |= _from_loss(pure, again, more, groups, generator=generator, draws=draws, shared=shared)
            if "flow" in wanted:
                values["flow"] = synaptic_flow(model, again, parameters)
            if "input_norm" in wanted:
                forward = forward_only if step is None else step
                values["input_norm"] = input_norms(model, forward, again, parameters, shared=is_shared(reduce))
    check_finite(values)
    return Signals(values)
