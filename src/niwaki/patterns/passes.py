"""One pass over all patterns: in this process, or its branches dealt out to several workers."""

from __future__ import annotations

from .budgets import Budget
from .dealing import dealt_out
from .job import Job, Outcome, engine_of
from .slices import patience, start
from .state import Tally

FIRST_SLICE = 256


def run_pass(job: Job, tally: Tally) -> Outcome:
    """Search everything. Ctrl-C, or a ``KeyboardInterrupt`` from ``progress``, ends the pass early."""
    if job.workers > 1:
        return dealt_out(job, tally)
    walk = start(job.layout, tally, job.shuffles, engine_of(job.engine))
    budget, share = Budget(FIRST_SLICE), 0.0
    try:
        going = True
        while going:
            with patience() as asked:
                going = walk.advance(budget.patterns)
            if asked:
                return Outcome(walk.tally, walk.branches())
            if going:  # rounding must not make it seem to go back
                share = max(share, 1 - sum(branch.share for branch in walk.branches()))
                job.tell(walk.tally, share)
            budget.adapt()
        job.tell(walk.tally, 1.0)
    except KeyboardInterrupt:
        return Outcome(walk.tally, walk.branches())
    return Outcome(walk.tally, [])
