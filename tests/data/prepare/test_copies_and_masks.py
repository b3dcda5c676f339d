"""Preparing data sets whose masks or copies need an answer first."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from lookalikes import make_folder
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.mask_rule import MaskRule
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_mask, write_png
from patchcore_dual.errors import DataError


def test_the_same_picture_normal_and_defective_is_refused_by_both_names(tmp_path: Path) -> None:
    make_folder(tmp_path / "s")
    shutil.copy(tmp_path / "s/scratch/1.png", tmp_path / "s/good/zz.png")
    with pytest.raises(DataError, match=r"good/zz\.png and scratch/1\.png are the same picture"):
        prepare("folder", tmp_path / "s", tmp_path / "p")


def test_of_the_same_picture_in_two_kinds_the_one_with_a_mask_stays(tmp_path: Path) -> None:
    make_folder(tmp_path / "s")
    (tmp_path / "s/crack").mkdir()
    shutil.copy(tmp_path / "s/scratch/1.png", tmp_path / "s/crack/q.png")
    summary = prepare("folder", tmp_path / "s", tmp_path / "p")
    kept = {s.source: s for s in Manifest.load(tmp_path / "p")}
    assert kept["scratch/1.png"].mask
    assert "crack/q.png" not in kept
    assert any("crack/q.png" in n and "which has a mask" in n for n in summary.notes)


def test_inverted_masks_are_read_and_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "s")
    path = tmp_path / "s/masks/scratch/1_mask.png"
    usual = read_mask(path)
    write_png(path, ~usual)
    summary = prepare("folder", tmp_path / "s", tmp_path / "p")
    assert any("1 of 4 masks have a bright border" in n and "1_mask" in n for n in summary.notes)
    sample = next(s for s in Manifest.load(tmp_path / "p") if s.source == "scratch/1.png")
    assert np.array_equal(read_mask(tmp_path / "p" / sample.mask), usual)


def test_a_large_mask_stops_the_preparation_unless_it_is_meant(tmp_path: Path) -> None:
    make_folder(tmp_path / "s")
    mask = np.zeros((30, 40), np.bool_)
    mask[1:-1, 1:-1] = True
    write_png(tmp_path / "s/masks/scratch/1_mask.png", mask)
    with pytest.raises(DataError, match="--large-masks"):
        prepare("folder", tmp_path / "s", tmp_path / "p", skip_unreadable=True)
    prepare("folder", tmp_path / "s", tmp_path / "p", masks=MaskRule(large=True))


def test_file_names_that_are_not_utf8_are_prepared(tmp_path: Path) -> None:
    make_folder(tmp_path / "s")
    os.rename(tmp_path / "s/good/1.png", tmp_path / "s/good" / os.fsdecode(b"caf\xe9.png"))
    prepare("folder", tmp_path / "s", tmp_path / "p")
    assert r"good/caf\xe9.png" in {s.source for s in Manifest.load(tmp_path / "p")}
