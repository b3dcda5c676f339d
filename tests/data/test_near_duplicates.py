import csv
import io
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lookalikes import cloth_tile, pin_in_a_pose, surface
from patchcore_dual.data.duplicates import Fingerprint, find_exact_duplicates, fingerprint
from patchcore_dual.data.layouts.recognise import read_source
from patchcore_dual.data.near_duplicates import (
    ALIKE_CORRELATION,
    CANDIDATES,
    LISTED,
    _alike,
    find_likeness,
)
from patchcore_dual.data.reading import read_image

DATA = Path(__file__).parents[3] / "shared/data"
Rgb = NDArray[np.uint8]


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (DATA / name).is_dir(), reason=f"{DATA / name} is not on this machine"
    )


def prints(images: dict[str, Rgb]) -> list[Fingerprint]:
    return [fingerprint(name, image, "negative", "") for name, image in images.items()]


def near(images: dict[str, Rgb]) -> set[tuple[str, str]]:
    return {(pair.first, pair.second) for pair in find_likeness(prints(images)).near}


def others(count: int = 12) -> dict[str, Rgb]:
    return {f"other{i}": surface(50 + i, 200, 260) for i in range(count)}


def recompressed(image: Rgb, quality: int = 30) -> Rgb:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def smaller(image: Rgb) -> Rgb:
    return np.asarray(Image.fromarray(image).resize((image.shape[1] // 2, image.shape[0] // 2)))


def brighter(image: Rgb) -> Rgb:
    return np.clip(image * 1.2 + 10, 0, 255).astype(np.uint8)


def photographed_again(image: Rgb, seed: int = 0) -> Rgb:
    """Another exposure, moved by some pixels and turned by half a degree, with its own noise."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0.5, 1)
    turn[:, 2] += (4.3, -3.6)
    moved = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(moved * 0.7 + noise, 0, 255).astype(np.uint8)


CHANGES = {
    "recompressed": recompressed,
    "darker": lambda image: (image // 2).astype(np.uint8),
    "brighter": brighter,
    "shifted": lambda image: np.ascontiguousarray(np.roll(image, (4, 3), (0, 1))),
    "cut": lambda image: np.ascontiguousarray(image[3:, 2:]),
    "smaller": smaller,
    "photographed again": photographed_again,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_a_near_duplicate(change: str) -> None:
    image = surface(1, 200, 260)
    images = {**others(), "a": image, "b": CHANGES[change](image)}
    assert near(images) == {("a", "b")}
    assert not find_exact_duplicates(prints(images))


def test_several_exposures_of_several_parts_are_joined_part_by_part() -> None:
    images = {
        f"{part}-{shot}": np.clip(surface(part, 200, 260) * gain, 0, 255).astype(np.uint8)
        for part in range(8)
        for shot, gain in enumerate((1.0, 0.6, 0.4, 1.2))
    }
    found = near(images)
    assert all(a[0] == b[0] for a, b in found)
    assert len(found) == 8 * 6


def test_parts_that_look_alike_in_a_few_poses_are_not_joined() -> None:
    images = {str(i): pin_in_a_pose(i) for i in range(45)}
    likeness = find_likeness(prints(images))
    assert likeness.near == []
    assert likeness.n_alike > len(images)  # which is reported, in a list that does not grow
    assert len(likeness.alike) == LISTED
    correlations = [pair.correlation for pair in likeness.alike]
    assert correlations == sorted(correlations, reverse=True)


def test_look_alikes_are_counted_as_by_loops() -> None:
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(3, 16)), 15, axis=0) + 0.1 * rng.normal(size=(45, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    joined = {(0, 1): 1.0, (3, 40): 1.0}
    pairs = [
        (float(rows[j] @ rows[i]), (i, j))
        for i in range(45)
        for j in range(i + 1, 45)
        if rows[j] @ rows[i] > ALIKE_CORRELATION and (i, j) not in joined
    ]
    n_alike, first = _alike(rows, joined)
    assert n_alike == len(pairs) > 200
    assert [pair for _, pair in first] == [
        p for _, p in sorted(pairs, key=lambda x: -x[0])[:LISTED]
    ]


@pytest.mark.parametrize("change", [recompressed, brighter, smaller])
def test_a_copy_among_parts_that_look_alike_is_found(change) -> None:
    images = {str(i): pin_in_a_pose(i) for i in range(30)}
    quality = {"quality": 80} if change is recompressed else {}
    assert near({**images, "copy": change(images["7"], **quality)}) == {("7", "copy")}


def test_tiles_with_the_edge_of_a_cloth_are_not_joined() -> None:
    assert near({str(i): cloth_tile(i) for i in range(64)}) == set()


def test_one_part_under_a_drifting_lamp_is_not_joined() -> None:
    """Where all images show the same, none stands out."""
    part, tilt = surface(1, 160, 128).astype(float), np.linspace(-1, 1, 160)[None, :, None]
    rng = np.random.default_rng(0)
    shots = {
        str(i): np.clip(
            part * (1 + 0.15 * rng.normal() * tilt) + rng.normal(0, 3, part.shape), 0, 255
        ).astype(np.uint8)
        for i in range(40)
    }
    assert near(shots) == set()


def test_different_parts_with_the_same_outline_are_not_joined() -> None:
    outline = np.zeros((260, 200, 3), np.int32)
    outline[40:220, 30:170] = 120
    images = [np.clip(surface(i, 200, 260) // 3 + outline, 0, 255) for i in range(20)]
    assert near({str(i): x.astype(np.uint8) for i, x in enumerate(images)}) == set()


def test_few_images() -> None:
    image = surface(1, 200, 260)
    assert near({}) == near({"a": image}) == set()
    assert near({"a": image, "b": surface(2, 200, 260)}) == set()
    assert near({"a": image, "b": recompressed(image, 80)}) == {("a", "b")}
    assert near({"a": image, "b": recompressed(image, 80), "c": surface(2, 200, 260)}) == {
        ("a", "b")
    }


def test_comparisons_grow_with_the_images_and_are_reported() -> None:
    seen: list[tuple[str, int, int]] = []
    images = {str(i): surface(i, 40, 30) for i in range(3 * CANDIDATES)}
    find_likeness(prints(images), lambda *step: seen.append(step))
    assert len(seen) <= len(images) * CANDIDATES + 1
    assert {stage for stage, _, _ in seen} == {"finding near duplicates"}
    assert seen[-1][1:] == (len(images), len(images))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


@needs("magnetic_tile")
def test_real_tiles_under_several_exposures() -> None:
    """`tiles.csv` has names for 122 tiles, of which seven are each the same as another."""
    samples = read_source("magnetic-tile", DATA / "magnetic_tile").samples[::2]
    tile_of = {s.name: s.group for s in samples}
    found = near({s.name: read_image(s.image) for s in samples})
    n_right = sum(tile_of[a] == tile_of[b] for a, b in found)
    n_pairs = sum(n * (n - 1) // 2 for n in Counter(tile_of.values()).values())
    assert n_right / n_pairs > 0.9
    wrong = {tuple(sorted((tile_of[a], tile_of[b]))) for a, b in found} - {
        (t, t) for t in tile_of.values()
    }
    assert wrong <= {
        ("crack-003", "crack-005"),
        ("fray-007", "free-157"),
        ("free-001", "free-002"),
        ("free-010", "free-024"),
        ("free-014", "free-015"),
        ("free-018", "free-021"),
        ("free-169", "free-170"),
    }


# The cookies normal-1 and normal-2 are one, photographed twice.
EXPECTED = {
    "fabric": set(),
    "cookies": {("good/normal-1.jpg", "good/normal-2.jpg")},
    "moulded_toy": set(),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=needs(n)) for n in EXPECTED])
def test_real_parts_that_look_alike(name: str) -> None:
    samples = read_source("folder", DATA / name).samples
    images = {s.image.relative_to(DATA / name).as_posix(): read_image(s.image) for s in samples}
    assert near(images) == EXPECTED[name]


@needs("ball_screw")
def test_different_places_of_a_ball_screw_are_not_joined() -> None:
    folder = DATA / "ball_screw"
    with (folder / "groups.csv").open(newline="") as file:
        place_of = {row["image"]: row["group"] for row in csv.DictReader(file)}
    found = near({name: read_image(folder / name) for name in place_of})
    assert all(place_of[a] == place_of[b] for a, b in found)
