"""A run that is killed anywhere and resumed ends bit-equal to the run that was left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = Path(__file__).with_name("killed_runs.py")


def test_killed_at_twenty_moments_and_resumed_nothing_is_lost(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    finished = subprocess.run(
        [sys.executable, str(RUNS), str(tmp_path), "7"], capture_output=True, text=True, timeout=500
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    kills = [json.loads(line) for line in finished.stdout.splitlines()]
    assert len(kills) == 20
    assert {kill["stage"] for kill in kills if kill["kind"] == "step"} == {"estimate", "improve", "explore", "train"}
    assert [kill for kill in kills if kill["different"]] == [], finished.stderr[-3000:]
