"""Kills and full disks while a smaller model is saved leave the one before."""

import errno
import os
import sys

import pytest
import torch

from niwaki.core import StoreError
from niwaki.store import load, save
from tests.store.cut_models import Net, bits, small_net
from tests.store.test_safety import _run

KILLS = """
    import os, sys
    from pathlib import Path
    import torch
    from niwaki.store import load, save

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
        for owner, name in [(os, "fsync"), (Path, "replace"), (Path, "open"), (Path, "unlink"), (Path, "mkdir"),
                            (__import__("safetensors.torch").torch, "save_file")]:
            wrap(owner, name)

    def model(step):
        made = torch.nn.Linear(4, 4)
        torch.nn.init.constant_(made.weight, step)
        return made

    save(model(0), folder)
    latest, deaths, steps = 0, 0, set()
    for number in range(1, 20):
        for before in (True, False):
            child = os.fork()
            if child == 0:
                dying(number, before)
                save(model(latest + 1), folder, overwrite=True)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            deaths += os.waitstatus_to_exitcode(status) == 9
            found = int(load(model(9), folder).weight[0, 0])
            assert found in (latest, latest + 1), found
            steps.add(found - latest)
            latest = found
    save(model(latest + 1), folder, overwrite=True)
    print(deaths, sorted(steps), sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork to die cheaply at many points")
def test_a_kill_at_any_moment_leaves_a_whole_model(tmp_path):
    done = _run(KILLS, tmp_path)
    assert done.returncode == 0, done.stderr
    deaths, rest = done.stdout.split(" ", 1)
    assert int(deaths) >= 30
    assert rest.strip() == "[0, 1] ['model.safetensors', 'plan.json']"


FULL = """
    import resource, sys
    import torch
    from niwaki.core import StoreError
    from niwaki.store import load, save

    save(torch.nn.Linear(2, 2), sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        save(torch.nn.Linear(1000, 100), sys.argv[1], overwrite=True)
    except StoreError as error:
        print(error)
    assert load(torch.nn.Linear(2, 2), sys.argv[1]).weight.shape == (2, 2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_file_too_large_for_the_system_names_folder_and_bytes(tmp_path):
    done = _run(FULL, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"cannot write {tmp_path}" in done.stdout
    assert "File too large" in done.stdout and "(400,400 bytes needed" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "plan.json"]


@pytest.mark.parametrize("which", range(6))
def test_a_full_disk_at_any_write_keeps_the_model_before(tmp_path, monkeypatch, which):
    small = small_net()
    save(small, tmp_path)
    wanted, real, calls = bits(small), os.fsync, []
    with torch.no_grad():
        small.frozen.add_(1)

    def full(handle):
        calls.append(handle)
        if len(calls) == which + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    # Tensors, folder, plan, folder: until the plan is in its place the old model counts; the rest is tidying up.
    if which < 4:
        with pytest.raises(
            StoreError, match=r"cannot write .*No space left on device \([\d,]+ bytes needed, [\d,]+ byt"
        ):
            save(small, tmp_path, overwrite=True)
    else:
        save(small, tmp_path, overwrite=True)
    monkeypatch.undo()
    assert bits(load(Net(), tmp_path)) == (wanted if which < 3 else bits(small))
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_not_empty_needs_a_word(tmp_path):
    small = small_net()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"is not empty; choose another one, or say overwrite=True"):
        save(small, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    save(small, tmp_path, overwrite=True)
    with pytest.raises(StoreError, match="is not empty"):
        save(small, tmp_path)
    save(small, tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "notes.txt", "plan.json"]
    assert bits(load(Net(), tmp_path)) == bits(small)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="cannot write .*taken"):
        save(small_net(), tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "a file"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such modes")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_files_may_be_read_by_whoever_may_read_new_files(tmp_path, mask):
    before = os.umask(mask)
    try:
        save(small_net(), tmp_path / "model")
        save(small_net(), tmp_path / "model", overwrite=True)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert modes == {name: 0o666 & ~mask for name in ("plan.json", "model.safetensors")}
