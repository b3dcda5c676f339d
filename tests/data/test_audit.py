import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalikes import surface
from patchcore_dual.data.audit import audit_folder, build_report
from patchcore_dual.data.duplicates import Fingerprint, find_exact_duplicates, fingerprint
from patchcore_dual.data.manifest import Manifest, Sample, Split
from patchcore_dual.data.near_duplicates import find_likeness
from patchcore_dual.data.reading import write_png


def others(count: int = 12) -> list[Fingerprint]:
    return [
        fingerprint(f"other{i}", surface(50 + i, 200, 260), "negative", "") for i in range(count)
    ]


def recompressed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=30)
    return np.asarray(Image.open(buffer))


def test_copies_need_the_same_size_and_pixels() -> None:
    image = surface(1, 20, 30)
    prints = [
        fingerprint("a", image, "negative", ""),
        fingerprint("b", image.reshape(20, 30, 3), "negative", ""),
        fingerprint("c", image, "positive", "m"),
    ]
    (copies,) = find_exact_duplicates(prints)
    assert copies.images == ("a", "c")
    assert copies.labels_differ
    assert copies.masks_differ
    assert str(copies) == "a = c (labels and masks differ)"


def test_report_says_what_crosses_the_split() -> None:
    image = surface(1, 200, 260)
    prints = [
        *others(),
        fingerprint("a", image, "negative", ""),
        fingerprint("b", image, "negative", ""),
        fingerprint("c", recompressed(image), "negative", ""),
    ]
    copies, near = find_exact_duplicates(prints), find_likeness(prints)
    assert not build_report(15, copies, near, {}).has_leakage
    same: dict[str, Split] = {"a": "train", "b": "train", "c": "train"}
    assert not build_report(15, copies, near, same, dict.fromkeys(same, "g")).has_leakage
    found = build_report(15, copies, near, {**same, "c": "test"}, dict.fromkeys(same, "g"))
    assert found.near_duplicates_across_split == near.near != []
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
