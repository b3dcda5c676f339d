"""Making a set of synthetic defects out of the real training images (thesis 4.2.3).

Everything random about image i comes from the seed and i, so the first 50 of 150 images are the
50 of a smaller set, and an interrupted run ends with the bytes of an uninterrupted one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.synthesis.generator import (
    MIN_CHANGED_PIXELS,
    AskedMask,
    Generator,
    RealDefect,
    SyntheticDefect,
    UnusableDefectError,
)
from patchcore_dual.synthesis.masks.borrowed import borrow_mask, draw_mask
from patchcore_dual.synthesis.masks.parts import part_region
from patchcore_dual.synthesis.runs.enrolment import enrol
from patchcore_dual.synthesis.runs.run import Entry, Run
from patchcore_dual.utils.progress import Progress, silent

Masks = Literal["auto", "real", "drawn"]

ATTEMPTS = 20
SEEDS_PER_TRIPLET = 5  # tried before images that share a triplet move on to another


@dataclass(frozen=True)
class _Triplet:
    """What an image is made of, the generator (a prompt) being the third."""

    normal: Sample
    canvas: np.ndarray
    defect: Sample | None
    mask: AskedMask


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
    """Make `count` synthetic defects, or finish a set that was begun or is to grow.

    Args:
        manifest: a prepared data set; only its real training images become parents.
        generators: take turns. One with a kind borrows masks of that kind alone.
        seed: of everything random.
        folder: gets `0001.png`, `0001_mask.png` and so on. Sets of the same plan and another
            count share it: the smaller one is the beginning of the larger.
        masks: "real" are those of training defects, moved; "drawn" are invented; "auto" is real
            where there are training defects with a mask.
        allow_test_masks: take masks of test defects too, as the thesis did (4.2.1). That leaks
            test information into training, and every row then says so.
        samples_per_triplet: so many images of a generator share good image and mask.
        overwrite: begin anew where the folder holds a set; its rows leave the manifest first.

    Returns: the rows for the manifest, which `enrol` adds.

    Raises DataError where parents are missing, a folder holds something else, or no attempt gives
    a usable defect; SettingsError for settings that do not fit together.
    """
    _check(generators, count, seed, masks, samples_per_triplet)
    parents = _Parents(manifest, generators, masks, allow_test_masks)
    plan = {
        "seed": seed,
        "generators": [_describe(generator) for generator in generators],
        "masks": masks,
        "allow_test_masks": allow_test_masks,
        "samples_per_triplet": samples_per_triplet,
        "size": manifest.size(),
        "parents": parents.about(),
    }
    if overwrite and folder.resolve().is_relative_to(manifest.folder.resolve()):
        enrol(manifest.folder, folder, ())
    run = Run(folder, plan, overwrite)
    stage = "synthetic images"
    for index in range(count):
        if index not in run.finished:
            progress(stage, index, count)
            run.add(*_make(index, generators, seed, samples_per_triplet, parents))
    progress(stage, count, count)
    if missing := [i for i in range(count) if not run.is_complete(i)]:
        name = run.image_path(missing[0])
        raise DataError(f"{name} was removed meanwhile. Run the same command again.")
    return tuple(_row(run, run.finished[i], manifest.folder) for i in range(count))


class _Parents:
    """The good images to paint on, and the real defects that masks are borrowed from."""

    def __init__(
        self,
        manifest: Manifest,
        generators: Sequence[Generator],
        masks: Masks,
        allow_test_masks: bool,
    ) -> None:
        self.manifest, self.allow_test_masks = manifest, allow_test_masks
        real = manifest.real()
        self.normals = real.part("train", "negative").samples
        if not self.normals:
            raise DataError(
                f"{manifest.folder}: the train split has no good images to put defects on. "
                "Prepare it with some."
            )
        defective = real.part(None if allow_test_masks else "train", "positive")
        self.donors = () if masks == "drawn" else tuple(filter(self._is_usable, defective))
        for generator in generators:
            self._check_donors(generator, masks)

    def donors_for(self, generator: Generator) -> tuple[Sample, ...]:
        return tuple(s for s in self.donors if generator.kind in (None, s.kind))

    def about(self) -> dict[str, Any]:
        """What the plan keeps of them."""
        return {
            "good images": len(self.normals),
            "defective images": len(self.donors),
            "fingerprint": self.manifest.where([*self.normals, *self.donors]).sha256()[:16],
        }

    def triplet(self, generator: Generator, rng: np.random.Generator) -> _Triplet:
        """A good image and a mask on it; UnusableDefectError where the mask found no room."""
        normal = self.normals[int(rng.integers(len(self.normals)))]
        canvas = read_image(self.manifest.image_path(normal))
        part = part_region(canvas)
        donors = self.donors_for(generator)
        if not donors:
            return _Triplet(normal, canvas, None, draw_mask(canvas, part, rng))
        defect = donors[int(rng.integers(len(donors)))]
        image, mask = self._read_defect(defect)
        asked = borrow_mask(RealDefect(defect.image, image, mask, defect.kind), canvas, part, rng)
        if defect.split == "test":  # its mask alone: no generator may see its surface
            asked = replace(asked, donor=None, matrix=None)
        return _Triplet(normal, canvas, defect, asked)

    def _read_defect(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        folder = self.manifest.folder
        return read_image(folder / sample.image), read_mask(folder / sample.mask)

    def _is_usable(self, sample: Sample) -> bool:
        """Whether a mask has a shape to borrow: more than a speck, less than the whole image."""
        if not sample.mask_is_known:
            return False
        mask = read_mask(self.manifest.folder / sample.mask)
        return MIN_CHANGED_PIXELS <= mask.sum() < mask.size

    def _check_donors(self, generator: Generator, masks: Masks) -> None:
        """Raise where a generator finds no real defect to borrow from and cannot do without."""
        if generator.needs_donor and self.allow_test_masks:
            raise SettingsError(
                f"{generator.name} takes surface from real defects, and test defects may lend "
                "their masks at most. Leave test masks out, or use another generator."
            )
        if self.donors_for(generator):
            return
        if generator.needs_donor and masks == "drawn":
            raise SettingsError(
                f"{generator.name} takes surface from real defects, so drawn masks are no use to "
                "it. Use --masks real, or another generator."
            )
        if masks == "drawn" or (not self.donors and masks == "auto" and not generator.needs_donor):
            return
        if self.donors:
            kinds = ", ".join(sorted({s.kind for s in self.donors if s.kind}))
            what = f"no training defect of the kind {generator.kind!r} has a usable mask"
            found = f" (there are: {kinds})" if kinds else ", and kinds have no names here"
        else:
            what, found = "no training defect has a usable mask", ""
        offer = (
            "Mark defects and prepare again, or use a generator that draws, as strokes."
            if generator.needs_donor
            else "Draw masks instead, with --masks drawn."
        )
        raise DataError(f"{self.manifest.folder}: {what}{found}. {offer}")


def _make(
    index: int, generators: Sequence[Generator], seed: int, shared: int, parents: _Parents
) -> tuple[Entry, np.ndarray, np.ndarray]:
    """Image `index` of a set, and what the journal says of it."""
    turn, place = index // len(generators), index % len(generators)
    first = turn // shared * shared * len(generators) + place  # the image that leads its triplet
    generator = generators[place]
    reasons: Counter[str] = Counter()
    for attempt in range(ATTEMPTS):
        choice = attempt if shared == 1 else attempt // SEEDS_PER_TRIPLET
        seeds = np.random.SeedSequence((seed, index, attempt))
        own_seed = int(seeds.generate_state(1)[0])
        try:
            triplet = parents.triplet(generator, np.random.default_rng((seed, first, choice)))
            defect = generator.generate(triplet.canvas, triplet.mask, own_seed)
        except UnusableDefectError as error:
            reasons[str(error)] += 1
            continue
        entry = _entry(index, own_seed, generator, triplet, defect, parents.allow_test_masks)
        return entry, defect.image, defect.mask
    (reason, times), *_ = reasons.most_common(1)
    raise DataError(
        f"synthetic image {index + 1} ({generator.name}): none of {ATTEMPTS} attempts gave a "
        f"usable defect; {times} times: {reason}. Try another generator or other masks; images "
        "that are finished are kept."
    )


def _entry(
    index: int,
    seed: int,
    generator: Generator,
    triplet: _Triplet,
    defect: SyntheticDefect,
    test_masks: bool,
) -> Entry:
    parents = [s for s in (triplet.normal, triplet.defect) if s is not None]
    groups = dict.fromkeys(s.group or s.image for s in parents)
    provenance = {
        **defect.provenance,
        "index": index,
        "seed": seed,
        "normal": triplet.normal.image,
        "defect": triplet.defect.image if triplet.defect else None,
        "parents": [s.image for s in parents],
        "mask": triplet.mask.provenance,
        **({"test_masks": True} if test_masks else {}),
    }
    kind = generator.kind or triplet.mask.kind
    return Entry(index, kind, "+".join(groups), generator.name, provenance)


def _row(run: Run, entry: Entry, prepared: Path) -> Sample:
    return Sample(
        image=_relative(run.image_path(entry.index), prepared),
        mask=_relative(run.mask_path(entry.index), prepared),
        label="positive",
        split="train",
        kind=entry.kind,
        group=entry.group,
        origin=entry.origin,
        provenance=entry.provenance,
    )


def _relative(path: Path, prepared: Path) -> str:
    path, prepared = path.resolve(), prepared.resolve()
    return (path.relative_to(prepared) if path.is_relative_to(prepared) else path).as_posix()


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
    """A generator's public attributes, for the plan; functions aside."""
    about: dict[str, Any] = {"name": generator.name}
    for name, value in vars(generator).items():
        if hasattr(value, "name_or_path"):  # a diffusion pipeline
            about[name] = f"{value.name_or_path}, {value.dtype}"
        elif is_dataclass(value) and not isinstance(value, type):
            about[name] = asdict(value)
        elif not callable(value) and not name.startswith("_"):
            about[name] = value
    return about
