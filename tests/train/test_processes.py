"""Several processes under DistributedDataParallel hold the same masks as one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("worker.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(processes: int, out: Path, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    port = free_port()
    running = []
    for rank in range(processes):
        environment = os.environ | {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(processes),
            "RANK": str(rank),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        command = [sys.executable, str(WORKER), str(out), *arguments]
        running.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    finished = []
    for process in running:
        stdout, stderr = process.communicate(timeout=180)
        finished.append(subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr))
    return finished


@pytest.mark.parametrize("method", ["iee", "iee_taylor", "iee_random", "rigl", "sparse_evolution", "gmp"])
def test_two_and_four_processes_hold_the_masks_of_one(tmp_path, method):
    results = {}
    for processes in (1, 2) if method != "iee" else (1, 2, 4):
        finished = launch(processes, tmp_path, method)
        for one in finished:
            assert one.returncode == 0, one.stderr[-2000:]
        ranks = [torch.load(tmp_path / f"{processes}-{rank}.pt", weights_only=True) for rank in range(processes)]
        for other in ranks[1:]:
            assert other["masks"].keys() == ranks[0]["masks"].keys()
            assert all(torch.equal(other["masks"][n], m) for n, m in ranks[0]["masks"].items())
            assert all(torch.equal(other["model"][n], v) for n, v in ranks[0]["model"].items())
        results[processes] = ranks[0]
    for processes, result in results.items():
        for name, mask in results[1]["masks"].items():
            assert torch.equal(result["masks"][name], mask), f"{name} with {processes} processes"
        for name, value in results[1]["model"].items():
            torch.testing.assert_close(result["model"][name], value, rtol=1e-9, atol=1e-11)
    assert json.loads((tmp_path / "1-0.json").read_text())["moves"] > 2


def test_a_process_that_disagrees_is_told_on_every_rank(tmp_path):
    for one in launch(2, tmp_path, "iee", "--other-seed"):
        assert one.returncode == 7, one.stderr[-2000:]
        assert "hold different structures of group '0.weight'" in one.stdout
        assert "rank(s) [1]" in one.stdout
