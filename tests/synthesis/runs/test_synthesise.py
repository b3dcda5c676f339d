"""Sets of synthetic images: reproducible, nested, and whole again however a run was cut off."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from lookalikes import make_folder
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.synthesis.generator import SyntheticDefect, TargetMask, UnusableDefectError
from patchcore_dual.synthesis.generators.cutpaste import CutPaste
from patchcore_dual.synthesis.generators.perlin import Perlin
from patchcore_dual.synthesis.generators.poisson import Poisson
from patchcore_dual.synthesis.generators.strokes import Strokes
from patchcore_dual.synthesis.runs import run as runs
from patchcore_dual.synthesis.runs.run import enrol
from patchcore_dual.synthesis.runs.synthesise import synthesise

COUNT = 5


@pytest.fixture
def data(prepared, tmp_path) -> Manifest:
    """Six commutators, to be written to."""
    shutil.copytree(prepared.folder, tmp_path / "prepared")
    return Manifest.load(tmp_path / "prepared")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def make(data: Manifest, name: str = "run", count: int = COUNT, generator=None, **options):
    options = {"seed": 3, **options}
    seed = options.pop("seed")
    folder = data.folder / "synthetic" / name
    return synthesise(data, [generator or Strokes()], count, seed, folder, **options)


@pytest.fixture
def uninterrupted(data) -> dict[str, bytes]:
    make(data, "uninterrupted")
    files = contents(data.folder / "synthetic" / "uninterrupted")
    assert len(files) == 2 * COUNT + 2  # plan and journal
    return files


def test_defects_lie_where_images_are_inspected(data):
    height, width = read_image(data.image_path(data.samples[0])).shape[:2]
    region = np.zeros((height, width), bool)
    region[: height // 2] = True
    rows = make(data.within(region), "inspected")
    masks = [read_mask(data.folder / row.mask) for row in rows]
    assert all(mask.any() and not mask[height // 2 :].any() for mask in masks)
    with pytest.raises(DataError, match="region of interest"):
        make(data, "inspected")  # the set was begun in a region


# --- the same again, and more of it ---


@pytest.mark.parametrize("generator", [Strokes(), CutPaste(), Perlin(), Poisson()])
def test_a_seed_gives_the_same_files_and_another_seed_other_images(data, generator):
    first, again, other = (
        make(data, name, 3, generator, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    folder = data.folder / "synthetic"
    assert contents(folder / "a") == contents(folder / "b")
    assert [s.provenance for s in first] == [s.provenance for s in again]
    assert [s.provenance["seed"] for s in first] != [s.provenance["seed"] for s in other]
    pictures = [{v for k, v in contents(folder / n).items() if k.endswith(".png")} for n in "ac"]
    assert not pictures[0] & pictures[1]


def test_a_smaller_set_is_the_beginning_of_a_larger_one(data):
    few, many = make(data, "few", 3), make(data, "many", 7)
    folder = data.folder / "synthetic"
    for a, b in zip(few, many[:3], strict=True):
        assert (data.folder / a.image).read_bytes() == (data.folder / b.image).read_bytes()
        assert a.provenance == b.provenance
    assert make(data, "few", 7)[0] == few[0]
    assert contents(folder / "few") == contents(folder / "many"), "grown or made at once"
    assert len(make(data, "few", 2)) == 2
    assert len(contents(folder / "few")) == 7 * 2 + 2, "what is finished is kept"


def test_generators_take_turns_and_may_be_of_one_kind(data):
    rows = synthesise(data, [Strokes(), CutPaste()], 5, 0, data.folder / "synthetic" / "both")
    assert [s.origin for s in rows] == ["strokes", "cutpaste", "strokes", "cutpaste", "strokes"]


@pytest.mark.parametrize("shared", [2, 3])
def test_samples_of_a_triplet_share_good_image_and_mask_and_differ(data, shared):
    generators = [Strokes(), CutPaste()]
    folder = data.folder / "synthetic" / "run"
    rows = synthesise(data, generators, 4 * shared, 1, folder, samples_per_triplet=shared)
    alone = synthesise(data, generators, 4 * shared, 1, folder.with_name("alone"))
    for generator in (0, 1):
        own = rows[generator::2]
        triplets = [own[i : i + shared] for i in range(0, len(own), shared)]
        for samples in triplets:
            assert len({s.provenance["normal"] for s in samples}) == 1
            assert len({str(s.provenance["mask"]) for s in samples}) == 1
            assert len({(data.folder / s.image).read_bytes() for s in samples}) == shared
        first, second = (str(t[0].provenance["mask"]) for t in triplets)
        assert first != second
    assert len({str(s.provenance["mask"]) for s in alone}) == 4 * shared


# --- cut off ---


def test_resumed_after_an_image_whose_mask_is_missing(data, uninterrupted):
    make(data, count=3)
    folder = data.folder / "synthetic" / "run"
    (folder / "0004.png").write_bytes(b"half an im")
    (folder / ".0005.png").write_bytes(b"")
    (folder / ".journal.jsonl.x81k2").write_bytes(b"")  # as `write_atomically` calls its own
    make(data)
    assert contents(folder) == uninterrupted


@pytest.mark.parametrize("left", [1, 40, -1])
def test_resumed_after_half_a_line_of_the_journal(data, uninterrupted, left):
    make(data, count=3)
    journal = data.folder / "synthetic" / "run" / "journal.jsonl"
    *lines, last = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines) + last[:left])
    make(data)
    assert contents(journal.parent) == uninterrupted


@pytest.mark.parametrize("gone", ["0002.png", "0002_mask.png"])
def test_a_picture_that_was_removed_is_made_again(data, uninterrupted, gone):
    make(data)
    folder = data.folder / "synthetic" / "run"
    (folder / gone).unlink()
    make(data)
    found = contents(folder)
    assert sorted(found.pop("journal.jsonl").splitlines()) == sorted(
        uninterrupted.pop("journal.jsonl").splitlines()
    )
    assert found == uninterrupted


@dataclass(frozen=True)
class Stopping(Strokes):
    """Strokes that raise at the given call; the calls are counted in `seen`."""

    at: int = 0
    error: type[BaseException] = RuntimeError

    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        self._seen.append(seed)
        if len(self._seen) == self.at:
            raise self.error("stopped")
        return super().generate(normal, mask, seed)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_seen", [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
@pytest.mark.parametrize("at", [1, 3, COUNT])
def test_resumed_after_an_error_in_the_middle_of_a_generator(data, error, at):
    make(data, "whole", generator=Stopping(error=error))
    with pytest.raises(error):
        make(data, generator=Stopping(at, error))
    folder = data.folder / "synthetic" / "run"
    before = contents(folder)
    assert len(before) == 2 * (at - 1) + 2
    plan = folder / "plan.json"
    plan.write_bytes((folder.with_name("whole") / "plan.json").read_bytes())  # without its `at`
    make(data, generator=Stopping(error=error))
    assert contents(folder) == contents(folder.with_name("whole"))


def test_resumed_after_an_interruption_between_image_and_mask(data, uninterrupted, monkeypatch):
    written = []

    def interrupted(path, array):
        written.append(path.name)
        if path.name == ".0003_mask.png":
            raise KeyboardInterrupt
        write_png(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_png", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(data)
    folder = data.folder / "synthetic" / "run"
    assert "0003.png" in contents(folder)
    make(data)
    assert contents(folder) == uninterrupted


@pytest.mark.parametrize("when", [".0001.png", ".0003.png", ".0003_mask.png", "fsync"])
def test_a_full_disk_is_reported_and_a_run_goes_on_once_there_is_room(
    data, uninterrupted, monkeypatch, when
):
    def full(path, array):
        if path.name == when:
            path.write_bytes(b"\x89PNG half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_png(path, array)

    calls = []

    def no_room(handle):
        calls.append(handle)
        if len(calls) == 9:  # plan, journal, then image, mask and journal of each
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_png", full)
        if when == "fsync":
            patch.setattr(os, "fsync", no_room)
        with pytest.raises(DataError, match=r"No space left on device.*the same command continues"):
            make(data)
    assert (data.folder / "manifest.csv").read_bytes() == data._csv()
    make(data)
    assert contents(data.folder / "synthetic" / "run") == uninterrupted


def test_resumed_after_a_kill(data, uninterrupted):
    """A process that is killed outright, at whatever it is doing after its second image."""
    folder = data.folder / "synthetic" / "run"
    script = (
        "import sys; from pathlib import Path\n"
        "from patchcore_dual.data.manifest import Manifest\n"
        "from patchcore_dual.synthesis.generators.strokes import Strokes\n"
        "from patchcore_dual.synthesis.runs.synthesise import synthesise\n"
        "data, folder = Manifest.load(sys.argv[1]), Path(sys.argv[2])\n"
        "synthesise(data, [Strokes()], 100_000, 3, folder)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(data.folder), str(folder)])
    try:
        while not (folder / "0002_mask.png").is_file():
            assert process.poll() is None, "it ended on its own"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    make(data)
    found = contents(folder)
    beyond = [name for name in found if name not in uninterrupted]
    assert {name: found[name] for name in uninterrupted if name.endswith(".png")} == {
        name: content for name, content in uninterrupted.items() if name.endswith(".png")
    }
    # Where it was faster than this test, the images beyond are finished ones.
    journal = found["journal.jsonl"].decode().splitlines()
    assert sorted(beyond) == sorted(
        name
        for number in range(COUNT + 1, len(journal) + 1)
        for name in (f"{number:04d}.png", f"{number:04d}_mask.png")
    )


def test_two_runs_into_one_set_are_one_and_a_clear_error(data, uninterrupted):
    refused = []

    def make_again(stage, done, total):
        if not refused:
            with pytest.raises(DataError, match=r"run is in use: another augment .*another --name"):
                make(data)
            refused.append(done)

    make(data, progress=make_again)
    assert refused == [0]
    assert contents(data.folder / "synthetic" / "run") == uninterrupted
    assert sorted(p.name for p in (data.folder / "synthetic").iterdir()) == ["run", "uninterrupted"]


def test_sets_that_end_at_the_same_time_are_all_in_the_manifest(data):
    rows = {name: make(data, name, count=1) for name in ("a", "b", "c", "d")}
    threads = [
        threading.Thread(target=enrol, args=(data.folder, data.folder / "synthetic" / name, row))
        for name, row in rows.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Manifest.load(data.folder).synthetic()) == 4


def test_a_rerun_of_a_finished_set_generates_nothing(data):
    make(data, generator=Stopping())
    lazy = Stopping()
    before = contents(data.folder / "synthetic" / "run")
    make(data, generator=lazy)
    assert lazy._seen == []
    assert contents(data.folder / "synthetic" / "run") == before


# --- other plans, damage, what is not ours ---


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 4}, "seed was 3 and is 4 now"),
        ({"masks": "drawn"}, 'masks was "auto" and is "drawn" now'),
        ({"samples_per_triplet": 2}, "samples_per_triplet was 1 and is 2 now"),
        ({"generator": CutPaste()}, 'generators.name was "strokes" and is "cutpaste" now'),
    ],
)
def test_a_set_made_otherwise_is_left_alone_unless_it_is_to_be_replaced(data, change, told):
    make(data)
    folder = data.folder / "synthetic" / "run"
    before = contents(folder)
    with pytest.raises(DataError, match="holds synthetic images of another kind") as caught:
        make(data, **change)
    assert told in str(caught.value)
    assert contents(folder) == before
    make(data, overwrite=True, **change)
    make(data, "new", **change)
    assert contents(folder) == contents(folder.with_name("new"))


def test_other_parents_are_another_plan(data):
    make(data)
    train = data.part("train", "positive").samples
    fewer = data.where(s for s in data if s != train[0])
    with pytest.raises(DataError, match="defective images was 3 and is 2 now"):
        make(fewer)


def test_overwriting_takes_the_old_rows_out_of_the_manifest_first(data):
    """A kill in the middle must leave no rows of images that are gone."""
    enrol(data.folder, data.folder / "synthetic" / "run", make(data))
    with pytest.raises(RuntimeError):
        make(data, generator=Stopping(at=2), overwrite=True)
    assert not len(Manifest.load(data.folder).synthetic())


def test_a_folder_of_something_else_is_left_alone(data):
    folder = data.folder / "synthetic" / "run"
    folder.mkdir(parents=True)
    (folder / "0001.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="not empty and does not hold synthetic images"):
        make(data, overwrite=True)
    assert contents(folder) == {"0001.png": b"mine"}


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [("journal.jsonl", b"{}\n", "line 1: damaged"), ("plan.json", b"{", "is damaged")],
)
def test_damage_is_reported(data, file, content, told):
    make(data)
    folder = data.folder / "synthetic" / "run"
    (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=told):
        make(data)
    assert len(contents(folder)) == 2 * COUNT + 2, "nothing is lost"
    make(data, overwrite=True)


# --- provenance, and no leak ---


@pytest.mark.parametrize("generator", [Strokes(), Poisson()])
def test_an_image_belongs_to_both_parents_which_are_real_training_images(data, generator):
    by_name = {s.image: s for s in data}
    rows = make(data, generator=generator, count=8)
    assert [Path(s.image).name for s in rows] == [f"{n:04d}.png" for n in range(1, 9)]
    for row in rows:
        normal, defect = row.provenance["normal"], row.provenance["defect"]
        assert row.parents == {normal, defect}
        assert by_name[normal].label == "negative"
        assert by_name[defect].label == "positive"
        assert {by_name[p].split for p in row.parents} == {"train"}
        assert set(row.group.split("+")) == {by_name[p].group for p in row.parents}
        assert (row.label, row.split, row.origin) == ("positive", "train", generator.name)
        assert not row.used_test_mask
    assert {r.provenance["defect"] for r in rows} <= {
        s.image for s in data.part("train", "positive")
    }


def test_a_synthetic_image_is_no_parent(data):
    enrol(data.folder, data.folder / "synthetic" / "run", make(data))
    again = make(Manifest.load(data.folder), "again", 12)
    real = {s.image for s in data}
    assert all(s.parents <= real for s in again)


def test_a_drawn_mask_has_one_parent(data):
    for row in make(data, masks="drawn"):
        assert row.parents == {row.provenance["normal"]}
        assert row.provenance["defect"] is None
        assert row.provenance["mask"]["mask"] == "drawn"
        assert "+" not in row.group


def test_without_real_defects_masks_are_drawn(data):
    none = data.where(s for s in data if not s.is_defective)
    assert {r.provenance["mask"]["mask"] for r in make(none)} == {"drawn"}


def test_good_images_on_the_other_side_and_test_defects_are_not_read(data):
    """Removed from disk, they are not missed."""
    for sample in data.part("test"):
        data.image_path(sample).unlink()
        (data.folder / sample.mask).unlink()
    make(data, count=8)
    assert len(list((data.folder / "synthetic/run").glob("????.png"))) == 8


@dataclass(frozen=True)
class Watching(Strokes):
    """Strokes that note what masks they were given."""

    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        self._given.append(mask)
        return super().generate(normal, mask, seed)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_given", [])


def test_masks_of_test_defects_only_when_allowed_and_then_every_row_says_so(data):
    tested = {s.image for s in data.part("test", "positive")}
    watching = Watching()
    rows = make(data, generator=watching, count=12, allow_test_masks=True)
    borrowed = [r for r in rows if r.provenance["defect"] in tested]
    assert 0 < len(borrowed) < len(rows), "training defects lend theirs too"
    assert all(r.used_test_mask for r in rows)
    assert not any(r.provenance["normal"] in {s.image for s in data.part("test")} for r in rows)
    # The surface of a test defect reaches no generator: its shape alone does.
    for mask in watching._given:
        donor = mask.provenance["donor"]
        assert (mask.donor is None) == (donor in tested)
        assert (mask.matrix is None) == (donor in tested)
    enrol(data.folder, data.folder / "synthetic" / "run", rows)
    assert Manifest.load(data.folder).synthetic().samples == rows


def test_a_row_whose_parent_is_a_test_image_is_refused_without_that_word(data):
    rows = make(data, count=12, allow_test_masks=True)
    hidden = [
        replace(r, provenance={k: v for k, v in r.provenance.items() if k != "test_masks"})
        for r in rows
    ]
    data.where([*data, *hidden]).save()
    with pytest.raises(DataError, match="was made from the test image"):
        Manifest.load(data.folder)


@dataclass(frozen=True)
class OfKind(Strokes):
    kind: str | None = None


@pytest.fixture
def kinds(tmp_path) -> Manifest:
    """A prepared folder with the kinds scratch and stain, of which only scratch has masks."""
    source = make_folder(tmp_path / "source")
    for mask in (source / "masks/scratch").iterdir():
        shutil.copy(mask, source / "masks" / mask.name)
    prepare("folder", source, tmp_path / "kinds", width=40, height=32)
    return Manifest.load(tmp_path / "kinds")


def test_a_generator_of_a_kind_borrows_from_that_kind_alone(kinds):
    donors = {s.image for s in kinds.part("train", "positive") if s.kind == "scratch"}
    rows = make(kinds, generator=OfKind("scratch"))
    assert {r.kind for r in rows} == {"scratch"}
    assert {r.provenance["defect"] for r in rows} <= donors
    with pytest.raises(DataError, match=r"no training defect of the kind 'stain' .*scratch"):
        make(kinds, "stains", generator=OfKind("stain"))
    assert {r.kind for r in make(kinds, "drawn", generator=OfKind("stain"), masks="drawn")} == {
        "stain"
    }


# --- bad input ---


def repainted(data: Manifest, value: int) -> Manifest:
    """With training masks all of one value."""
    for sample in data.part("train", "positive"):
        shape = read_mask(data.folder / sample.mask).shape
        write_png(data.folder / sample.mask, np.full(shape, bool(value)))
    return data


@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_all_white_masks_lend_no_shape(data, value):
    repainted(data, value)
    with pytest.raises(DataError, match=r"has a usable mask.*--masks drawn"):
        make(data, masks="real")
    with pytest.raises(DataError, match=r"has a usable mask.*generator that draws"):
        make(data, "poisson", generator=Poisson())
    assert {r.provenance["mask"]["mask"] for r in make(data, "auto")} == {"drawn"}


def test_a_mask_larger_than_the_part_finds_no_room(data):
    """Only a corner of each good image shows the part."""
    for sample in data.part("train", "positive"):
        mask = np.zeros(read_mask(data.folder / sample.mask).shape, bool)
        mask[2:-2, 2:-2] = True
        write_png(data.folder / sample.mask, mask)
    rng = np.random.default_rng(0)
    for sample in data.part("train", "negative"):
        image = np.zeros_like(read_image(data.image_path(sample)))
        image[:40, :30] = rng.integers(120, 200, (40, 30, 1))
        write_png(data.image_path(sample), image)
    with pytest.raises(DataError, match=r"synthetic image 1 .*found no room on the part"):
        make(data)
    assert make(data, "drawn", masks="drawn")


def test_no_good_image_is_reported(data):
    defective = data.where(s for s in data if s.is_defective or s.split == "test")
    with pytest.raises(DataError, match="no normal images to put defects on"):
        make(defective)


class Hopeless(Strokes):
    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        raise UnusableDefectError("nothing came of it")


def test_a_generator_of_which_nothing_comes_is_reported(data):
    with pytest.raises(DataError, match=r"none of 20 attempts.*20 times: nothing came of it"):
        make(data, generator=Hopeless())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": 0}, "count is 0; give 1 or more"),
        ({"seed": -1}, "seed is -1; give 0 or more"),
        ({"samples_per_triplet": 0}, "samples_per_triplet is 0"),
        ({"masks": "invented"}, "masks 'invented': use auto, real, drawn"),
        ({"generator": Poisson(), "masks": "drawn"}, "cannot use drawn masks"),
        ({"generator": Poisson(), "allow_test_masks": True}, "only the masks may be used"),
    ],
)
def test_settings_that_do_not_fit_are_reported_before_anything_is_written(data, options, told):
    with pytest.raises(SettingsError) as caught:
        make(data, **options)
    assert told in str(caught.value)
    assert not (data.folder / "synthetic").exists()


def test_a_synthetic_image_in_a_test_split_is_refused(data):
    row = make(data, count=1)[0]
    with pytest.raises(DataError, match="is in the test split"):
        replace(row, split="test")
    data.where([*data, row]).save()
    manifest = data.folder / "manifest.csv"
    text = manifest.read_text()
    manifest.write_text(text.replace("0001_mask.png,positive,train", "0001_mask.png,positive,test"))
    assert manifest.read_text() != text
    with pytest.raises(DataError, match=rf"line {len(data) + 2}: .* is in the test split"):
        Manifest.load(data.folder)


def test_samples_are_the_rows_that_a_manifest_gives_back(data):
    rows = make(data)
    enrol(data.folder, data.folder / "synthetic" / "run", rows)
    manifest = Manifest.load(data.folder)
    assert manifest.synthetic().samples == rows
    assert all(isinstance(s, Sample) for s in manifest)
    assert manifest.real().samples == data.samples
