"""Accept and reject lists of a set of synthetic images."""

from dataclasses import replace
from pathlib import Path

import pytest

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.review import rejected
from patchcore_dual.errors import DataError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A set of four images, in the manifest of a data set."""
    folder = tmp_path / "synthetic" / "run"
    folder.mkdir(parents=True)
    rows = [Sample("good.png", "", "negative", "train")]
    for number in range(1, 5):
        (folder / f"{number:04d}.png").touch()
        (folder / f"{number:04d}_mask.png").touch()
        image = f"synthetic/run/{number:04d}.png"
        rows.append(replace(rows[0], image=image, label="positive", origin="strokes"))
    Manifest(tmp_path, tuple(rows)).save()
    return folder


def used(run: Path, **options: bool) -> list[str]:
    manifest = Manifest.load(run.parent.parent, **options)
    return [Path(s.image).stem for s in manifest.synthetic()]


def test_without_lists_all_are_used(run: Path) -> None:
    assert rejected(run) == frozenset()
    assert len(used(run)) == 4


def test_lists_apply_wherever_a_manifest_is_read(run: Path) -> None:
    (run / "reject.txt").write_text("0002.png  # a seam\n\n0003\n")
    assert used(run) == ["0001", "0004"]
    (run / "accept.txt").write_text("0001\n0002\n")
    assert used(run) == ["0001"]
    assert len(used(run, with_rejected=True)) == 4


def test_an_unknown_name_is_refused_with_its_line(run: Path) -> None:
    (run / "reject.txt").write_text("0001\n0009\n")
    with pytest.raises(DataError, match=r"reject\.txt, line 2: .* has no image '0009'"):
        used(run)


@pytest.mark.parametrize(
    "name", ["reject (1).txt", "reject(2).txt", "accept-1.txt", "reject.txt.txt"]
)
def test_a_second_download_that_would_be_passed_over_is_an_error(tmp_path, name):
    (tmp_path / "0001.png").touch()
    (tmp_path / "reject.txt").write_text("")
    (tmp_path / name).write_text("0001")
    with pytest.raises(DataError) as caught:
        rejected(tmp_path)
    assert name in str(caught.value)
    assert f"as {name[:6]}.txt" in str(caught.value)


def test_other_text_files_beside_the_lists_are_nobodys_review(tmp_path):
    (tmp_path / "0001.png").touch()
    (tmp_path / "rejections of May.txt").write_text("0001")
    assert rejected(tmp_path) == frozenset()
