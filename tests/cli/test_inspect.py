"""`inspect` as a user runs it: what is inspected, what is printed, what is written where."""

import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchcore_dual.data.listing import OUTPUT_MARKER
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.inspection_folder import picture_names

ROOT = Path(__file__).parents[2]


def first(manifest, split, label):
    manifest = manifest.part(split, label)
    return manifest.image_path(manifest.samples[0])


@pytest.fixture
def good(prepared):
    return first(prepared, "train", "negative")


@pytest.fixture
def bad(prepared):
    return first(prepared, "train", "positive")


@pytest.fixture
def photos(good, bad, tmp_path):
    """Two good parts and a defective one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, source in (("g1.png", good), ("g2.png", good), ("d1.png", bad)):
        shutil.copy(source, folder / name)
    return folder


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_inspect_a_folder(run, model_folder, good, bad, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    shutil.copy(bad, folder / "part10.png")
    shutil.copy(good, folder / "part2.png")
    (folder / "below").mkdir()
    shutil.copy(folder / "part2.png", folder / "below/part2.png")
    (folder / "notes.txt").write_text("no image")
    result = run("inspect", model_folder, folder, "--json", "--out", tmp_path / "pictures")
    assert result.code == 0
    results = result.json["results"]
    assert [r["path"] for r in results] == [
        str(folder / name) for name in ("below/part2.png", "part2.png", "part10.png")
    ]
    assert [r["verdict"] for r in results] == ["pass", "pass", "reject"]
    for image in results:
        assert {"path", "score", "threshold", "verdict", "regions"} <= set(image)
    assert set(results[2]["regions"][0]) == {"x", "y", "width", "height", "area", "peak"}
    assert [r["picture"] for r in results] == [
        *("pass-part2.jpg", "pass-part2-2.jpg", "reject-part10.jpg")
    ]
    with Image.open(tmp_path / "pictures/reject-part10.jpg") as picture:
        assert picture.width > 2 * 64


def test_strict_tells_a_reject_by_the_exit_code(run, model_folder, good, bad):
    assert run("inspect", model_folder, bad).code == 0
    assert run("inspect", model_folder, bad, "--strict").code == 1
    assert run("inspect", model_folder, good, "--strict").code == 0
    assert run("inspect", model_folder, good, bad, "--strict", "--json").code == 1


def test_one_broken_file_does_not_stop_the_others(run, model_folder, good, bad, tmp_path):
    shutil.copy(bad, tmp_path / "a.png")
    content = good.read_bytes()
    (tmp_path / "b.png").write_bytes(content[: len(content) // 2])
    shutil.copy(good, tmp_path / "c.png")
    result = run("inspect", model_folder, tmp_path, "--json", "--strict")
    assert result.code == 2
    results = result.json["results"]
    assert [set(r) == {"path", "error"} for r in results] == [False, True, False]
    assert str(tmp_path / "b.png") in results[1]["error"]
    assert results[0]["verdict"] == "reject"
    assert "b.png cannot be read as an image" in result.err
    assert "Traceback" not in result.err


def test_wrong_arguments_of_inspect(fails, model_folder, good, tmp_path):
    assert "no file or folder" in fails("inspect", model_folder, tmp_path / "none.png")
    assert "holds no images" in fails("inspect", model_folder, tmp_path)
    assert "Add --out" in fails("inspect", model_folder, good, "--full-size")


def test_many_sizes_take_one_line_and_distorted_images_are_warned_of(
    run, model_folder, good, tmp_path
):
    sizes = {"a": (64, 97), "b": (64, 98), "c": (65, 96), "upright": (96, 64), "photo": (80, 80)}
    for name, size in sizes.items():
        Image.open(good).resize(size).save(tmp_path / f"{name}.png")
    lines = run("inspect", model_folder, tmp_path).out.splitlines()
    assert [line for line in lines if "resized" in line] == [
        "5 of 5 images: resized from 5 sizes, 96x64 to 80x80, to the model's 64x96"
    ]
    (warning,) = [line for line in lines if line.startswith("WARNING")]
    assert "distorts 2 of 5 images by more than 5%, most of all" in warning
    assert f"{tmp_path / 'upright.png'} (96x64, by 125%)" in warning
    assert "the training images" in warning
    results = run("inspect", model_folder, tmp_path, "--json")
    assert warning in results.err
    notes = {Path(r["path"]).stem: r["note"] for r in results.json["results"]}
    assert notes["upright"].endswith("the model's 64x96, which distorts it by 125%")
    assert notes["a"].endswith("the model's 64x96")


def test_what_was_resized_is_said_once(run, model_folder, good, tmp_path):
    with Image.open(good) as image:
        for i in range(3):
            image.resize((100, 110)).save(tmp_path / f"large{i}.png")
    shutil.copy(good, tmp_path / "right.png")
    lines = run("inspect", model_folder, tmp_path).out.splitlines()
    said = [line for line in lines if "the model's" in line]
    assert said == ["3 of 4 images: resized from 100x110 to the model's 64x96"]
    assert lines[-1] == "4 images: 4 pass, 0 review, 0 reject"


# What is never overwritten


def test_photographs_are_never_overwritten_by_pictures(run, fails, model_folder, photos):
    """`--out` is the folder of the images."""
    before = contents(photos)
    message = fails("inspect", model_folder, photos, "--out", photos)
    assert "is not empty and holds no earlier inspection" in message
    assert contents(photos) == before


def test_out_may_not_be_the_working_folder_of_a_photograph(
    fails, model_folder, photos, monkeypatch
):
    monkeypatch.chdir(photos)
    before = contents(photos)
    assert "is not empty" in fails("inspect", model_folder, "g1.png", "--out", ".")
    assert contents(photos) == before


def test_out_may_be_no_link_to_the_photographs(fails, model_folder, photos, tmp_path):
    (tmp_path / "link").symlink_to(photos, target_is_directory=True)
    before = contents(photos)
    fails("inspect", model_folder, photos, "--out", tmp_path / "link")
    assert contents(photos) == before


def test_a_picture_that_is_a_link_is_replaced_not_followed(run, model_folder, photos, tmp_path):
    out, before = tmp_path / "out", contents(photos)
    run("inspect", model_folder, photos, "--out", out)
    for picture in out.glob("*.jpg"):
        picture.unlink()
        picture.symlink_to(photos / "g1.png")
    assert run("inspect", model_folder, photos, "--out", out).code == 0
    assert contents(photos) == before


def test_files_of_others_in_the_pictures_folder_are_kept(run, model_folder, photos, tmp_path):
    out = tmp_path / "out"
    run("inspect", model_folder, photos / "g1.png", "--out", out)
    (out / "PASS-g2.jpg").write_bytes(b"mine")
    run("inspect", model_folder, photos, "--out", out)
    assert (out / "PASS-g2.jpg").read_bytes() == b"mine"
    assert (out / "pass-g2-2.jpg").is_file()


def test_an_inspection_of_other_images_is_replaced_only_when_asked(
    run, fails, model_folder, photos, tmp_path
):
    out = tmp_path / "out"
    assert run("inspect", model_folder, photos / "d1.png", "--out", out).code == 0
    before = contents(out)
    asked = ("inspect", model_folder, photos / "g1.png", "--out", out)
    assert "--overwrite" in fails(*asked)
    assert contents(out) == before
    assert run(*asked, "--overwrite").code == 0
    assert [p.name for p in out.glob("*.jpg")] == ["pass-g1.jpg"]


def test_a_damaged_inspection_is_left_alone(fails, model_folder, photos, tmp_path):
    (tmp_path / "out").mkdir()
    for text in ("", "[]", "{}", '{"folder": "/", "results": [{"path": "a", "picture": "../b"}]}'):
        (tmp_path / "out" / OUTPUT_MARKER).write_text(text)
        assert "damaged" in fails("inspect", model_folder, photos, "--out", tmp_path / "out")


# What is never inspected


def test_pictures_of_an_earlier_inspection_are_not_inspected(run, fails, model_folder, photos):
    """`--out` lies inside the folder of the images."""
    for _ in range(3):
        result = run("inspect", model_folder, photos, "--out", photos / "pictures", "--json")
        assert result.code == 0
        assert len(result.json["results"]) == 3
    assert "pictures that inspect wrote: 1 in" in result.json["left_out"][0]
    assert "holds no images to inspect" in fails("inspect", model_folder, photos / "pictures")
    picture = photos / "pictures/pass-g1.jpg"
    assert "pictures of an earlier inspection" in fails("inspect", model_folder, picture)


def test_pictures_of_an_interrupted_inspection_are_not_inspected(
    run, model_folder, photos, monkeypatch
):
    inspect_many = PatchCoreDual.inspect_many

    def interrupted(self, images, on_error="raise"):
        yield next(inspect_many(self, images, on_error))
        raise KeyboardInterrupt

    monkeypatch.setattr(PatchCoreDual, "inspect_many", interrupted)
    result = run("inspect", model_folder, photos, "--out", photos / "pictures", "--json")
    assert result.code == 130
    assert "1 of 3 images were inspected" in result.err
    assert len(result.json["results"]) == 1
    assert result.json["complete"] is False
    monkeypatch.undo()
    again = run("inspect", model_folder, photos, "--out", photos / "pictures", "--json")
    assert [r["path"] for r in again.json["results"]] == [
        str(photos / name) for name in ("d1.png", "g1.png", "g2.png")
    ]


def test_hidden_and_thumbnail_folders_are_not_inspected(run, model_folder, good, tmp_path):
    places = (".ipynb_checkpoints", ".thumbnails", "@eaDir/a.png", ".Trash-1000/files")
    for place in (*places, "#recycle", "$RECYCLE.BIN", "__MACOSX", "below"):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(good, tmp_path / place / "a.png")
    for name in (".DS_Store", "._a.png", "Thumbs.db"):
        (tmp_path / name).touch()
    result = run("inspect", model_folder, tmp_path, "--json").json
    assert [r["path"] for r in result["results"]] == [str(tmp_path / "below/a.png")]


def test_linked_folders_are_inspected_once_and_folders_without_permission_said(
    run, model_folder, photos, tmp_path, monkeypatch
):
    (tmp_path / "line").mkdir()
    for name in ("cam1", "cam2"):
        (tmp_path / "line" / name).symlink_to(photos, target_is_directory=True)
    result = run("inspect", model_folder, tmp_path / "line", "--json").json
    assert len(result["results"]) == 3
    assert "1 in" in result["left_out"][0]
    assert "cam2" in result["left_out"][0]
    (photos / "night").mkdir()
    listdir = os.listdir

    def refuse(path):
        if str(path).endswith("night"):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    result = run("inspect", model_folder, photos, "--json").json
    assert len(result["results"]) == 3
    assert "cannot be read: Permission denied: 1 in" in result["left_out"][0]
    assert "night" in result["left_out"][0]


def test_pictures_of_kinds_that_are_not_read_are_said(run, model_folder, photos):
    (photos / "notes.txt").touch()
    for name in ("a.heic", "b.heic"):
        (photos / name).touch()
    lines = run("inspect", model_folder, photos).err.splitlines()
    assert len(lines) == 1
    assert ".heic is not read" in lines[0]
    assert "2 in" in lines[0]


@pytest.mark.parametrize("masks", ["masks", "Masks", "ground_truth/bent", "gt", "labels"])
def test_masks_of_a_training_folder_are_not_inspected(run, model_folder, photos, masks):
    (photos / masks).mkdir(parents=True)
    shutil.copy(photos / "d1.png", photos / masks / "d1_mask.png")
    shutil.copy(photos / "d1.png", photos / "d1_mask.png")
    shutil.copy(photos / "d1.png", photos / "face_mask.png")  # of no other image
    result = run("inspect", model_folder, photos, "--json").json
    names = [Path(r["path"]).name for r in result["results"]]
    assert sorted(names) == ["d1.png", "face_mask.png", "g1.png", "g2.png"]
    assert "masks of other images: 2 in" in result["left_out"][0]


def test_photographs_in_a_folder_called_labels_are_inspected(run, model_folder, photos):
    photos.rename(photos.with_name("labels"))
    result = run("inspect", model_folder, photos.parent, "--json").json
    assert len(result["results"]) == 3


def test_of_a_prepared_folder_only_its_images_are_inspected(run, model_folder, prepared):
    result = run("inspect", model_folder, prepared.folder, "--json").json
    assert len(result["results"]) == len(prepared.samples)


def test_an_image_that_is_named_twice_is_inspected_once(run, model_folder, photos):
    result = run("inspect", model_folder, photos / "g1.png", photos, "--json").json
    assert len(result["results"]) == 3


# One picture for each image


def test_each_image_has_a_picture_and_each_result_names_it(run, model_folder, good, bad, tmp_path):
    folder = tmp_path / "c"
    for name in ("a/x.png", "b/x.png", "x-2.png", "y.png", "X.png", "z.v2.png", "z.v2.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(bad if name[0] == "b" else good).save(folder / name)
    result = run("inspect", model_folder, folder, "--out", tmp_path / "o", "--json").json
    pictures = [r["picture"] for r in result["results"]]
    assert len({p.lower() for p in pictures}) == 7
    assert {*pictures, "index.html", OUTPUT_MARKER} == set(os.listdir(tmp_path / "o"))
    for r in result["results"]:
        assert r["picture"].startswith(r["verdict"] + "-" + Path(r["path"]).stem)
    rejected = [r["path"] for r in result["results"] if r["picture"].startswith("reject-")]
    assert rejected == [str(folder / "b/x.png")]
    recorded = json.loads((tmp_path / "o" / OUTPUT_MARKER).read_text())
    assert recorded["results"] == result["results"]


def test_picture_names_are_unique_on_every_file_system():
    decomposed = unicodedata.normalize("NFD", "é")
    odd = ("A.png", "a.png", "a-2.png", "A-2.png", "é.png", f"{decomposed}.png", "ß.png", "SS.png")
    names = picture_names([Path(str(i), name) for i, name in enumerate(odd)])
    folded = {unicodedata.normalize("NFC", n).casefold() for n in names.values()}
    assert len(folded) == len(odd)


@pytest.mark.parametrize("stem", ["a:b", "what?", "end.", "n" * 240, "工" * 80, "\udcff", "a\nb"])
def test_picture_names_hold_on_windows_too(stem):
    (name,) = picture_names([Path(stem + ".png")]).values()
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', name)
    assert not name.endswith((".", " "))
    assert len(f"reject-{name}-100.jpg".encode()) < 200


def test_a_verdict_that_changes_leaves_no_second_picture(run, model_folder, photos, bad, tmp_path):
    out = tmp_path / "out"
    run("inspect", model_folder, photos, "--out", out)
    shutil.copy(bad, photos / "g1.png")
    run("inspect", model_folder, photos, "--out", out)
    assert sorted(p.name for p in out.glob("*.jpg")) == [
        *("pass-g2.jpg", "reject-d1.jpg", "reject-g1.jpg")
    ]


def test_pictures_are_small_unless_full_size_is_asked_for(run, model_folder, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    run("inspect", model_folder, tmp_path / "large.png", "--out", tmp_path / "s")
    (small,) = (tmp_path / "s").glob("*-large.jpg")
    assert small.stat().st_size < 600_000  # of noise; of a photograph it is a fifth
    run("inspect", model_folder, tmp_path / "large.png", "--out", tmp_path / "f", "--full-size")
    (large,) = (tmp_path / "f").glob("*-large.png")
    with Image.open(small) as picture, Image.open(large) as full:
        assert picture.width < 1300
        assert full.width > 4000


# The page, and what is left when something fails


def test_the_page_opens_without_a_network_and_shows_every_image(
    run, model_folder, photos, tmp_path
):
    (photos / "broken<b>.png").write_bytes(b"")
    run("inspect", model_folder, photos, "--out", tmp_path / "o")
    page = (tmp_path / "o/index.html").read_text()
    assert "http" not in page
    assert page.count("<article") == 4
    assert page.count("data:image/jpeg") == 3
    assert "1 reject, 2 pass, 1 not read" in page.replace("\n", "")
    assert "<b>.png" not in page
    for address in re.findall(r'href="([^"]+)"', page):
        assert (tmp_path / "o" / address).is_file()


def test_without_jinja2_pictures_and_record_are_written(run, model_folder, photos, tmp_path):
    find = "patchcore_dual.evaluation.inspection_page.find_spec"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, lambda name: None)
        result = run("inspect", model_folder, photos, "--out", tmp_path / "o")
    assert result.code == 0
    assert "no page: it needs jinja2" in result.err
    assert (tmp_path / "o/reject-d1.jpg").is_file()
    assert (tmp_path / "o" / OUTPUT_MARKER).is_file()
    assert not (tmp_path / "o/index.html").exists()


def test_a_full_disk_leaves_the_results(run, no_file_beyond, model_folder, prepared, tmp_path):
    """No file may grow beyond 3 kB: no picture fits, and every result is printed."""
    command = ("inspect", model_folder, prepared.folder, "--json", "--strict")
    with no_file_beyond(3000):
        result = run(*command, "--out", tmp_path / "out")
    assert result.code == 2
    results = result.json["results"]
    assert len(results) == len(prepared.samples)
    assert {r["picture"] for r in results} == {None}
    assert "Traceback" not in result.err
    assert "cannot write" in result.err


def test_a_fault_of_the_program_leaves_the_results_so_far(run, model_folder, photos, monkeypatch):
    inspect_many = PatchCoreDual.inspect_many

    def broken(self, images, on_error="raise"):
        yield next(inspect_many(self, images, on_error))
        raise RuntimeError("out of order")

    monkeypatch.setattr(PatchCoreDual, "inspect_many", broken)
    result = run("inspect", model_folder, photos, "--json", "--strict")
    assert result.code == 70
    assert len(result.json["results"]) == 1
    assert result.json["complete"] is False
    assert "out of order" in result.err


def test_the_example_reads_images_of_every_kind_and_says_when_there_are_none(
    model_folder, photos, tmp_path
):
    Image.open(photos / "g1.png").save(photos / "h.JPG")
    (photos / "broken.bmp").touch()
    (tmp_path / "empty").mkdir()

    def example(folder):
        script = ROOT / "examples/inspect_stream.py"
        return subprocess.run(
            [sys.executable, str(script), str(model_folder), str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )

    result = example(photos)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["d1.png", "g1.png", "g2.png", "h.JPG"]
    assert "broken.bmp" in result.stderr
    nothing = example(tmp_path / "empty")
    assert nothing.returncode != 0
    assert "holds no images" in nothing.stderr
    assert "Traceback" not in nothing.stderr


@pytest.mark.parametrize("options", [["--json"], ["--jsonl"], ["--out", "pictures"]])
def test_no_result_is_kept_while_the_next_image_is_inspected(
    run, model_folder, photos, tmp_path, monkeypatch, options
):
    """It holds an image and its map, which may be large."""
    inspect_many = PatchCoreDual.inspect_many

    def checked(self, images, on_error="raise"):
        kept = None
        for image in images:
            assert kept is None or kept() is None
            results = list(inspect_many(self, [image], on_error))
            kept = weakref.ref(results[0])
            yield results.pop()

    monkeypatch.setattr(PatchCoreDual, "inspect_many", checked)
    monkeypatch.chdir(tmp_path)
    assert run("inspect", model_folder, photos, *options).code == 0
