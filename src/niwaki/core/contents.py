"""What `core` offers. Loaded, with torch, when the first of its names is used."""

from __future__ import annotations

from .contracts import Allocator, Context, Criterion, Move, Probe, Schedule
from .costs import Axis, CostBudget, Layer, Limit, NetworkCost, Prices, axes_of
from .cut import Cut, cut_of, mark_cut
from .dynamics import DiagonalSystem, Dynamics
from .errors import (
    AddressError,
    BudgetError,
    GroupError,
    NiwakiError,
    RankError,
    SignalError,
    StoreError,
    TrainError,
)
from .gates import GateMap, Gates, dense_gates, kept_gates, tensor_masks
from .group import Group, Groups, Pattern, Size, Slice, check_groups, gather, spread, tensors_of
from .names import bare_model, parameters_of, plain_name
from .signals import Signals
from .top import top_of_each

__all__ = [
    "AddressError",
    "Allocator",
    "Axis",
    "BudgetError",
    "Context",
    "CostBudget",
    "Criterion",
    "Cut",
    "DiagonalSystem",
    "Dynamics",
    "GateMap",
    "Gates",
    "Group",
    "GroupError",
    "Groups",
    "Layer",
    "Limit",
    "Move",
    "NetworkCost",
    "NiwakiError",
    "Pattern",
    "Prices",
    "Probe",
    "RankError",
    "Schedule",
    "SignalError",
    "Signals",
    "Size",
    "Slice",
    "StoreError",
    "TrainError",
    "axes_of",
    "bare_model",
    "check_groups",
    "cut_of",
    "dense_gates",
    "gather",
    "kept_gates",
    "mark_cut",
    "parameters_of",
    "plain_name",
    "spread",
    "tensor_masks",
    "tensors_of",
    "top_of_each",
]
