"""Files into columns, and what is said of files that are wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from niwaki.patterns.errors import PatternError
from niwaki.patterns.read import columns_of, read_codes, read_table, read_transactions

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "patterns"


def _file(folder, text, name="data.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ", "])
def test_delimiters_are_recognised(tmp_path, mark):
    path = _file(tmp_path, "\n".join(mark.join(row) for row in (["a", "b", "c"], ["1", "x y", ""], ["2", "z", "3"])))
    assert read_table(path) == {"a": ["1", "2"], "b": ["x y", "z"], "c": ["", "3"]}


def test_quotes_zips_marks_and_line_ends(tmp_path):
    text = 'name,note\r\n"Smith, J","says ""no""\nand goes"\r\n\r\nLee,\r\n'
    expected = {"name": ["Smith, J", "Lee"], "note": ['says "no"\nand goes', ""]}
    assert read_table(_file(tmp_path, b"\xef\xbb\xbf" + text.encode())) == expected
    assert read_table(_file(tmp_path, gzip.compress(text.encode()), "data.csv.gz")) == expected


def test_files_without_names(tmp_path):
    path = _file(tmp_path, "5,a\n6,b\n")
    assert read_table(path, header=False) == {"1": ["5", "6"], "2": ["a", "b"]}
    assert read_table(path, names=["x", "y"]) == {"x": ["5", "6"], "y": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; give a table with a line of names"),
        ("\n  \n", "is empty"),
        ("a,b\n", "has a line of names and no samples below it"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cells where 2 columns are named"),
        ("a,a\n1,2\n", "names two columns 'a'; rename one"),
        (b"a,b\n\xff\xfe,1\n", "is not UTF-8 text .byte 4."),
        (b"\x1f\x8bnonsense", "cannot read"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, message):
    with pytest.raises(PatternError, match=message) as caught:
        read_table(_file(tmp_path, text))
    assert "data.csv" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    for read in (read_table, read_transactions, lambda path: read_codes(path, 3)):
        with pytest.raises(PatternError, match="there is no file .*none.csv; check the path"):
            read(tmp_path / "none.csv")
    with pytest.raises(PatternError, match=r"there is no file .*none.parquet"):
        read_table(tmp_path / "none.parquet")


@pytest.mark.parametrize("package", ["pyarrow", "polars", "pandas"])
def test_parquet_by_whatever_is_installed(tmp_path, monkeypatch, package):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes the file")
    pytest.importorskip(package, reason=f"{package} is not installed")
    pyarrow = pytest.importorskip("pyarrow")
    parquet.write_table(pyarrow.table({"a": [1, None, 3], "b": ["x", "y", None]}), tmp_path / "t.parquet")
    for other in {"pyarrow.parquet", "polars", "pandas"} - {package, f"{package}.parquet"}:
        _without(monkeypatch, other)
    table = read_table(tmp_path / "t.parquet")
    assert list(table) == ["a", "b"]
    assert table["a"][0] == 1 and table["a"][2] == 3 and table["b"][:2] == ["x", "y"]
    assert all(cell is None or cell != cell for cell in (table["a"][1], table["b"][2]))
    with pytest.raises(PatternError, match=r"is not a Parquet file"):
        read_table(_file(tmp_path, "a,b\n1,2\n", "false.parquet"))


def _without(monkeypatch, name):
    import niwaki.patterns.read as module

    usual = module.import_module

    def importer(wanted):
        if wanted == name:
            raise ImportError(name)
        return usual(wanted)

    monkeypatch.setattr(module, "import_module", importer)


def test_parquet_without_a_reader_says_what_to_install(tmp_path, monkeypatch):
    for name in ("pyarrow.parquet", "polars", "pandas"):
        _without(monkeypatch, name)
    with pytest.raises(PatternError, match="need pyarrow, polars or pandas: pip install pyarrow; or give a CSV file"):
        read_table(_file(tmp_path, b"PAR1", "t.parquet"))


def test_data_frames_give_their_columns():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    columns = {"a": [1, 2], "b": ["x", "y"]}
    assert columns_of(pandas.DataFrame(columns)) == columns
    assert columns_of(polars.DataFrame(columns)) == columns


def test_transactions_line_by_line(tmp_path):
    items = read_transactions(_file(tmp_path, "7 3  \n\n10 3\n", "t.dat"))
    assert items.names == ("3", "7", "10")
    assert items.values.tolist() == [[True, True, False], [False, False, False], [True, False, True]]
    with pytest.raises(PatternError, match="line 2 holds 'a,b'; a file of transactions holds whole numbers"):
        read_transactions(_file(tmp_path, "1 2\na,b\n", "t.dat"))
    with pytest.raises(PatternError, match="holds no items"):
        read_transactions(_file(tmp_path, "\n\n", "t.dat"))
    assert read_codes(_file(tmp_path, "0\n1\n1\n", "l.dat"), 3) == ["0", "1", "1"]
    with pytest.raises(PatternError, match="has 2 values for 3 samples; give one per line"):
        read_codes(_file(tmp_path, "0\n1\n", "l.dat"), 3)


def test_the_reference_data():
    if not DATA.is_dir():
        pytest.skip(f"the data are not beside the repository: {DATA.name}")
    items = read_transactions(DATA / "tictactoe_transactions.dat")
    assert items.values.shape == (958, 18)
    # Nine fields, each one of two items or empty: the rows are full wherever a field is.
    lines = (DATA / "tictactoe_transactions.dat").read_text().splitlines()
    assert items.values.sum(axis=1).tolist() == [len(line.split()) for line in lines]
    assert len(read_codes(DATA / "tictactoe_labels.dat", 958)) == 958
    mushroom = read_transactions(DATA / "mushroom_transactions.dat.gz")
    assert mushroom.values.shape == (8124, 117)
    adult = read_table(DATA / "adult.data.gz", header=False)
    assert len(adult) == 15 and len(adult["1"]) == 32561
    assert np.unique(adult["15"]).tolist() == ["<=50K", ">50K"]
    assert set(adult["10"]) == {"Female", "Male"}
