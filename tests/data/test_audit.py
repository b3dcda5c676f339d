import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lookalikes import surface
from patchcore_dual.data.audit import audit_folder, build_report
from patchcore_dual.data.duplicates import (
    Fingerprint,
    digest,
    find_exact_duplicates,
    find_near_duplicates,
    thumbnail,
)
from patchcore_dual.data.layouts.recognise import read_source
from patchcore_dual.data.manifest import Label, Manifest, Sample, Split
from patchcore_dual.data.reading import read_image, write_png

MAGNETIC_TILE = Path(__file__).parents[3] / "shared/data/magnetic_tile"


def fingerprint(
    name: str, image: NDArray[np.uint8], label: Label = "negative", mask: str = ""
) -> Fingerprint:
    return Fingerprint(name, digest(image), thumbnail(image), label, mask)


def others(count: int = 12) -> list[Fingerprint]:
    return [fingerprint(f"other{i}", surface(50 + i, 200, 260)) for i in range(count)]


def recompressed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=30)
    return np.asarray(Image.open(buffer))


def shifted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.roll(image, (4, 3), (0, 1)))


CHANGES = {
    "recompressed": recompressed,
    "darker": lambda image: (image // 2).astype(np.uint8),
    "brighter": lambda image: np.clip(image * 1.2 + 10, 0, 255).astype(np.uint8),
    "shifted": shifted,
    "cut": lambda image: np.ascontiguousarray(image[3:, 2:]),
    "smaller": lambda image: np.asarray(Image.fromarray(image).resize((100, 130))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_a_near_duplicate(change: str) -> None:
    image = surface(1, 200, 260)
    prints = [*others(), fingerprint("a", image), fingerprint("b", CHANGES[change](image))]
    (pair,) = find_near_duplicates(prints)
    assert (pair.first, pair.second) == ("a", "b")
    assert not find_exact_duplicates(prints)


def test_different_parts_with_the_same_outline_are_not_joined() -> None:
    outline = np.zeros((260, 200, 3), np.int32)
    outline[40:220, 30:170] = 120
    images = [np.clip(surface(i, 200, 260) // 3 + outline, 0, 255) for i in range(20)]
    prints = [fingerprint(str(i), x.astype(np.uint8)) for i, x in enumerate(images)]
    assert find_near_duplicates(prints) == []


def test_copies_need_the_same_size_and_pixels() -> None:
    image = surface(1, 20, 30)
    prints = [
        fingerprint("a", image),
        fingerprint("b", image.reshape(20, 30, 3)),
        fingerprint("c", image, "positive", "m"),
    ]
    (copies,) = find_exact_duplicates(prints)
    assert copies.images == ("a", "c")
    assert copies.labels_differ
    assert copies.masks_differ
    assert str(copies) == "a = c (labels and masks differ)"


def test_few_images() -> None:
    assert find_near_duplicates([]) == []
    assert find_near_duplicates([fingerprint("a", surface(1, 20, 30))]) == []


def test_report_says_what_crosses_the_split() -> None:
    image = surface(1, 200, 260)
    prints = [
        *others(),
        fingerprint("a", image),
        fingerprint("b", image),
        fingerprint("c", recompressed(image)),
    ]
    copies, near = find_exact_duplicates(prints), find_near_duplicates(prints)
    assert not build_report(15, copies, near, {}).has_leakage
    same: dict[str, Split] = {"a": "train", "b": "train", "c": "train"}
    assert not build_report(15, copies, near, same, dict.fromkeys(same, "g")).has_leakage
    found = build_report(15, copies, near, {**same, "c": "test"}, dict.fromkeys(same, "g"))
    assert found.near_duplicates_across_split == near
    assert found.copies_across_split == []
    assert found.groups_across_split == ["g"]
    assert found.to_json()["leakage"] is True


def prepared(folder: Path, rows: list[tuple[str, Split, str, str, NDArray[np.uint8]]]) -> Path:
    samples = []
    for name, split, group, origin, image in rows:
        write_png(folder / f"{name}.png", image)
        samples.append(Sample(f"{name}.png", "", "negative", split, group=group, origin=origin))
    Manifest(folder, tuple(samples)).save()
    return folder


def test_prepared_folder(tmp_path: Path) -> None:
    image = surface(1, 60, 80)
    rows: list[tuple[str, Split, str, str, NDArray[np.uint8]]] = [
        (f"o{i}", "train" if i % 2 else "test", f"o{i}", "real", surface(90 + i, 60, 80))
        for i in range(8)
    ]
    rows.append(("a", "train", "a", "real", image))
    assert not audit_folder(prepared(tmp_path, rows)).has_leakage

    synthetic = ("s", "train", "a+b", "diag", recompressed(image))
    found = audit_folder(prepared(tmp_path, [*rows, synthetic]))  # type: ignore[list-item]
    assert found.near_duplicates == []

    leaking = [("a", "test", "a", "real", image), synthetic]
    found = audit_folder(prepared(tmp_path, [*rows[:-1], *leaking]))  # type: ignore[list-item]
    assert len(found.near_duplicates_across_split) == 1
    assert found.has_leakage


@pytest.mark.skipif(not MAGNETIC_TILE.is_dir(), reason=f"{MAGNETIC_TILE} is not on this machine")
def test_exposures_of_real_tiles_are_largely_found() -> None:
    samples = read_source("magnetic-tile", MAGNETIC_TILE).samples
    tile_of = {s.name: s.group for s in samples}
    near = find_near_duplicates([fingerprint(s.name, read_image(s.image)) for s in samples])
    n_right = sum(tile_of[p.first] == tile_of[p.second] for p in near)
    sizes = Counter(tile_of.values()).values()
    n_pairs = sum(n * (n - 1) // 2 for n in sizes)
    assert n_right / len(near) > 0.96
    assert n_right / n_pairs > 0.84
