"""The contracts accept what has their shape, and refuse what has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from niwaki.core import Criterion, Move, kept_gates


@dataclass(frozen=True)
class Constant:
    needs: frozenset[str] = frozenset()

    def __call__(self, group, signals):
        return torch.ones(group.size)


@dataclass(frozen=True)
class Stay:
    name: ClassVar[str] = "stay"
    explores: ClassVar[bool] = False
    criteria: ClassVar[tuple[Criterion, ...]] = ()

    def __call__(self, gates, context):
        return {name: kept_gates(home) for name, home in context.home.items()}


def test_a_criterion_is_whatever_says_what_it_needs_and_can_be_called():
    assert isinstance(Constant(), Criterion)
    assert not isinstance(lambda group, signals: torch.ones(group.size), Criterion)


def test_a_move_is_whatever_has_its_words_and_can_be_called():
    assert isinstance(Stay(), Move)
    assert not isinstance(Constant(), Move)
