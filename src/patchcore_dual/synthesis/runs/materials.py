"""Gates and contact sheet of a run: what they look at is read from the prepared data set."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.data.review import ACCEPT_NAME, REJECT_NAME, read_list
from patchcore_dual.features.defect_patches import EmbedImage
from patchcore_dual.synthesis.gates.gate_report import GateReport
from patchcore_dual.synthesis.gates.judge import Candidate, judge
from patchcore_dual.synthesis.generator import RealDefect
from patchcore_dual.synthesis.runs.contact_sheet import Card, draw_sheet, write_page
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.progress import Progress, silent

REAL_SHOWN = 5
GOOD_SHOWN_TO_GATES = 40


def known_defects(manifest: Manifest) -> tuple[Sample, ...]:
    """The real defective training images whose mask is known and not empty."""
    known = (s for s in manifest.real().part("train", "positive") if s.mask_is_known)
    return tuple(s for s in known if _mask(manifest, s).any())


def read_defect(manifest: Manifest, sample: Sample) -> RealDefect:
    """A defective image with its mask."""
    image = read_image(manifest.image_path(sample))
    return RealDefect(sample.image, image, _mask(manifest, sample), sample.kind)


def read_good(manifest: Manifest, count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and images of good training images, at most `count`, spread evenly over the list."""
    samples = manifest.real().part("train", "negative").samples
    for place in np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int):
        yield samples[place].image, read_image(manifest.image_path(samples[place]))


def read_candidates(manifest: Manifest, rows: Sequence[Sample]) -> list[Candidate]:
    """Synthetic images with the good ones they were made on; named by their files."""
    return [
        Candidate(
            Path(row.image).name,
            read_image(manifest.image_path(row)),
            _mask(manifest, row),
            read_image(manifest.folder / row.provenance["normal"]),
            row.provenance["normal"],
        )
        for row in rows
    ]


def judge_run(
    manifest: Manifest,
    rows: Sequence[Sample],
    embed: EmbedImage,
    bank: MemoryBank,
    progress: Progress = silent,
) -> GateReport:
    """Ask the gates of a run's images; `embed`, `bank` as for `judge`."""
    known = known_defects(manifest)
    return judge(
        read_candidates(manifest, rows),
        [read_defect(manifest, s) for s in known],
        [s.group or s.image for s in known],
        list(read_good(manifest, GOOD_SHOWN_TO_GATES)),
        embed,
        bank,
        progress,
    )


def notes_on(rows: Sequence[Sample], report: GateReport | None) -> list[str]:
    """What a person should know of a run, in sentences."""
    notes = []
    if any(row.used_test_mask for row in rows):
        notes.append(
            "Masks of test defects were allowed: figures on the test images will be flattered."
        )
    return notes + (report.lines() if report else [])


def cards_of(manifest: Manifest, rows: Sequence[Sample], report: GateReport | None) -> list[Card]:
    """Synthetic images as the contact sheet shows them."""
    judged = {j.name: j for j in report.judgements} if report else {}
    cards = []
    for row in rows:
        name = Path(row.image).name
        judgement = judged.get(name)
        cards.append(
            Card(
                name,
                read_image(manifest.image_path(row)),
                _mask(manifest, row),
                row.kind,
                _facts(row),
                judgement.gates if judgement else {},
                judgement.reasons if judgement else (),
            )
        )
    return cards


def write_review(
    manifest: Manifest,
    rows: Sequence[Sample],
    report: GateReport | None,
    run_folder: Path,
    title: str,
) -> None:
    """Write `sheet.png` and `sheet.html` into a run's folder, some real defects beside.

    And `gates.json`, what the gates said; that of an earlier run goes where they were not asked.
    """
    known = known_defects(manifest)
    places = np.linspace(0, len(known) - 1, min(REAL_SHOWN, len(known))).round().astype(int)
    defects = [read_defect(manifest, known[place]) for place in places]
    real = [Card(d.name, d.image, d.mask, d.kind) for d in defects]
    cards = cards_of(manifest, rows, report)
    picture = io.BytesIO()
    Image.fromarray(draw_sheet(cards, real, title)).save(picture, format="PNG", compress_level=1)
    write_atomically(run_folder / "sheet.png", picture.getvalue())
    accepted, rejected = (
        read_list(path) if path.is_file() else frozenset()
        for path in (run_folder / ACCEPT_NAME, run_folder / REJECT_NAME)
    )
    page = run_folder / "sheet.html"
    write_page(page, cards, real, title, notes_on(rows, report), accepted, rejected)
    gates = run_folder / "gates.json"
    if report:
        write_atomically(gates, json.dumps(report.to_json(), indent=1).encode())
    else:
        gates.unlink(missing_ok=True)


def _facts(row: Sample) -> dict[str, str]:
    """What a synthetic image was made of, in words."""
    about = row.provenance
    facts = {"on": Path(about["normal"]).name}
    if about["defect"]:
        facts["defect"] = Path(about["defect"]).name
    if "prompt" in about:
        facts["prompt"] = about["prompt"]
    return {**facts, "seed": str(about["seed"])}


def _mask(manifest: Manifest, sample: Sample) -> np.ndarray:
    return read_mask(manifest.folder / sample.mask)
