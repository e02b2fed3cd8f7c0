"""The command in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from niwaki.store import load_checkpoint


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "niwaki", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_line_adds_no_torch_to_what_the_package_loads():
    script = (
        "import sys, niwaki\n"
        "loaded = set(sys.modules)\n"
        "import niwaki.app.cli\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('torch', 'sklearn', 'jinja2') and n not in loaded])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_from_outside_with_its_report(tmp_path):
    more = ["--model", "zoo:mlp", "--data", "digits", "--method", "iee", "--steps", "60", "--threads", "1"]
    switches = [part for pair in ("H=5", "J=5", "Q=5") for part in ("--set", pair)]
    process = start("train", *more, *switches, "--out", tmp_path / "run", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result["steps"] == 60 and result["weights_kept"] == round(0.1 * 17_024)
    assert "run: 60 steps" in err and "step 60 of 60" in err
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["command"].startswith("niwaki train --model zoo:")


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_keeps_a_checkpoint_and_a_resumed_run_moves_on(tmp_path):
    out = tmp_path / "run"
    reached: list[int] = []
    begin = ["--model", "zoo:mlp", "--data", "digits", "--method", "rigl", "--steps", "1000000", "--threads", "1"]
    for arguments in (begin, ["--resume"]):
        process = start("train", *arguments, "--out", out)
        lines = [process.stderr.readline()]  # the first word comes when the loop begins
        until = time.monotonic() + 60
        before = reached[-1] if reached else 0
        while _last_step(out) <= before and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, (lines, err)
        step = load_checkpoint(out)["extra"]["position"]["step"]
        assert f"stopped after step {step} of 1000000; go on with: niwaki train --out {out} --resume" in err
        assert "Traceback" not in err
        reached.append(step)
    assert 0 < reached[0] < reached[1] < 1_000_000
    assert "going on after" in lines[0]


def _last_step(out):
    try:
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return max(json.loads(line)["step"] for line in lines)
    except (FileNotFoundError, ValueError):
        return 0
