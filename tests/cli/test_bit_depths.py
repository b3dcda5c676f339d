"""12 bits in 16-bit files, from `prepare` to `inspect`: scored as the same pictures in 8 bits."""

import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from lookalikes import make_folder


def in_12_bits(source, target):
    """A copy whose photographs are 12-bit values in 16-bit files; masks stay."""
    shutil.copytree(source, target)
    for path in sorted(target.rglob("*.png")):
        if "masks" not in path.parts:
            image = np.asarray(Image.open(path))[..., ::-1].astype(np.float64)
            cv2.imwrite(str(path), np.round(image / 255 * 4095).astype(np.uint16))
    return target


@pytest.fixture
def sources(tmp_path):
    """The same parts in 8 and in 12 bits, as bright as cameras make them."""
    eight = make_folder(tmp_path / "eight", n_good=10)
    for path in sorted(eight.glob("*/*.png")):
        image = np.array(Image.open(path))
        image[:2, :2] = 255
        Image.fromarray(image).save(path)
    return {"eight": eight, "twelve": in_12_bits(eight, tmp_path / "twelve")}


def test_12_bits_from_prepare_to_inspect_give_the_scores_of_8_bits(run, sources, tmp_path):
    found = {}
    for name, source in sources.items():
        prepared, model = tmp_path / f"{name}-prepared", tmp_path / f"{name}-model"
        summary = run("prepare", "folder", source, prepared, "--size", "40x30", "--json").json
        assert summary["bit_depth"] == {"eight": None, "twelve": 12}[name]
        assert run("fit", prepared, "--model", model).code == 0
        new = [source / "scratch", source / "good"]
        # One dark image alone does not say how many bits it has: the model knows.
        dark = source / "dark.png"
        if name == "eight":
            Image.fromarray(np.full((30, 40), 9, np.uint8)).save(dark)
        else:
            Image.fromarray(np.full((30, 40), round(9 / 255 * 4095), np.uint16)).save(dark)
        result = run("inspect", model, *new, dark, "--json")
        assert result.code == 0
        found[name] = [entry["score"] for entry in result.json["results"]]
    assert len(found["eight"]) == 15
    np.testing.assert_allclose(found["twelve"], found["eight"], rtol=1e-5)
    assert len(set(np.round(found["eight"], 3))) > 5


def test_16_bit_pictures_for_a_model_of_8_bit_pictures_are_right_or_refused(run, sources, tmp_path):
    prepared, model = tmp_path / "prepared", tmp_path / "model"
    run("prepare", "folder", sources["eight"], prepared, "--size", "40x30")
    run("fit", prepared, "--model", model)
    refused = run("inspect", model, sources["twelve"] / "scratch", "--json")
    assert refused.code == 2
    for advice in ("(12?)", "prepare --bit-depth N", "save this one with 8 bits"):
        assert advice in refused.err
    whole = tmp_path / "whole.png"  # all 16 bits are used, which leaves no question
    values = cv2.imread(str(sources["eight"] / "scratch/0.png")).astype(np.uint16) * 257
    cv2.imwrite(str(whole), values)
    both = run("inspect", model, whole, sources["eight"] / "scratch/0.png", "--json").json
    first, second = (entry["score"] for entry in both["results"])
    assert first == second
