"""A run that is killed anywhere and resumed ends bit-equal to the run that was left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNS = Path(__file__).with_name("killed_runs.py")


def _kills(*arguments: str) -> list[dict[str, Any]]:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    finished = subprocess.run([sys.executable, str(RUNS), *arguments], capture_output=True, text=True, timeout=500)
    assert finished.returncode == 0, finished.stderr[-3000:]
    kills = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [kill for kill in kills if kill["different"]] == [], finished.stderr[-3000:]
    return kills


def test_killed_at_twenty_moments_and_resumed_nothing_is_lost(tmp_path):
    kills = _kills(str(tmp_path), "moments", "7")
    assert len(kills) == 20
    assert {kill["stage"] for kill in kills if kill["kind"] == "step"} == {"estimate", "improve", "explore", "train"}


def test_killed_before_any_change_of_a_file_nothing_is_lost_and_nothing_lies_about(tmp_path):
    changed = {kill["when"].rsplit("/", 1)[-1] for kill in _kills(str(tmp_path), "files")}
    names = ["config.json", "versions.json", "metrics.jsonl", "tensors-*.safetensors", "checkpoint.json", "plan.json"]
    assert {f".{name}.*.tmp" for name in names} <= changed
