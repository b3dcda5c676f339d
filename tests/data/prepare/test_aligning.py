"""`prepare --align`: parts lie alike afterwards, what cannot be aligned is left out and said."""

import json
import shutil

import numpy as np
import pytest

from lookalikes import bracket, make_brackets, save, surface
from patchcore_dual.data.audit import audit_folder
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.aligning import REFERENCE_NAME, AlignmentRule, aligner_of
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.prepare.update import update
from patchcore_dual.data.reading import write_png
from patchcore_dual.errors import DataError, ImageError, SettingsError

SIZE = {"width": 160, "height": 120}
ALL_TO_TRAIN = SplitSettings(train_fraction=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_brackets(tmp_path_factory.mktemp("brackets") / "photos")


@pytest.fixture(scope="module")
def aligned(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned") / "prepared"
    summary = prepare("folder", source, folder, **SIZE, align=AlignmentRule("rigid"))
    return summary, Manifest.load(folder)


def spread(manifest):
    """By how much the good images differ from their mean, away from the borders."""
    images = np.stack([manifest.read_image(s)[20:-20, 20:-20, 0] for s in manifest])
    return images.astype(float).std(0).mean()


def test_good_parts_lie_alike_and_masks_follow(source, aligned, tmp_path):
    summary, manifest = aligned
    prepare("folder", source, tmp_path / "p", **SIZE)
    other = Manifest.load(tmp_path / "p")
    assert not summary.skipped
    assert len(manifest) == len(other)
    good = manifest.part(label="negative")
    assert spread(good) < 0.5 * spread(other.part(label="negative"))
    masks = [manifest.read_mask(s) for s in manifest.part(label="positive")]
    for mask, sample in zip(masks, manifest.part(label="positive"), strict=True):
        image = manifest.read_image(sample)[..., 0]
        assert image[mask].mean() < 130  # the scratch is darker than the plate, 170
        assert mask.sum() > 20


def test_reference_limits_and_motions_are_stored(aligned):
    summary, manifest = aligned
    stored = json.loads((manifest.folder / "preparation.json").read_text())
    assert stored["alignment"]["mode"] == "rigid"
    assert 0.2 < stored["alignment"]["least_confidence"] < 0.6
    assert stored["alignment"]["source"].startswith("good/")
    assert stored["moves"]["turn"][1] > 1
    assert "--align auto tries whether aligning pays" in summary.motion_line
    aligner = aligner_of(manifest)
    assert aligner.settings() == stored["alignment"]
    by_source = {s.source: s.provenance["alignment"] for s in manifest}
    assert by_source[aligner.source]["confidence"] == 1
    assert {"x", "y", "turn", "confidence"} == set(by_source[aligner.source])
    assert max(abs(m["x"]) for m in by_source.values()) > 4


def test_the_same_call_gives_the_same_bytes(source, aligned, tmp_path):
    _, manifest = aligned
    prepare("folder", source, tmp_path / "p", **SIZE, align=AlignmentRule("rigid"))
    for name in ("manifest.csv", REFERENCE_NAME, manifest.samples[0].image, "preparation.json"):
        assert (tmp_path / "p" / name).read_bytes() == (manifest.folder / name).read_bytes()


def test_images_that_cannot_be_aligned_are_left_out_and_named(source, tmp_path):
    photos = shutil.copytree(source, tmp_path / "photos")
    save(photos / "good/other.png", surface(5, 160, 120))
    save(photos / "good/wide.png", surface(6, 240, 120))
    summary = prepare("folder", photos, tmp_path / "p", **SIZE, align=AlignmentRule("rigid"))
    assert set(summary.skipped) == {"good/other.png", "good/wide.png"}
    assert "it cannot be aligned: within shifts" in summary.skipped["good/other.png"]
    assert "its proportions, 240x120" in summary.skipped["good/wide.png"]
    assert not [s for s in Manifest.load(tmp_path / "p") if "wide" in s.source]


def test_new_images_are_aligned_to_the_same_reference(source, tmp_path):
    photos = shutil.copytree(source, tmp_path / "photos")
    folder = tmp_path / "p"
    prepare("folder", photos, folder, **SIZE, align=AlignmentRule("rigid"), split=ALL_TO_TRAIN)
    before = (folder / REFERENCE_NAME).read_bytes()
    image, _ = bracket(77, 9, -8, 3)
    save(photos / "good/77.png", image)
    save(photos / "good/78.png", surface(9, 160, 120))
    summary = update("folder", photos, folder)
    assert set(summary.skipped) == {"good/78.png"}
    assert (folder / REFERENCE_NAME).read_bytes() == before
    manifest = Manifest.load(folder)
    assert manifest.preparation()["alignment"]["mode"] == "rigid"
    added = next(s for s in manifest if s.source == "good/77.png")
    assert spread(manifest.part(label="negative")) < 12
    assert added.provenance["alignment"]["x"] != 0
    assert "Nothing to add" in update("folder", photos, folder).notes[0]
    with pytest.raises(SettingsError, match="was prepared with rigid"):
        update("folder", photos, folder, align=AlignmentRule("translation"))
    with pytest.raises(SettingsError, match="Leave --align-to"):
        update("folder", photos, folder, align=AlignmentRule("rigid", max_shift=0.1))


def test_a_reference_can_be_named(source, tmp_path):
    reference = source / "good/3.png"
    rule = AlignmentRule("rigid", reference)
    prepare("folder", source, tmp_path / "p", **SIZE, align=rule)
    assert Manifest.load(tmp_path / "p").preparation()["alignment"]["source"] == str(reference)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((120, 160, 3), 80, np.uint8), "blank"),
        (surface(3, 160, 120), "too little in common"),
        (surface(3, 120, 160), "proportions of the images"),
    ],
    ids=["blank", "texture", "proportions"],
)
def test_a_reference_that_cannot_be_aligned_to_is_refused(source, tmp_path, image, message):
    write_png(tmp_path / "reference.png", image)
    rule = AlignmentRule("rigid", tmp_path / "reference.png")
    with pytest.raises(DataError, match=message) as caught:
        prepare("folder", source, tmp_path / "p", **SIZE, align=rule)
    assert "reference.png" in str(caught.value)
    assert not (tmp_path / "p").exists()


def test_a_reference_that_cannot_be_read_is_refused(source, tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        prepare(
            "folder",
            source,
            tmp_path / "p",
            **SIZE,
            align=AlignmentRule("rigid", tmp_path / "none.png"),
        )


def test_limits_without_alignment_and_limits_out_of_range_are_refused():
    for options in ({"reference": "a.png"}, {"max_shift": 0.1}, {"max_turn": 5}):
        with pytest.raises(SettingsError, match="Add --align"):
            AlignmentRule("none", **options)
    with pytest.raises(SettingsError, match="--max-turn"):
        AlignmentRule("rigid", max_turn=60)


def test_parts_with_a_texture_of_their_own_have_nothing_to_be_aligned_to(tmp_path):
    for number in range(8):
        save(tmp_path / f"photos/good/{number}.png", surface(number, 160, 120))
    summary = prepare("folder", tmp_path / "photos", tmp_path / "p", **SIZE, split=ALL_TO_TRAIN)
    assert "not measurable" in summary.motion_line
    assert summary.moves["shift"] is None
    with pytest.raises(DataError, match="too little in common"):
        prepare(
            "folder",
            tmp_path / "photos",
            tmp_path / "q",
            **SIZE,
            split=ALL_TO_TRAIN,
            align=AlignmentRule("translation"),
        )


def test_still_parts_need_no_alignment(tmp_path):
    for number in range(8):
        save(tmp_path / f"photos/good/{number}.png", bracket(number)[0])
    summary = prepare("folder", tmp_path / "photos", tmp_path / "p", **SIZE, split=ALL_TO_TRAIN)
    assert "no need to align" in summary.motion_line
    assert not (tmp_path / "p" / REFERENCE_NAME).exists()
    assert all(s.provenance == {} for s in Manifest.load(tmp_path / "p"))


def test_the_folder_is_whole_and_can_be_replaced(source, aligned, tmp_path):
    """The reference is no file of the user's own, which --overwrite would have to ask about."""
    _, manifest = aligned
    folder = shutil.copytree(manifest.folder, tmp_path / "p")
    assert audit_folder(folder).n_images == len(manifest)
    prepare("folder", source, folder, **SIZE, overwrite=True)
    assert aligner_of(Manifest.load(folder)) is None


def test_a_damaged_reference_is_named(aligned, tmp_path):
    _, manifest = aligned
    folder = shutil.copytree(manifest.folder, tmp_path / "p")
    (folder / REFERENCE_NAME).write_bytes(b"")
    with pytest.raises(DataError, match=REFERENCE_NAME):
        aligner_of(Manifest.load(folder))
