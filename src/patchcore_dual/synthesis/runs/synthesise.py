"""`synthesise`: make a set of synthetic defects from the real training images (thesis 4.2.3)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.synthesis.generator import Generator, SyntheticDefect, UnusableDefectError
from patchcore_dual.synthesis.runs.parents import Masks, Parents, Triplet
from patchcore_dual.synthesis.runs.run import FinishedImage, Run, enrol
from patchcore_dual.utils.checkpoint import writing_explained
from patchcore_dual.utils.locking import locked
from patchcore_dual.utils.progress import Progress, silent

ATTEMPTS = 20
SEEDS_PER_TRIPLET = 5  # generator seeds tried on one shared triplet before a new one is drawn


def synthesise(
    manifest: Manifest,
    generators: Sequence[Generator],
    count: int,
    seed: int,
    folder: Path,
    *,
    masks: Masks = "auto",
    allow_test_masks: bool = False,
    samples_per_triplet: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Sample, ...]:
    """Make `count` synthetic defects, or complete or extend a set that was begun.

    All randomness of image i is derived from the seed and i. The first 50 of 150 images are
    therefore the 50 of a smaller set, and an interrupted run ends with the same bytes as an
    uninterrupted one.

    >>> from tempfile import TemporaryDirectory
    >>> from patchcore_dual.data.reading import write_png
    >>> from patchcore_dual.synthesis import GENERATORS
    >>> with TemporaryDirectory() as folder:
    ...     prepared = Path(folder)
    ...     surface = np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8)
    ...     write_png(prepared / "0001.png", surface)
    ...     normal = Sample("0001.png", "", label="negative", split="train")
    ...     data = Manifest(prepared, (normal,))
    ...     strokes = GENERATORS["strokes"]()
    ...     rows = synthesise(data, [strokes], 2, 0, prepared / "synthetic" / "strokes")
    >>> [row.image for row in rows]
    ['synthetic/strokes/0001.png', 'synthetic/strokes/0002.png']
    >>> rows[0].origin, rows[0].label, sorted(rows[0].parents)
    ('strokes', 'positive', ['0001.png'])

    Args:
        manifest: a prepared data set; only its real training images become parents.
        generators: used in turn. One with a kind only borrows masks of that kind.
        count: number of images.
        seed: seed of all randomness, 0 or more.
        folder: for `0001.png`, `0001_mask.png` and so on. Sets with the same plan but another
            count share it: the smaller one is the beginning of the larger.
        masks: "real" moves masks of training defects, "drawn" draws them, "auto" is real where
            there are training defects with a mask.
        allow_test_masks: also borrow masks of test defects, as the thesis did (4.2.1). This leaks
            test information into training, and every row records it.
        samples_per_triplet: number of images of a generator that share normal image and mask.
        overwrite: discard the set that the folder holds; its rows leave the manifest first.
        progress: called after each image.

    Returns:
        The rows for the manifest, which `enrol` adds.

    Raises:
        DataError: where parents are missing, the folder holds something else, or no attempt gives
            a usable defect.
        SettingsError: for settings that are out of range or do not fit together.
    """
    _check(generators, count, seed, masks, samples_per_triplet)
    parents = Parents(manifest, generators, masks, allow_test_masks)
    plan = {
        "seed": seed,
        "generators": [_describe(generator) for generator in generators],
        "masks": masks,
        "allow_test_masks": allow_test_masks,
        "samples_per_triplet": samples_per_triplet,
        "size": manifest.size(),
        "parents": parents.about(),
    }
    with writing_explained(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder, "augment", "Or give another --name."):
        if overwrite and folder.resolve().is_relative_to(manifest.folder.resolve()):
            enrol(manifest.folder, folder, ())
        run = Run(folder, plan, overwrite)
        stage = "synthetic images"
        for index in range(count):
            if index not in run.finished:
                progress(stage, index, count)
                run.add(*_make_image(index, generators, seed, samples_per_triplet, parents))
        progress(stage, count, count)
    if missing := [i for i in range(count) if not run.is_complete(i)]:
        name = run.image_path(missing[0])
        raise DataError(f"{name} was removed meanwhile. Run the same command again.")
    return tuple(run.row(i, manifest.folder) for i in range(count))


def _make_image(
    index: int,
    generators: Sequence[Generator],
    seed: int,
    samples_per_triplet: int,
    parents: Parents,
) -> tuple[FinishedImage, np.ndarray, np.ndarray]:
    """Image `index` of a set: its journal entry, image and mask."""
    turn, position = divmod(index, len(generators))
    # The first image with this triplet: its index seeds the choice of the triplet.
    first = turn // samples_per_triplet * samples_per_triplet * len(generators) + position
    generator = generators[position]
    reasons: Counter[str] = Counter()
    for attempt in range(ATTEMPTS):
        choice = attempt if samples_per_triplet == 1 else attempt // SEEDS_PER_TRIPLET
        seeds = np.random.SeedSequence((seed, index, attempt))
        own_seed = int(seeds.generate_state(1)[0])
        try:
            triplet = parents.triplet(generator, np.random.default_rng((seed, first, choice)))
            defect = generator.generate(triplet.image, triplet.mask, own_seed)
        except UnusableDefectError as error:
            reasons[str(error)] += 1
            continue
        provenance = _provenance(index, own_seed, triplet, defect)
        if parents.allow_test_masks:
            provenance["test_masks"] = True
        entry = FinishedImage(
            index,
            kind=generator.kind or triplet.mask.kind,
            group="+".join(dict.fromkeys(s.group or s.image for s in triplet.parents)),
            origin=generator.name,
            provenance=provenance,
        )
        return entry, defect.image, defect.mask
    (reason, times), *_ = reasons.most_common(1)
    raise DataError(
        f"synthetic image {index + 1} ({generator.name}): none of {ATTEMPTS} attempts gave a "
        f"usable defect; {times} times: {reason}. Try another generator or other masks; finished "
        "images are kept."
    )


def _provenance(index: int, seed: int, triplet: Triplet, defect: SyntheticDefect) -> dict[str, Any]:
    return {
        **defect.provenance,
        "index": index,
        "seed": seed,
        "normal": triplet.normal.image,
        "defect": triplet.defect.image if triplet.defect else None,
        "parents": [s.image for s in triplet.parents],
        "mask": triplet.mask.provenance,
    }


def _check(
    generators: Sequence[Generator], count: int, seed: int, masks: str, samples_per_triplet: int
) -> None:
    if not generators:
        raise SettingsError("no generator was given.")
    if masks not in get_args(Masks):
        raise SettingsError(f"masks {masks!r}: use {', '.join(get_args(Masks))}.")
    for name, value, least in (
        ("count", count, 1),
        ("seed", seed, 0),
        ("samples_per_triplet", samples_per_triplet, 1),
    ):
        if value < least:
            raise SettingsError(f"{name} is {value}; give {least} or more.")


def _describe(generator: Generator) -> dict[str, Any]:
    """A generator's public attributes for the plan, without functions."""
    about: dict[str, Any] = {"name": generator.name}
    for name, value in vars(generator).items():
        if hasattr(value, "name_or_path"):  # a diffusion pipeline
            about[name] = f"{value.name_or_path}, {value.dtype}"
        elif is_dataclass(value) and not isinstance(value, type):
            about[name] = asdict(value)
        elif not callable(value) and not name.startswith("_"):
            about[name] = value
    return about
