"""What a user of the patterns can get wrong. The message says what was wrong, where, and what to do."""


class PatternError(ValueError):
    """Items, labels, strata or settings that no test can be made of; or a table that cannot be read."""


class OutOfReach(PatternError):
    """Too few samples, or too few of one label, for anything to be significant: an answer rather than a mistake."""
