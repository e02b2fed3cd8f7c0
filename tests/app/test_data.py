"""Data come as three disjoint parts, always the same ones, or with a clear word why not."""

import gzip
import io

import numpy as np
import pytest
import torch
from PIL import Image

from niwaki.app.data import load_data, ready
from niwaki.core import AddressError


def rows(x):
    return {bytes(row.flatten().to(torch.uint8).tolist()) for row in x}


def test_digits_are_split_once_and_for_all():
    from sklearn.datasets import load_digits

    data, again = load_data("digits"), load_data("digits")
    assert [len(part[0]) for part in (data.train, data.valid, data.test)] == [1295, 143, 359]
    assert torch.equal(data.train[0], again.train[0]) and torch.equal(data.test[1], again.test[1])
    assert data.classes == tuple("0123456789")
    every = torch.cat([part[0] for part in (data.train, data.valid, data.test)])
    bunch = load_digits()
    assert sorted(every.flatten(1).tolist()) == sorted(bunch.data.astype(int).tolist())
    label_of = {tuple(x): y for x, y in zip(bunch.data.astype(int).tolist(), bunch.target.tolist(), strict=True)}
    assert [label_of[tuple(x)] for x in data.test[0].flatten(1).tolist()] == data.test[1].tolist()


def test_inputs_become_numbers_of_mean_zero_and_deviation_one():
    data = load_data("digits?valid=200")
    assert len(data.valid[0]) == 200
    x = ready(data, data.train[0]).double().numpy()
    assert abs(x.mean()) < 1e-5
    assert abs(x.std() - 1) < 1e-5


def test_npz_in_the_layout_of_mnist(mnist_like):
    file, arrays = mnist_like
    data = load_data(f"npz:{file}")
    assert data.train[0].shape == (180, 1, 6, 6) and len(data.valid[0]) == 20
    assert torch.equal(data.test[0][:, 0], torch.from_numpy(arrays["x_test"]))
    assert torch.equal(data.test[1], torch.from_numpy(arrays["y_test"].astype(np.int64)))
    assert not rows(data.train[0]) & rows(data.valid[0])
    assert len(rows(data.train[0]) | rows(data.valid[0])) == 200
    assert data.mean is not None and data.std is not None
    np.testing.assert_allclose(float(data.mean), data.train[0].numpy().mean(), rtol=1e-6)
    np.testing.assert_allclose(float(data.std), data.train[0].numpy().std(), rtol=1e-6)
    assert (data.crop, data.flip, data.channels) == (0, False, 1)


def test_a_limit_is_class_balanced_and_leaves_the_held_out_part_alone(mnist_like):
    file, arrays = mnist_like
    whole, part = load_data(f"npz:{file}"), load_data(f"npz:{file}?limit=40")
    assert torch.equal(whole.valid[0], part.valid[0])
    counts = torch.bincount(part.train[1], minlength=4).tolist()
    assert sum(counts) == 40 and max(counts) - min(counts) <= 1
    # The first of each class in the order of the file.
    for label in range(4):
        first = whole.train[0][whole.train[1] == label][: counts[label]]
        assert torch.equal(part.train[0][part.train[1] == label], first)


def test_what_is_held_out_is_drawn_from_everywhere(tmp_path):
    y = np.repeat(np.arange(5), 100).astype(np.uint8)  # in the order of the classes, as files often are
    x = np.zeros((500, 2, 2), np.uint8)
    np.savez(tmp_path / "ordered.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    data = load_data(f"npz:{tmp_path}/ordered.npz")
    assert len(data.valid[1]) == 50
    # 10 of each class are expected, with a standard deviation of 2.7; three of them are allowed.
    assert all(2 <= count <= 18 for count in torch.bincount(data.valid[1], minlength=5).tolist())


def test_mean_and_deviation_can_be_given_as_papers_do(mnist_like):
    data = load_data(f"npz:{mnist_like[0]}?mean=0.5&std=0.25")
    x = ready(data, torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    np.testing.assert_allclose(x.flatten().tolist(), [-2.0, 2.0], rtol=1e-6)


def _sheets(pixels):
    """Lossless WebP files of a few stacked pictures each, end to end."""
    blobs = []
    for part in np.array_split(pixels, 3):
        out = io.BytesIO()
        Image.fromarray(part.reshape(-1, part.shape[2], 3)).save(out, "WEBP", lossless=True)
        blobs.append(np.frombuffer(out.getvalue(), np.uint8))
    return np.concatenate(blobs), np.cumsum([0, *map(len, blobs)]).astype(np.int64)


def test_npz_in_the_layout_of_webp_sheets(tmp_path):
    dice = np.random.default_rng(2)
    pixels = {part: dice.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8) for part in ("train", "test")}
    arrays = {"classes": np.array(["ant", "bee", "cow"])}
    for part, array in pixels.items():
        arrays[f"{part}_webp"], arrays[f"{part}_offsets"] = _sheets(array)
        arrays[f"{part}_labels"] = (np.arange(30) % 3).astype(np.uint8)
    np.savez(tmp_path / "sheets.npz", **arrays)
    data = load_data(f"npz:{tmp_path}/sheets.npz")
    assert data.classes == ("ant", "bee", "cow") and (data.crop, data.flip, data.channels) == (4, True, 3)
    np.testing.assert_array_equal(data.test[0].permute(0, 2, 3, 1).numpy(), pixels["test"])
    np.testing.assert_array_equal(data.test[1].numpy(), np.arange(30) % 3)
    assert (load_data(f"npz:{tmp_path}/sheets.npz?augment=false").crop) == 0


def _save(path, colour, size=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), colour).save(path)


def test_a_folder_of_pictures_per_class(tmp_path):
    for number in range(20):
        _save(tmp_path / "red" / f"{number}.png", (200 + number, 0, 0))
        _save(tmp_path / "blue" / f"{number}.png", (0, 0, 200 + number))
    (tmp_path / "red" / "notes.txt").write_text("not a picture")
    data = load_data(f"imagefolder:{tmp_path}")
    assert data.classes == ("blue", "red")
    assert [len(part[0]) for part in (data.train, data.valid, data.test)] == [29, 3, 8]
    for x, y in (data.train, data.valid, data.test):
        assert torch.equal((x[:, 0, 0, 0] > 0).long(), y)  # red is class 1
    assert data.crop == 1 and load_data(f"imagefolder:{tmp_path}?size=16").train[0].shape[2:] == (16, 16)


def test_folders_called_train_and_test_are_the_parts(tmp_path):
    for part, count in (("train", 11), ("test", 4)):
        for number in range(count):
            _save(tmp_path / part / "one" / f"{number}.png", (number, 0, 0))
    data = load_data(f"imagefolder:{tmp_path}")
    assert [len(part[0]) for part in (data.train, data.valid, data.test)] == [10, 1, 4]
    assert sorted(data.test[0][:, 0, 0, 0].tolist()) == [0, 1, 2, 3]


def test_text_is_cut_into_windows_whose_labels_follow(tmp_path):
    text = "the quick brown fox " * 50
    (tmp_path / "fox.txt").write_text(text)
    (tmp_path / "fox.txt.gz").write_bytes(gzip.compress(text.encode()))
    data = load_data(f"text:{tmp_path}/fox.txt?window=10")
    assert data.classes == tuple(sorted(set(text))) and data.channels is None
    assert torch.equal(load_data(f"text:{tmp_path}/fox.txt.gz?window=10").test[0], data.test[0])
    read = ["".join(data.classes[i] for i in x.flatten()) for x in (data.train[0], data.train[1], data.test[0])]
    assert text.startswith(read[0]) and text[1:].startswith(read[1])
    assert text[int(0.9 * len(text)) :].startswith(read[2])
    assert len(read[0]) == 840 and len(data.valid[0]) == 4
    assert ready(data, data.train[0]) is data.train[0]


PYTHON = """
import torch
x, y = torch.randn(6, 2), torch.tensor([0, 1, 2, 0, 1, 2])
def good(size=6):
    return (x[:size], y[:size]), (x, y), (x, y.int())
def two():
    return (x, y), (x, y)
def uneven():
    return (x, y[:5]), (x, y), (x, y)
def floats():
    return (x, y), (x, y), (x, y.float())
def arrays():
    return (x.numpy(), y), (x, y), (x, y)
"""


def test_data_from_a_function(own_modules):
    (own_modules / "my_own_data.py").write_text(PYTHON)
    data = load_data("python:my_own_data:good?size=4")
    assert data.classes == ("0", "1", "2") and len(data.train[0]) == 4 and data.test[1].dtype == torch.int64
    for name, message in [
        ("two", r"must return three parts \(train, valid, test\)"),
        ("uneven", "the train part has 6 inputs and 5 labels"),
        ("floats", r"the labels of the test part are torch.float32; give class numbers"),
        ("arrays", r"the train part must be a pair of tensors"),
        ("goods", r"has no function 'goods'; did you mean 'good'"),
    ]:
        with pytest.raises(AddressError, match=message):
            load_data(f"python:my_own_data:{name}")


def test_wrong_data_addresses_are_explained(tmp_path, mnist_like):
    file, _ = mnist_like
    (tmp_path / "plain.txt").write_text("no numbers")
    np.savez(tmp_path / "other.npz", a=np.zeros(3), b=np.zeros(3))
    _save(tmp_path / "sizes" / "a" / "1.png", (0, 0, 0), 8)
    _save(tmp_path / "sizes" / "a" / "2.png", (0, 0, 0), 9)
    (tmp_path / "broken" / "a").mkdir(parents=True)
    (tmp_path / "broken" / "a" / "1.png").write_text("nothing")
    for text, message in [
        ("digit", r"'digit' have the unknown scheme 'digit'; did you mean 'digits'"),
        ("digits:3", "take no path"),
        ("npz:", "name no file"),
        ("digits?valid=0", "0 of 1438 training samples cannot be held out"),
        ("digits?limit=5", "has no option 'limit'; .*Known: valid"),
        (f"npz:{tmp_path}/gone.npz", "there is no file .*gone.npz; check the path"),
        (f"npz:{tmp_path}/plain.txt", "cannot be read as a numpy file of pictures"),
        (f"npz:{tmp_path}/other.npz", "holds a, b; expected x_train, y_train, x_test, y_test, or train_webp"),
        (f"npz:{file}?limit=181", "limit=181 is not between 1 and the 180 training samples"),
        (f"npz:{file}?limit=many", "cannot be made: TypeError"),
        (f"npz:{file}?mean=1,2", "mean and std need one value or 1, one for each channel, not 2"),
        (f"imagefolder:{tmp_path}/gone", "there is no folder"),
        (f"imagefolder:{tmp_path}/sizes", r"differ in size \(8 x 8, 9 x 9\); add \?size=32"),
        (f"imagefolder:{tmp_path}/broken", "1.png is no picture that can be read"),
        (f"imagefolder:{tmp_path}/sizes/a", "no pictures in"),
        (f"text:{tmp_path}/gone.txt", "there is no file"),
        (f"text:{tmp_path}/plain.txt", "10 characters are too few for windows of 64; give a text of at least 1300"),
        (f"text:{file}", "cannot be read as text in UTF-8"),
    ]:
        with pytest.raises(AddressError, match=message):
            load_data(text)
