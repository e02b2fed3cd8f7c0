"""The one error of this part. Each message says what was wrong, where, and what to do."""


class CausalityError(ValueError):
    """Series, settings or a truth that no causal index can work with."""
