"""CSV files from Excel and others: the same rows whatever the encoding and the separator."""

from pathlib import Path

import pytest

from lookalikes import make_magnetic_tile
from patchcore_dual.data.csv_files import read_csv_file
from patchcore_dual.data.layouts.recognise import read_source
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.splits import read_split_file
from patchcore_dual.errors import DataError

TEXT = "group,split\nTür 1,train\nb,test\n"
ROWS = ((2, ("Tür 1", "train")), (3, ("b", "test")))
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_separators_and_line_ends_of_excel(
    encoding: str, separator: str, newline: str, tmp_path: Path
) -> None:
    text = (TEXT.replace(",", separator) + "\n\n").replace("\n", newline)
    (tmp_path / "s.csv").write_bytes(text.encode(encoding))
    table = read_csv_file(tmp_path / "s.csv")
    assert table.columns == ("group", "split")
    assert table.rows == ROWS
    assert read_split_file(tmp_path / "s.csv", {"Tür 1", "b"}) == {"Tür 1": "train", "b": "test"}


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", ",,\n"),
        TEXT + ",\n",
        "group , split\n" + TEXT.split("\n", 1)[1],
        TEXT + " , \n\n",
    ],
)
def test_empty_columns_and_lines_are_no_rows(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    assert read_csv_file(tmp_path / "s.csv").rows == ROWS


def test_the_separator_that_excel_names_in_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("sep=;\ngroup;split\na,b;train\n")
    assert read_csv_file(tmp_path / "s.csv").rows == ((3, ("a,b", "train")),)


def test_a_line_of_another_length_is_refused_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("group,split\n\na,train,x\n")
    with pytest.raises(DataError, match="line 3: 3 values where 2"):
        read_csv_file(tmp_path / "s.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_csv_file(tmp_path / "none.csv")


@pytest.mark.parametrize("change", ["utf-8-sig", "utf-16", "cp1252", "semicolon", "backslash"])
def test_tiles_and_manifest_are_read_from_excel_too(change: str, tmp_path: Path) -> None:
    source = make_magnetic_tile(tmp_path / "mt")
    path = source / "tiles.csv"
    text = path.read_text().replace("blowhole-", "löcher-")
    manifest = "image,mask,label,split,group\ntrain/a.png,,negative,train,tür\n"
    if change == "semicolon":
        text, manifest = text.replace(",", ";"), manifest.replace(",", ";")
    if change == "backslash":
        text, manifest = text.replace("/", "\\"), manifest.replace("/", "\\")
    encoding = change if change not in ("semicolon", "backslash") else "utf-8"
    path.write_text(text, encoding=encoding)
    groups = {s.group for s in read_source("magnetic-tile", source).samples}
    assert "löcher-001" in groups
    assert len(groups) == 12
    (tmp_path / "manifest.csv").write_text(manifest + "\n", encoding=encoding)
    (sample,) = Manifest.load(tmp_path)
    assert (sample.image, sample.group) == ("train/a.png", "tür")
