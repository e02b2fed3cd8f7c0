"""Programs run without the model's code, for any batch, and nothing in them is unpickled."""

from __future__ import annotations

import copy
import io
import pickle
import random
import subprocess
import sys
import textwrap
import zipfile
from collections import OrderedDict

import pytest
import torch
from torch import nn

from niwaki.core import StoreError
from niwaki.store import load_program, save_program
from niwaki.structure import weights, zeroed
from tests.store.cut_models import small_net

IMAGES = torch.linspace(-1, 1, 7 * 3 * 6 * 6).reshape(7, 3, 6, 6)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    torch.manual_seed(0)
    small = small_net()
    save_program(small, folder, IMAGES[:2])
    return small, folder / "program.pt2"


def test_a_program_computes_what_the_model_computes_for_any_batch(written):
    small, file = written
    program = load_program(file.parent)
    for count in (1, 2, 3, 7):
        assert torch.equal(program(IMAGES[:count]), small(IMAGES[:count]))


FRESH = """
    import sys
    import torch
    from niwaki.store import load_program
    program = load_program(sys.argv[1])
    assert not any("cut_models" in name for name in sys.modules)
    torch.save([program(torch.load(sys.argv[2])[:n]) for n in (1, 2, 5)], sys.argv[3])
"""


def test_a_fresh_process_needs_no_code_of_the_model(written, tmp_path):
    small, file = written
    torch.save(IMAGES, tmp_path / "in.pt")
    arguments = [str(file), str(tmp_path / "in.pt"), str(tmp_path / "out.pt")]
    subprocess.run([sys.executable, "-c", textwrap.dedent(FRESH), *arguments], check=True, timeout=120, cwd=tmp_path)
    for count, found in zip((1, 2, 5), torch.load(arguments[2]), strict=True):
        assert torch.equal(found, small(IMAGES[:count]))


def test_torch_alone_reads_it_too(written):
    small, file = written
    assert torch.equal(torch.export.load(file).module()(IMAGES), small(IMAGES))


class Many(nn.Module):
    """Keyword inputs, several outputs in a class of its own."""

    class Answer(OrderedDict[str, object]):
        pass

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x, *, mask=None, table):
        hidden = self.layer(x) * mask[:, None]
        return self.Answer(hidden=hidden, pair=(hidden.sum(0), table + 1), nothing=None)


def test_keyword_inputs_and_outputs_of_any_class(tmp_path):
    model = Many().eval()
    table = torch.arange(5.0)
    file = tmp_path / "own.pt2"
    parity = save_program(model, file, {"x": torch.ones(4, 3), "mask": torch.ones(4), "table": table})
    assert parity.difference == 0 and parity.batches == (1, 4, 7) and parity.path == tmp_path / "own.pt2"
    found = load_program(file)(x=torch.randn(6, 3).fill_(2), mask=torch.arange(6.0), table=table)
    wanted = model(torch.full((6, 3), 2.0), mask=torch.arange(6.0), table=table)
    assert type(found) is dict and list(found) == ["hidden", "pair"]
    assert torch.equal(found["hidden"], wanted["hidden"])
    assert all(torch.equal(a, b) for a, b in zip(found["pair"], wanted["pair"], strict=True))


def test_one_batch_size_if_asked(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    save_program(model, tmp_path, torch.ones(3, 2, 2), dynamic_batch=False)
    program = load_program(tmp_path)
    assert torch.equal(program(torch.ones(3, 2, 2)), model(torch.ones(3, 2, 2)))
    with pytest.raises(RuntimeError, match="to be equal to 3, but got 5"):
        program(torch.ones(5, 2, 2))


class OnlyTwo(nn.Module):
    def forward(self, x):
        return x.reshape(2, 3) if x.shape[0] == 2 else x


class Returns(nn.Module):
    def forward(self, x):
        return {"x": x, "cache": object()}


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (nn.Dropout(), torch.ones(2), "Dropout is in training mode, where dropout .*; call model.eval"),
        (nn.Linear(2, 2).eval(), torch.ones(3), "Linear does not run on the example .*; give inputs"),
        (nn.Linear(2, 2).eval(), 3, "the example is a int; give a tensor, a tuple of inputs, or a mapping"),
        (nn.Linear(2, 2).eval(), (), "the example holds no tensor"),
        (OnlyTwo().eval(), torch.ones(2, 3), "OnlyTwo cannot be written as a program .*; say dynamic_batch=False for"),
        (
            Returns().eval(),
            torch.ones(2, 3),
            r"the model's output\['cache'\] is a object, which a program cannot return",
        ),
    ],
)
def test_models_that_are_no_programs_are_named(tmp_path, model, example, message):
    with pytest.raises(StoreError, match=message):
        save_program(model, tmp_path, example)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_needs_a_word(written):
    small, file = written
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"program.pt2 is there already; choose another name, or say overwrite=True"):
        save_program(small, file, IMAGES)
    assert file.read_bytes() == before


def _no_pickle(monkeypatch):
    def unpickled(*args, **kwargs):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, unpickled)
    monkeypatch.setattr(torch, "load", unpickled)


def test_nothing_is_unpickled(written, monkeypatch):
    _no_pickle(monkeypatch)
    assert torch.equal(load_program(written[1])(IMAGES), written[0](IMAGES))


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def _with_record(data: bytes, name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        top = old.namelist()[0].partition("/")[0]
        for each in old.namelist():
            if each != f"{top}/{name}":
                new.writestr(each, old.read(each))
        new.writestr(f"{top}/{name}", content)
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["data/sample_inputs/model.pt", "data/constants/custom_obj_0", "data/aotinductor/a.so"]
)
def test_records_that_may_run_code_are_refused(written, tmp_path, name):
    file = tmp_path / "evil.pt2"
    file.write_bytes(_with_record(written[1].read_bytes(), name, pickle.dumps(Evil())))
    with pytest.raises(StoreError, match=f"holds the record '.*{name}', which may be pickled or compiled"):
        load_program(file)


def test_weights_that_are_pickled_are_refused(written, tmp_path):
    file = tmp_path / "evil.pt2"
    data = written[1].read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("weights_config.json"))
        config = archive.read(name).decode().replace('"use_pickle": false', '"use_pickle": true', 1)
    data = _with_record(data, name.partition("/")[2], config.encode())
    file.write_bytes(_with_record(data, "data/weights/weight_0", pickle.dumps(Evil())))
    with pytest.raises(StoreError, match=r"holds 'frozen' as a pickled object, which could run any code"):
        load_program(file)
    with pytest.raises(SystemExit, match="unpickled"):  # what torch alone would do
        torch.export.load(file)


def test_a_program_of_torch_alone_is_foreign(tmp_path):
    program = torch.export.export(nn.Linear(2, 2).eval(), (torch.ones(2, 2),))
    program.example_inputs = None
    torch.export.save(program, tmp_path / "foreign.pt2")
    with pytest.raises(StoreError, match="was not written by save_program; write it anew, or use torch.export.load"):
        load_program(tmp_path / "foreign.pt2")
    with pytest.raises(StoreError, match="no program in .*: program.pt2 is missing; check the path"):
        load_program(tmp_path)
    (tmp_path / "text.pt2").write_text("no archive")
    with pytest.raises(StoreError, match=r"text.pt2 is damaged or was edited: it cannot be read \(BadZipFile"):
        load_program(tmp_path / "text.pt2")


def test_changed_records_are_named(written, tmp_path):
    file = tmp_path / "changed.pt2"
    file.write_bytes(_with_record(written[1].read_bytes(), "data/weights/weight_2", bytes(12)))
    with pytest.raises(
        StoreError, match="records that changed or are missing: data/weights/weight_2; take another copy"
    ):
        load_program(file)


def test_random_damage_is_an_error_or_harmless(written, tmp_path, monkeypatch):
    small, file = written
    data, dice, errors = file.read_bytes(), random.Random(4), 0
    _no_pickle(monkeypatch)
    wanted, damaged = small(IMAGES), tmp_path / "damaged.pt2"
    for _ in range(150):
        at = dice.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
        damaged.write_bytes(dice.choice([flipped, data[:at], data[:at] + data[at + dice.randrange(1, 99) :]]))
        try:
            assert torch.equal(load_program(damaged)(IMAGES), wanted)
        except StoreError:
            errors += 1
    assert errors > 110  # a third flips a bit, and half of the archive is padding between its records


def test_a_program_is_in_eval_mode_for_good(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.9)).eval()
    save_program(model, tmp_path / "program", torch.ones(2, 4))
    program, x = load_program(tmp_path / "program"), torch.randn(2, 4)
    assert program.train() is program and program.eval() is program
    torch.testing.assert_close(program.train()(x), model(x))
    other = copy.deepcopy(program)
    assert other.eval() is other


def test_a_program_can_be_copied_with_zeros_and_saved_again(tmp_path):
    model, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval(), torch.randn(5, 4)
    save_program(model, tmp_path / "first.pt2", x)
    program = load_program(tmp_path / "first.pt2")
    assert not program.training
    save_program(program, tmp_path / "second.pt2", x)
    assert torch.equal(load_program(tmp_path / "second.pt2")(x), model(x))
    groups = weights(program, also=["0.weight", "2.weight"])
    keep = {"0.weight": torch.arange(12) % 2 == 0, "2.weight": torch.arange(6) < 4}
    save_program(zeroed(program, groups, keep), tmp_path / "third.pt2", x)
    assert torch.equal(load_program(tmp_path / "third.pt2")(x), zeroed(model, weights(model), keep)(x))
