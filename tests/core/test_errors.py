"""The error types: one base, and the builtin that each of them also is."""

from __future__ import annotations

import pytest

from niwaki import core
from niwaki.core import NiwakiError, RankError, TrainError


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("GroupError", ValueError),
        ("BudgetError", ValueError),
        ("SignalError", ValueError),
        ("AddressError", ValueError),
        ("TrainError", RuntimeError),
        ("RankError", RuntimeError),
        ("StoreError", RuntimeError),
    ],
)
def test_an_error_is_caught_by_its_base_and_by_its_builtin(name, builtin):
    error = getattr(core, name)
    with pytest.raises(NiwakiError, match="what was wrong"):
        raise error("what was wrong")
    assert issubclass(error, builtin)


def test_a_rank_that_disagrees_is_a_failure_of_training():
    assert issubclass(RankError, TrainError)
