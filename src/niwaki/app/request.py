"""What ``niwaki prune`` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..allocate.ranked import Normalise
from ..core.errors import BudgetError, TrainError
from .budgets import Costs
from .methods import STRUCTURES, usual_density


def usual_criterion(units: str, *, has_data: bool, has_budget: bool = False) -> str:
    """The criterion of one shot if nobody says, after what does best in ``benchmarks/one_shot_*.py``.

    With data, group Fisher for channels and heads, and first-order Taylor for states. Without, a budget adds up what
    units are worth, which sums of absolute weights stand and Euclidean norms do not; these do best in a ranking, and
    for zeros also with data.

    >>> usual_criterion("channels", has_data=True), usual_criterion("2:4", has_data=True)
    ('group_fisher', 'magnitude')
    >>> usual_criterion("channels", has_data=False), usual_criterion("channels", has_data=False, has_budget=True)
    ('magnitude', 'l1')
    """
    if has_data and units in STRUCTURES:
        return "group_fisher"
    if has_data and units == "states":
        return "taylor"
    return "l1" if has_budget and units in STRUCTURES else "magnitude"


def _check_budget(request: Request) -> None:
    shares = request.costs.shares
    if not shares:
        return
    named = " and ".join(f"--{name}" for name in shares)
    if request.density is not None:
        raise BudgetError(f"--density counts what stays and {named} what it costs: give one of the two")
    if request.share_of != "units":
        raise BudgetError(f"--share-of says what a density is a share of; {named} says it itself: leave it out")


@dataclass(frozen=True)
class Request:
    """What is cut from which model, by what, and how much.

    Args:
        model: its address.
        data: their address; without data the criterion sees weights alone, and nothing is evaluated.
        units: ``channels``, ``heads``, ``all`` of both, ``states``; ``weights``, blocks such as ``4x4`` and patterns
            such as ``2:4`` leave zeros in their places.
        ignore: names and patterns of what stays whole, such as ``fc`` or ``layer4.*``.
        graph: also cut what the model's own code cannot lose, by writing it down as a graph of operators.
        criterion: its name; `usual_criterion` if nobody says.
        density: the share that stays; if nothing is asked 0.5, or what an N:M pattern has.
        latency: in place of it, the share of the dense model's latency that may stay.
        macs: likewise of its multiplications; several costs may be given together.
        parameters: likewise of its parameters.
        min_share: the least share of every group that stays; see `niwaki.at_least`.
        backend: what runs the models when they are timed; if it is named, they are timed in any case.
        table: a file with a table of latencies, in place of measuring one.
        save_table: where to write the table.
        latency_batch: inputs at a time when models are timed.
        share_of: what the density is a share of: ``units`` or ``parameters``.
        allocate: ``global`` ranks all units together, ``uniform`` takes the same share of every group; weights may also
            take ``rows``, ``erk`` and ``er``.
        normalise: how scores of different groups are made comparable in one ranking.
        batches: batches that the criterion sees.
        batch: samples in a batch.
        reestimate: batches from which batch norms are measured anew; 0 leaves them.
        finetune: optimizer steps afterwards.
        lr: learning rate of these steps, falling to zero as a cosine.
        size: of one input, such as ``3x32x32``, where there are no data.
        seed: of everything random.
        threads: CPU threads; torch's choice if None.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``.
    """

    model: str
    data: str | None = None
    units: str = "channels"
    ignore: Sequence[str] = ()
    graph: bool = False
    criterion: str | None = None
    density: float | None = None
    latency: float | None = None
    macs: float | None = None
    parameters: float | None = None
    min_share: float = 0.0
    backend: str | None = None
    table: str | None = None
    save_table: str | None = None
    latency_batch: int = 1
    share_of: str = "units"
    allocate: str = "global"
    normalise: Normalise = "none"
    batches: int = 8
    batch: int = 64
    reestimate: int = 8
    finetune: int = 0
    lr: float = 0.01
    size: str | None = None
    seed: int = 0
    threads: int | None = None
    device: str = "auto"

    @property
    def costs(self) -> Costs:
        """What the smaller model may cost."""
        shares = (self.latency, self.macs, self.parameters)
        return Costs(*shares, self.backend or "eager", self.table, self.save_table, self.latency_batch)

    @property
    def asked_criterion(self) -> str:
        """The name of the criterion."""
        if self.criterion:
            return self.criterion
        return usual_criterion(self.units, has_data=bool(self.data), has_budget=bool(self.costs.shares))

    @property
    def asked_density(self) -> float | None:
        """The density asked for, unless it is a budget of costs."""
        if self.costs.shares:
            return None
        return usual_density(self.units, 0.5) if self.density is None else self.density

    def __post_init__(self) -> None:
        _check_budget(self)
        if self.share_of not in ("units", "parameters"):
            raise BudgetError(f"the density can be a share of units or parameters, not of {self.share_of!r}")
        if self.allocate != "global" and self.share_of == "parameters":
            raise BudgetError(
                f"--allocate {self.allocate} counts units; for a share of parameters take --allocate global"
            )
        if self.allocate != "global" and self.normalise != "none":
            raise BudgetError(f"--allocate {self.allocate} compares no scores between groups: leave --normalise out")
        for name in ("batches", "batch"):
            if getattr(self, name) < 1:
                raise TrainError(f"{name} = {getattr(self, name)} is not a positive number")
        if self.reestimate < 0 or self.finetune < 0:
            raise TrainError("numbers of batches and steps are not negative")
        if self.finetune and self.data is None:
            raise TrainError("fine-tuning needs data; give --data")
        if self.graph and self.finetune:
            raise TrainError(
                "a graph computes what the model does in evaluation; fine-tune without --graph, and no program"
            )
