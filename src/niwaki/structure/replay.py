"""Proof that a model's own code runs at smaller sizes: a cut copy without memory is recorded and compared.

Weights can be cut anywhere; the code that uses them may have sizes of its own (``reshape(b, n, self.heads, -1)``). The
copy, with a random part of its units gone, must make the same calls, with just the shapes that the rules foretell.
Where it does not, an attribute of the module at that place with just the old value is lowered along (`lowered.py`);
where there is none, the groups to blame are sought out and left alone (`blame.py`), and the reason is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from ..core.group import Group
from .blame import Search
from .cutting import cut_from
from .lowered import lowerings
from .record import RecordingError, Smaller, record, record_smaller
from .recording import Example
from .shrink import apply_cut, set_sizes
from .trial import ENDS, Difference, Trial, choices, compare


def _of_ours(model: nn.Module) -> set[str]:
    """Attention whose heads are narrower than its input, and what is in it: a forward of ours calls other operators."""
    own = [(name, module) for name, module in model.named_modules()
           if isinstance(module, nn.MultiheadAttention) and "forward" in vars(module)]  # fmt: skip
    return {f"{name}.{inner}" if inner else name for name, module in own for inner, _ in module.named_modules()}


def _difference(model: nn.Module, example: Example, trial: Trial, keep: Mapping[str, Tensor]) -> Difference | None:
    cut, skip = cut_from(model, [group for group, _ in trial.groups], keep), set[str]()

    def finish(small: nn.Module) -> None:
        set_sizes(small, cut)
        skip.update(_of_ours(small))

    shapes = {name: tuple(len(cut.kept[name][axis]) if axis in cut.kept[name] else size
                          for axis, size in enumerate(cut.shapes[name])) for name in cut.kept}  # fmt: skip
    try:
        if trial.recording.reason:  # it runs on real tensors only
            small = apply_cut(model, cut)
            skip.update(_of_ours(small))
            again = record(small, example)
        else:
            again = record_smaller(model, example, Smaller(shapes, finish))
    except RecordingError as error:
        found = next(compare(trial, error.done, keep, skip), None)
        if found is not None and found.words == ENDS:
            return Difference(found.place, f"fails: {error.__cause__}")
        return found
    return next(compare(trial, again, keep, skip), None)


def _first_difference(model: nn.Module, example: Example, trial: Trial) -> Difference | None:
    tried = (_difference(model, example, trial, keep) for keep in (choices(trial) if trial.groups else ()))
    return next((difference for difference in tried if difference is not None), None)


def _mended(
    model: nn.Module, example: Example, trial: Trial, found: Difference
) -> tuple[Trial, Difference | None] | None:
    """The trial with attributes lowered so that it comes past one difference, and the next one; None if none helps."""
    for after in lowerings(dict(model.named_modules()), trial, found.place):
        then = _first_difference(model, example, after)
        if then is None or then.place > found.place:
            return after, then
    return None


def prove(model: nn.Module, example: Example, trial: Trial) -> tuple[list[Group], dict[str, str]]:
    """The groups that the model's own code can lose units of, with the attributes that fall along.

    Args:
        model: the model.
        example: its example input.
        trial: the recording and what was found in it.

    Returns:
        The groups, and for each one left out the reason.
    """
    left: dict[str, str] = {}
    found = _first_difference(model, example, trial)
    search = Search({} if found is None else dict(model.named_modules()), partial(_first_difference, model, example))
    while trial.groups and found is not None:
        mended = _mended(model, example, trial, found)
        if mended is None:
            guilty, then = search.blamed(trial, found)
            left |= {name: f"{why} (a smaller copy {found.words}); nw.shrink_graph can cut it"
                     for name, why in guilty.reasons.items()}  # fmt: skip
            trial, found = guilty.without(trial), then
        else:
            trial, found = mended
    return [group for group, _ in trial.groups], left
