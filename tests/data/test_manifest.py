"""Reading and writing `manifest.csv`: columns by name, unknown ones kept, the digest stable."""

from dataclasses import replace
from pathlib import Path

import pytest

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.errors import DataError

# Written by the program before it recorded a schema version.
SCHEMA_2 = (
    "image,mask,label,split,kind,group,origin,source,provenance\n"
    "train/negative/kos01-Part1.png,train/masks/kos01-Part1.png,negative,train,,kos01,real,"
    "kos01/Part1.jpg,\n"
    "train/positive/kos01-Part0.png,train/masks/kos01-Part0.png,positive,train,crack,kos01,real,"
    "kos01/Part0.jpg,\n"
    "test/negative/kos02-Part1.png,,negative,test,,kos02,real,kos02/Part1.jpg,\n"
    "synthetic/run/0001.png,synthetic/run/0001_mask.png,positive,train,crack,kos01,poisson,,"
    '"{""parents"": [""train/negative/kos01-Part1.png"", ""train/positive/kos01-Part0.png""],'
    ' ""seed"": 3}"\n'
)
SHA256 = "1e78eb12ff2b7c5db1b97b831e4469b83471b3a9fd7b703f13f1a6dae5916568"


def write(folder: Path, text: str) -> Path:
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    return folder


def test_a_manifest_is_written_as_it_was_read(tmp_path: Path) -> None:
    manifest = Manifest.load(write(tmp_path, SCHEMA_2))
    assert [s.origin for s in manifest] == ["real", "real", "real", "poisson"]
    assert manifest.samples[3].parents == {manifest.samples[0].image, manifest.samples[1].image}
    manifest.save()
    assert (tmp_path / "manifest.csv").read_text() == SCHEMA_2


def test_the_digest_is_that_of_earlier_versions(tmp_path: Path) -> None:
    manifest = Manifest.load(write(tmp_path, SCHEMA_2))
    assert manifest.sha256() == SHA256
    other = replace(manifest.samples[0], extra={"camera": "left"})
    assert manifest.where([other, *manifest.samples[1:]]).sha256() != SHA256
    assert manifest.where(manifest.samples[::-1]).sha256() != SHA256


def test_unknown_columns_are_kept_in_their_order(tmp_path: Path) -> None:
    text = (
        "image,mask,label,split,kind,group,origin,source,provenance,station,camera\n"
        "a.png,,negative,train,,,real,,,7,left\n"
        "b.png,,negative,train,,,real,,,,\n"
    )
    manifest = Manifest.load(write(tmp_path, text))
    assert manifest.samples[0].extra == {"station": "7", "camera": "left"}
    # As `augment` does: read again, add rows that know nothing of further columns, save.
    made = Sample("s.png", "m.png", "positive", "train", origin="poisson")
    manifest.where([*manifest, made]).save()
    saved = (tmp_path / "manifest.csv").read_text()
    assert saved == text + "s.png,m.png,positive,train,,,poisson,,,,\n"
    assert Manifest.load(tmp_path).samples[:2] == manifest.samples


def test_columns_are_found_by_name_and_optional_ones_have_defaults(tmp_path: Path) -> None:
    write(tmp_path, "\ufeffsplit,camera,label,image\ntrain,left,positive,a.png\n")
    (sample,) = Manifest.load(tmp_path)
    assert sample == Sample("a.png", "", "positive", "train", extra={"camera": "left"})
    assert not sample.is_synthetic
    write(tmp_path, "image,label,split,origin,provenance\na.png,negative,test,,\n")
    assert Manifest.load(tmp_path).samples == (Sample("a.png", "", "negative", "test"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: no column image,label,split \(there are none\)"),
        ("image,mask,label\na.png,,negative\n", r"line 1: no column split \(there are image,mask"),
        ("image:label:split\n", "line 1: no column image,label,split"),
        ("image,label,split,x,x\n", "line 1: more than one column x"),
        ("image,label,split\n", "lists no images"),
        ("image,label,split\na.png,negative\n", "line 2: 2 values where 3 are expected"),
        ("image,label,split\na.png,good,train\n", "line 2: label is 'good'"),
        ("image,label,split\na.png,negative,val\n", "line 2: split is 'val'"),
        ("image,label,split\n,negative,train\n", "line 2: the image path is empty"),
        ("image,label,split\n../a.png,negative,train\n", "line 2: image has to be a path inside"),
        ("image,label,split,mask\na.png,negative,train,/m.png\n", "line 2: mask has to be a path"),
        (
            "image,label,split,provenance\na.png,negative,train,x\n",
            "line 2: provenance is not JSON",
        ),
        ("image,label,split,provenance\na.png,negative,train,[1]\n", "has to be a JSON object"),
    ],
)
def test_a_damaged_manifest_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Manifest.load(write(tmp_path, text))


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a prepared data set"):
        Manifest.load(tmp_path)


def test_what_is_given_in_place_of_a_prepared_folder_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "parts/good").mkdir(parents=True)
    with pytest.raises(DataError, match=r"patchcore-dual prepare folder \S*parts PREPARED$"):
        Manifest.load(tmp_path / "parts")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").touch()
    with pytest.raises(DataError, match=r"it is a model\. Is the order of the folders right"):
        Manifest.load(tmp_path / "model")
    with pytest.raises(DataError, match="it does not exist"):
        Manifest.load(tmp_path / "nowhere")


def test_a_synthetic_image_made_from_a_test_image_is_refused(tmp_path: Path) -> None:
    tested = "test/negative/kos02-Part1.png"
    leaky = SCHEMA_2.replace('""train/negative/kos01-Part1.png""', f'""{tested}""')
    with pytest.raises(DataError, match=f"0001.png was made from the test image {tested}"):
        Manifest.load(write(tmp_path, leaky))
    # It may borrow the mask of a test defect, where `augment` was run with `--allow-test-masks`.
    allowed = leaky.replace('""seed"": 3', '""seed"": 3, ""test_masks"": true')
    assert len(Manifest.load(write(tmp_path, allowed)).synthetic()) == 1
