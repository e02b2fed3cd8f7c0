"""Kills and full disks leave the checkpoint before."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from niwaki.core import StoreError
from niwaki.store import load_checkpoint, save_checkpoint, write_file

KILLS = """
    import os, sys
    from pathlib import Path
    import torch
    from niwaki.store import load_checkpoint, save_checkpoint

    folder = Path(sys.argv[1])

    def dying(number, before):
        # Ends the process like SIGKILL, at the number-th thing it does to the disk, before or after doing it.
        count = 0
        def wrap(owner, name):
            real = getattr(owner, name)
            def call(*args, **kwargs):
                nonlocal count
                count += 1
                if count == number and before:
                    os._exit(9)
                result = real(*args, **kwargs)
                if count == number:
                    os._exit(9)
                return result
            setattr(owner, name, call)
        wrap(os, "fsync")
        wrap(Path, "replace")
        wrap(Path, "open")
        wrap(Path, "unlink")

    state = lambda step: {"step": step, "w": torch.full((50,), float(step))}
    save_checkpoint(folder, state(0))
    latest, deaths, steps = 0, 0, set()
    for number in range(1, 14):
        for before in (True, False):
            child = os.fork()
            if child == 0:
                dying(number, before)
                save_checkpoint(folder, state(latest + 1))
                os._exit(0)
            _, status = os.waitpid(child, 0)
            deaths += os.waitstatus_to_exitcode(status) == 9
            loaded = load_checkpoint(folder)
            assert loaded["step"] in (latest, latest + 1), loaded["step"]
            assert torch.equal(loaded["w"], state(loaded["step"])["w"])
            steps.add(loaded["step"] - latest)
            latest = loaded["step"]
    save_checkpoint(folder, state(latest + 1))
    print(deaths, sorted(steps), sorted(path.suffix for path in folder.iterdir()))
"""


def _run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork to die cheaply at many points")
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    done = _run(KILLS, tmp_path)
    assert done.returncode == 0, done.stderr
    deaths, rest = done.stdout.split(" ", 1)
    assert int(deaths) >= 20
    # Some died before the switch (0), some after it (1), and one more save swept up all that they left.
    assert rest.strip() == "[0, 1] ['.json', '.safetensors']"


FULL = """
    import resource, sys
    import torch
    from niwaki.core import StoreError
    from niwaki.store import load_checkpoint, save_checkpoint

    save_checkpoint(sys.argv[1], {"step": 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        save_checkpoint(sys.argv[1], {"step": 2, "w": torch.zeros(100_000)})
    except StoreError as error:
        print(error)
    assert load_checkpoint(sys.argv[1]) == {"step": 1}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_file_too_large_for_the_system_names_path_and_bytes(tmp_path):
    done = _run(FULL, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"cannot write {tmp_path}/tensors-" in done.stdout
    assert "File too large (400," in done.stdout and "bytes needed" in done.stdout  # 100,000 floats and a header
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


@pytest.mark.parametrize("which", range(4))
def test_a_full_disk_at_any_write_keeps_the_checkpoint_before(tmp_path, monkeypatch, which):
    save_checkpoint(tmp_path, {"step": 1, "w": torch.zeros(10)})
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == which + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*No space left on device \([\d,]+ bytes needed, [\d,]+ bytes"):
        save_checkpoint(tmp_path, {"step": 2, "w": torch.ones(10)})
    monkeypatch.undo()
    # The fourth sync follows the switch: the new checkpoint is whole then, and the old one is gone.
    assert load_checkpoint(tmp_path)["step"] == (2 if which == 3 else 1)
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write .*taken.checkpoint|cannot write .*taken.tensors-"):
        save_checkpoint(tmp_path / "taken", {"step": 1})
    assert (tmp_path / "taken").read_text() == "a file"


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    target = tmp_path / "result.json"
    write_file(target, b"old")

    def interrupted(self, other):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert target.read_bytes() == b"old"
