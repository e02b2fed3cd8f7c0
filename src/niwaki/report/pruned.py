"""A folder that ``niwaki prune`` wrote, told as a run, so that cuts and trainings stand on one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .readable import spoken

# Where it ran, and what only says how it was read.
_NOT_SETTINGS = {"data", "model", "threads", "device", "size"}


def is_pruned(result: Mapping[str, Any] | None) -> bool:
    """Whether a result is one of ``niwaki prune``."""
    return (
        result is not None and isinstance(result.get("request"), Mapping) and isinstance(result.get("steps"), Mapping)
    )


def as_config(result: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a cut, by the names that training has.

    Args:
        result: what ``niwaki prune`` found.

    Returns:
        The settings; the method is called after the criterion.
    """
    asked = result["request"]
    budget = any(asked.get(key) is not None for key in ("latency", "macs", "parameters"))
    given = {key: value for key, value in asked.items() if value is not None and key not in _NOT_SETTINGS}
    given["density"] = None if budget else asked.get("density")
    return {
        "method": f"one-shot {spoken(asked.get('criterion', 'cut'))}",
        "model": asked.get("model"),
        "data": asked.get("data") or "no data",
        "steps": asked.get("finetune"),
        "command": result.get("command", ""),
        **given,
    }


def as_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the smaller model is worth, by the names that training has.

    Args:
        result: what ``niwaki prune`` found.

    Returns:
        The result. Training FLOPs are unknown; accuracy is that of the last step, on the test part.
    """
    before, after = result["parameters"]
    groups = result.get("groups") or []
    last = list(result["steps"].values())[-1]
    return {
        **result,
        "accuracy": last["accuracy"],
        "loss": last["loss"],
        "part": "test",
        "density": after / before,
        "densities": {group["name"]: group["kept"] / group["units"] for group in groups},
        "weights_kept": after,
        "weights_total": before,
    }
