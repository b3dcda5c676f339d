"""Quality control of a run: its gates, and the contact sheet on which a person reviews it."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.reading import read_image
from patchcore_dual.data.review import ACCEPT_NAME, REJECT_NAME, read_list
from patchcore_dual.features import EmbedImage
from patchcore_dual.synthesis.gates.candidates import Candidate
from patchcore_dual.synthesis.gates.quality_gates import apply_gates
from patchcore_dual.synthesis.gates.report import QualityReport
from patchcore_dual.synthesis.real_defects import known_defects, read_defect
from patchcore_dual.synthesis.runs.contact_sheet import Card, draw_sheet, write_page
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.progress import Progress, silent

REAL_DEFECTS_ON_SHEET = 5
NORMAL_IMAGES_FOR_GATES = 40


def apply_gates_to_run(
    manifest: Manifest,
    rows: Sequence[Sample],
    embed: EmbedImage,
    bank: MemoryBank,
    progress: Progress = silent,
) -> QualityReport:
    """Apply the quality gates to the images of a run.

    Args:
        manifest: the data set that the run was made from.
        rows: of the run.
        embed: patch features of an image: uint8 `[H, W, 3]` to float32 `[h, w, d]`.
        bank: of normal training images.
        progress: called after each image.
    """
    known = known_defects(manifest)
    return apply_gates(
        _read_candidates(manifest, rows),
        [read_defect(manifest, s) for s in known],
        [s.group or s.image for s in known],
        list(_read_normals(manifest, NORMAL_IMAGES_FOR_GATES)),
        embed=embed,
        bank=bank,
        progress=progress,
    )


def notes_on(rows: Sequence[Sample], report: QualityReport | None) -> list[str]:
    """What a person should know of a run, in sentences."""
    notes = []
    if any(row.used_test_mask for row in rows):
        notes.append(
            "Masks of test defects were allowed: metrics on the test images will be optimistically "
            "biased."
        )
    return notes + (report.lines() if report else [])


def write_review(
    manifest: Manifest,
    rows: Sequence[Sample],
    report: QualityReport | None,
    folder: Path,
    title: str,
) -> None:
    """Write `sheet.png`, `sheet.html` and, with a report, `gates.json` into a run's folder.

    The sheets show some real defects for comparison. Without a report, the `gates.json` of an
    earlier run is removed.
    """
    known = known_defects(manifest)
    chosen = _spread_evenly(len(known), REAL_DEFECTS_ON_SHEET)
    defects = [read_defect(manifest, known[index]) for index in chosen]
    real = [Card(d.name, d.image, d.mask, d.kind) for d in defects]
    cards = _cards(manifest, rows, report)
    picture = io.BytesIO()
    Image.fromarray(draw_sheet(cards, real, title)).save(picture, format="PNG", compress_level=1)
    write_atomically(folder / "sheet.png", picture.getvalue())
    accepted, rejected = (
        read_list(path) if path.is_file() else frozenset()
        for path in (folder / ACCEPT_NAME, folder / REJECT_NAME)
    )
    write_page(
        folder / "sheet.html",
        cards,
        real,
        title,
        notes_on(rows, report),
        accepted=accepted,
        rejected=rejected,
    )
    gates = folder / "gates.json"
    if report:
        write_atomically(gates, json.dumps(report.to_json(), indent=1).encode())
    else:
        gates.unlink(missing_ok=True)


def _read_candidates(manifest: Manifest, rows: Sequence[Sample]) -> list[Candidate]:
    return [
        Candidate(
            name=Path(row.image).name,
            image=read_image(manifest.image_path(row)),
            mask=read_prepared_mask(manifest.folder / row.mask),
            normal=read_image(manifest.folder / row.provenance["normal"]),
            normal_name=row.provenance["normal"],
        )
        for row in rows
    ]


def _read_normals(manifest: Manifest, count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and images of at most `count` normal training images, spread evenly over the list."""
    samples = manifest.real().part("train", "negative").samples
    for index in _spread_evenly(len(samples), count):
        yield samples[index].image, read_image(manifest.image_path(samples[index]))


def _cards(manifest: Manifest, rows: Sequence[Sample], report: QualityReport | None) -> list[Card]:
    """The synthetic images as the contact sheet shows them."""
    results = {image.name: image for image in report.images} if report else {}
    cards = []
    for row in rows:
        name = Path(row.image).name
        result = results.get(name)
        cards.append(
            Card(
                name=name,
                image=read_image(manifest.image_path(row)),
                mask=read_prepared_mask(manifest.folder / row.mask),
                kind=row.kind,
                facts=_facts(row),
                gates=result.gates if result else {},
                left_out=result.reasons if result else (),
            )
        )
    return cards


def _facts(row: Sample) -> dict[str, str]:
    """What a synthetic image was made from, in words."""
    about = row.provenance
    facts = {"on": Path(about["normal"]).name}
    if about["defect"]:
        facts["defect"] = Path(about["defect"]).name
    if "prompt" in about:
        facts["prompt"] = about["prompt"]
    return {**facts, "seed": str(about["seed"])}


def _spread_evenly(length: int, count: int) -> list[int]:
    """At most `count` indices, spread evenly over a list of the given length."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist()
