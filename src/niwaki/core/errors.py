"""The few error types. Each message says what was wrong, where, and what to do."""


class NiwakiError(Exception):
    """Base of every error a user of niwaki can cause."""


class GroupError(NiwakiError, ValueError):
    """Groups do not fit the model, or cannot be made from it."""


class BudgetError(NiwakiError, ValueError):
    """A density, count or cost is outside its range or cannot be met."""


class SignalError(NiwakiError, ValueError):
    """A criterion lacks a signal, or a signal or score is not finite."""


class TrainError(NiwakiError, RuntimeError):
    """The sparsifier, its timeline and the training loop do not fit together."""


class RankError(TrainError):
    """Processes of one training run disagree."""


class StoreError(NiwakiError, RuntimeError):
    """A file is missing, damaged, foreign, or cannot be written."""


class AddressError(NiwakiError, ValueError):
    """A model or data address cannot be resolved."""


def said(error: BaseException) -> str:
    """An error of someone else's in one line: the first one, where it led to others.

    Args:
        error: the error.

    Returns:
        Its type and what it says.

    >>> said(KeyError("a"))
    "KeyError: 'a'"
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
