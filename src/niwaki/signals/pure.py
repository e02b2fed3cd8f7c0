"""The model as a pure function of its parameters, so that measuring leaves no trace on it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.errors import SignalError
from ..core.names import bare_model, parameters_of
from ..core.widest import wide
from .batches import Batch, on_device

Loss = Callable[[Any, Any], Tensor]
"""``loss(output, target)``: the mean over the samples of a batch."""

Step = Callable[[nn.Module, Batch], Tensor]
"""``step(model, batch)``: the mean loss of a batch, for models that want more than ``loss(model(inputs), target)``."""


_FUNCTIONS = {"loss": "torch.nn.functional.cross_entropy", "step": "one of model and batch that gives the loss"}


def check_functions(loss: object, step: object) -> None:
    """Check that a loss and a step can be called, where they are given.

    Args:
        loss: what was given for one.
        step: likewise.

    Raises:
        SignalError: it is a name, or a class.
    """
    for (name, like), given in zip(_FUNCTIONS.items(), (loss, step), strict=True):
        if given is not None and (isinstance(given, type) or not callable(given)):
            seen = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
            raise SignalError(f"{name}= is {seen}; give a function, such as {like}")


def pair(batch: Batch) -> tuple[Any, Any]:
    """Inputs and target of a batch.

    Args:
        batch: must be a pair.

    Returns:
        The two.

    Raises:
        SignalError: it is none.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        seen = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise SignalError(
            f"a batch must be a pair (inputs, target), not a {seen}; or give step=, which reads any batch"
        )
    return batch[0], batch[1]


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How a model is called: a tuple or list is spread by position, a mapping by name."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, (tuple, list)) else ((inputs,), {})


def step_from(loss: Loss) -> Step:
    """The step that calls the model on the inputs and the loss on its output and the target."""

    def step(model: nn.Module, batch: Batch) -> Tensor:
        inputs, target = pair(batch)
        args, kwargs = arguments(inputs)
        return loss(model(*args, **kwargs), target)

    return step


class Stepper(nn.Module):
    """A step as a module over the model it is called with."""

    def __init__(self, model: nn.Module, step: Callable[[nn.Module, Batch], Any]) -> None:
        super().__init__()
        self.model = model
        self.step = step

    def forward(self, batch: Batch) -> Any:
        """What the step gives."""
        return self.step(self.model, batch)


def detached_state(stepper: nn.Module) -> dict[str, Tensor]:
    """Parameters that draw no graph, over the same memory, and copies of the buffers."""
    state = {name: buffer.clone() for name, buffer in stepper.named_buffers()}
    return state | {name: parameter.detach() for name, parameter in stepper.named_parameters()}


class LossOf(Protocol):
    """A loss as a function of named leaves and a batch, whatever the leaves are."""

    @property
    def stepper(self) -> nn.Module:
        """The module that is run."""
        ...

    @property
    def device(self) -> torch.device:
        """Where batches are brought."""
        ...

    @property
    def elements(self) -> int:
        """How many numbers a sample's gradient holds on its way to the leaves."""
        ...

    def leaves(self) -> dict[str, Tensor]:
        """What is differentiated."""
        ...

    def __call__(self, leaves: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The mean loss of a batch."""
        ...


@dataclass(frozen=True, eq=False)
class PureLoss:
    """The loss as a function of some parameters and a batch.

    The model's own parameters are not differentiated (their ``.grad``, ``requires_grad`` and hooks play no part), and
    its buffers are copied for each call, so that running statistics stay as they are. Use `pure_loss` to make one.
    """

    stepper: nn.Module
    names: Mapping[str, str]

    def leaves(self) -> dict[str, Tensor]:
        """The parameters to measure, by plain name: the same memory, but tensors of their own."""
        return {name: value.requires_grad_() for name, value in self.values().items()}

    def values(self) -> dict[str, Tensor]:
        """The same, not to be differentiated: what asks for it would not pass through `torch.func`."""
        return {plain: self.stepper.get_parameter(raw).detach() for plain, raw in self.names.items()}

    @property
    def elements(self) -> int:
        """Of all measured parameters together."""
        return sum(self.stepper.get_parameter(raw).numel() for raw in self.names.values())

    def of_everything(self) -> PureLoss:
        """The same loss as a function of every parameter that learns, besides those measured."""
        mine = set(self.names.values())
        learning = (name for name, p in self.stepper.named_parameters() if p.requires_grad and name not in mine)
        return PureLoss(self.stepper, {**self.names, **{name: name for name in learning}})

    @property
    def device(self) -> torch.device:
        """Where the model's first measured parameter lives; batches are brought there."""
        return self.stepper.get_parameter(next(iter(self.names.values()))).device

    def __call__(self, leaves: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The mean loss of a batch.

        Args:
            leaves: values of the measured parameters.
            batch: the batch, anywhere.

        Returns:
            One number.

        Raises:
            SignalError: the loss gave no tensor, or more than one number.
        """
        # Parameters that are not measured must not draw a graph behind the gradients of those that are.
        state = detached_state(self.stepper) | {self.names[plain]: value for plain, value in leaves.items()}
        value = functional_call(self.stepper, state, (on_device(batch, self.device),))
        if not isinstance(value, Tensor) or value.dim():
            seen = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise SignalError(f"the loss must be one number, the mean over the samples; got {seen} (reduction='mean'?)")
        return value


def pure_loss(model: nn.Module, step: Step, tensors: Iterable[str]) -> PureLoss:
    """The loss as a function of the named parameters.

    Args:
        model: the model, wrapped or not.
        step: gives the mean loss of a batch.
        tensors: plain names of the parameters to measure.

    Returns:
        The function.
    """
    inner = bare_model(model)
    raw = {parameter: f"model.{name}" for name, parameter in inner.named_parameters()}
    parameters = parameters_of(model)
    return PureLoss(Stepper(inner, step), {name: raw[parameters[name]] for name in tensors})


@contextmanager
def measuring(model: nn.Module) -> Generator[None, None, None]:
    """Gradients are on, whatever the caller's mode, and compiled parts run eagerly: these differentiate twice."""
    compiled = any(hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) for m in model.modules())
    eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
    with torch.inference_mode(False), torch.enable_grad(), eager:
        yield


def check_depends(value: Tensor) -> Tensor:
    """The value, if it can be differentiated.

    Args:
        value: a loss.

    Returns:
        The same.

    Raises:
        SignalError: it depends on no parameter.
    """
    if not value.requires_grad:
        raise SignalError(
            "the loss does not depend on the measured parameters; was it computed under torch.no_grad(), or detached?"
        )
    return value


def gradients_of(value: Tensor, leaves: Mapping[str, Tensor], *, keep_graph: bool = False) -> dict[str, Tensor]:
    """The gradient of a number; zero for parameters it does not depend on.

    Args:
        value: the number.
        leaves: the parameters.
        keep_graph: for a second derivative: the gradients can be differentiated again.

    Returns:
        Gradients by name.
    """
    found = torch.autograd.grad(
        check_depends(value), list(leaves.values()), create_graph=keep_graph, allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, found, strict=True))


def empty_sums(leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Zeros like the parameters, in float32 at least, to add up in."""
    return {name: torch.zeros_like(wide(leaf), requires_grad=False) for name, leaf in leaves.items()}
