"""Signals: measurements per tensor, from which criteria make scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .errors import SignalError


@dataclass(frozen=True, eq=False)
class Signals:
    """Measurements by kind and tensor name: ``signals.of("grad", "layer1.weight")``.

    Kinds in use: ``weight``; ``grad`` (of the mean loss); ``grad_sq`` (mean over samples of squared per-sample
    gradients); ``grad_batches_sq``, ``grad_batches_abs`` (means over batches); ``hessian_grad`` (Hessian times mean
    gradient); ``hessian_diag`` (an estimate of the Hessian's diagonal); ``flow`` (SynFlow's gradient); ``input_norm``
    (norm of the inputs that each element of a weight multiplies); ``noise`` (uniform random numbers from the caller's
    generator).

    Kinds that begin with ``gate_`` hold ``[size]`` by group name, one number per unit: derivatives with respect to a
    gate that multiplies the unit for all that read it (slices of role ``in``; all where none has it).
    ``gate_grad_sq`` (mean over samples of squared gradients); ``gate_hessian_diag`` (an estimate of the diagonal of the
    Hessian).
    """

    values: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def of(self, kind: str, tensor: str) -> Tensor:
        """One measurement.

        Args:
            kind: the kind of signal.
            tensor: the qualified name of the tensor; of the group, for kinds that begin with ``gate_``.

        Returns:
            A tensor of the named tensor's shape; ``[size]`` for a group.

        Raises:
            SignalError: nobody collected it.
        """
        found = self.values.get(kind, {}).get(tensor)
        if found is None:
            have = ", ".join(sorted(self.values)) or "none"
            what = "group" if kind.startswith("gate_") else "tensor"
            raise SignalError(
                f"the signal {kind!r} was not collected for {what} {tensor!r} (collected: {have}); "
                f'collect it with nw.collect(..., needs={{"{kind}"}}), or give the method probe=nw.probe(batches, loss)'
            )
        return found

    def merged(self, other: Signals) -> Signals:
        """Both together; where both hold a kind, the other's tensors win."""
        kinds = {*self.values, *other.values}
        return Signals({k: {**self.values.get(k, {}), **other.values.get(k, {})} for k in kinds})
