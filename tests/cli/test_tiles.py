"""Large images by tiles, from `prepare` to `teach`, as a user runs it."""

import json

import numpy as np
import pytest

from lookalikes import save, scratch, surface
from patchcore_dual.data.reading import read_image
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features import adapted

WIDTH, HEIGHT = 512, 384


def part(number):
    """An image whose halves are of two surfaces, so that a place has its own look."""
    image = surface(number, WIDTH, HEIGHT)
    image[:, WIDTH // 2 :] //= 2
    return image


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    for number in range(6):
        save(folder / f"train/good/{number}.png", part(number))
        save(folder / f"test/good/{number}.png", part(50 + number))
    for split, first in (("train", 100), ("test", 150)):
        for number in range(3):
            image = part(first + number)
            # Where tiles meet, too.
            mask = scratch(image, (180 + 60 * number, 120 + 70 * number, 40, 12))
            save(folder / f"{split}/scratch/{number}.png", image)
            save(folder / f"{split}/masks/scratch/{number}.png", mask)
    return folder


def test_tiles_from_prepare_to_teach(run, photographs, tmp_path):
    prepared, model = tmp_path / "prepared", tmp_path / "model"
    assert run("prepare", "folder", photographs, prepared, "--size", "native").code == 0
    assert run("augment", "strokes", prepared, "--count", 2).code == 0
    fitted = run("fit", prepared, "--model", model, "--tile", "256x256", "--overlap", 190)
    assert fitted.code == 0, fitted.out + fitted.err
    assert "Tiles of 256x256 pixels that overlap by 192" in " ".join(
        (fitted.out + fitted.err).split()
    )
    settings = json.loads((model / "model.json").read_text())["settings"]
    assert (settings["tile"], settings["overlap"]) == ([256, 256], 190)
    assert run("evaluate", model, prepared).code == 0

    bad = sorted((photographs / "test/scratch").glob("*.png"))
    inspected = run("inspect", model, *bad, "--json").json["results"]
    for number, one in enumerate(inspected):
        assert one["verdict"] == "reject"
        region = one["regions"][0]
        middle = region["x"] + region["width"] / 2, region["y"] + region["height"] / 2
        assert middle == pytest.approx((200 + 60 * number, 126 + 70 * number), abs=24)

    tiled = PatchCoreDual.load(model)
    once = PatchCoreDual.load(model)
    once.settings = once.settings.model_copy(update={"tile": None, "overlap": None})
    assert adapted(once.embedder, once.settings) is once.embedder
    for path in bad:
        one, other = tiled.inspect(path), once.inspect(path)
        assert one.score == pytest.approx(other.score, rel=0.02)
        spread = np.ptp(other.anomaly_map)
        np.testing.assert_allclose(one.anomaly_map, other.anomaly_map, atol=0.03 * spread)
        assert one.uncertainty == pytest.approx(other.uncertainty, rel=0.1, abs=0.02)
        whole = tiled.embed(read_image(path))
        assert whole.shape == once.embed(read_image(path)).shape

    image = part(333)
    mask = scratch(image, (300, 200, 40, 12))
    save(tmp_path / "new.png", image)
    save(tmp_path / "mask.png", mask)
    taught = run(
        *("teach", model, tmp_path / "new.png", "--defect"),
        *("--mask", tmp_path / "mask.png", "--kind", "scratch"),
    )
    assert taught.code == 0, taught.out + taught.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--tile", "1024x256"), "a tile of 1024x256 is larger than the images, which are 512x384"),
        (("--tile", "256"), "use WIDTHxHEIGHT"),
        (("--tile", "256x256", "--overlap", "256"), "leaves nothing of tiles of 256x256"),
        (("--overlap", "64"), "set tile too"),
    ],
)
def test_tiles_that_cannot_be(run, photographs, tmp_path, options, says):
    prepared = tmp_path / "prepared"
    assert run("prepare", "folder", photographs, prepared, "--size", "native").code == 0
    refused = run("fit", prepared, "--model", tmp_path / "model", *options)
    assert refused.code == 2
    assert says in " ".join((refused.out + refused.err).split())
    assert not (tmp_path / "model").exists()
