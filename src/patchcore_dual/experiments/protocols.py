"""Protocols: which trials each experiment makes of a split (thesis 5.2, and beyond it)."""

from collections.abc import Iterator
from dataclasses import replace

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.placement import join_groups
from patchcore_dual.data.splits import NORMAL, split_by_group
from patchcore_dual.data.subsets import choose_defects
from patchcore_dual.errors import DataError
from patchcore_dual.experiments.runner import Method, Trial
from patchcore_dual.experiments.synthetic_source import can_make, display_name
from patchcore_dual.settings import PRESETS
from patchcore_dual.synthesis import CPU_GENERATORS

FEW_SHOT_COUNTS = (0, 1, 3, 5, 10, 20)
TABLE1_SYNTHETIC = 100  # 50 of each of two prompts, thesis 5.1.3
TABLE2_SYNTHETIC = (0, 50, 100, 150)
GENERATORS_REAL = (0, 1, 5, 20)
GENERATORS_SYNTHETIC = (50, 100, 150)

PATCHCORE = Method("PatchCore", "patchcore")
THESIS = Method("PatchCoreDual, thesis", PRESETS["thesis"]["scoring"], PRESETS["thesis"]["patches"])
RATIO = Method("Ratio", "ratio")
RECOMMENDED = Method("PatchCoreDual", "calibrated")
WITHOUT = "no synthetic"


def groups_of(manifest: Manifest) -> dict[str, str]:
    """The group of every image by name; images that the preparation found alike share one."""
    groups = {s.image: s.group or s.image for s in manifest}
    by_source = {s.source: s.image for s in manifest if s.source}
    found = manifest.preparation().get("audit", {})
    alike = [copies["images"] for copies in found.get("copies", [])]
    alike += [(pair["first"], pair["second"]) for pair in found.get("near_duplicates", [])]
    present = [[by_source[name] for name in names if name in by_source] for names in alike]
    return join_groups(groups, [images for images in present if len(images) > 1])


def resplit(manifest: Manifest, seed: int) -> Manifest:
    """The same real images split again by group into halves, stratified by kind of defect.

    Synthetic images stay where all that they were made from lies on the training side.
    """
    samples = manifest.real().samples
    groups = groups_of(manifest)
    strata = [(s.kind or "defect") if s.is_defective else NORMAL for s in samples]
    sides = split_by_group([groups[s.image] for s in samples], strata, seed=seed)
    taught = {s.image for s in samples if sides[groups[s.image]] == "train"}
    return manifest.where(
        s if s.is_synthetic else replace(s, split=sides[groups[s.image]])
        for s in manifest
        if not s.is_synthetic or (s.parents and s.parents <= taught)
    )


def table1(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """The thesis's Table 1: PatchCore, its reading of PatchCoreDual, and ours; with synthetic."""
    methods = (
        PATCHCORE,
        THESIS,
        RECOMMENDED,
        replace(
            RECOMMENDED,
            name=f"{RECOMMENDED.name} with {display_name(generator)}",
            generator=generator,
            synthetic=TABLE1_SYNTHETIC,
        ),
    )
    yield Trial("all defects", manifest, methods, pixels=True)


def table2(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """The thesis's Table 2: more and more synthetic images, for its reading and for ours."""
    for method in (THESIS, RECOMMENDED):
        yield Trial(
            method.name,
            manifest,
            tuple(_with_synthetic(method, generator, count) for count in TABLE2_SYNTHETIC),
            pixels=True,
        )


def generators(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """Every CPU generator, made from 0, 1, 5, 20 and all real defects, beside the same without.

    Those that borrow from real defects are left out where there are none.
    """
    manifest = manifest.real()
    available = len(manifest.part("train", "positive"))
    for count in [*(n for n in GENERATORS_REAL if n < available), available]:
        chosen = choose_defects(manifest, count, (), seed * 1000)
        real = f"{'all' if count == available else count} real"
        yield Trial(real, chosen, (replace(RECOMMENDED, name=WITHOUT),))
        for name in CPU_GENERATORS:
            if can_make(name, chosen):
                methods = (_with_synthetic(RECOMMENDED, name, n) for n in GENERATORS_SYNTHETIC)
                yield Trial(f"{real}, {name}", chosen, tuple(methods))


def _with_synthetic(method: Method, generator: str, count: int) -> Method:
    """The method with so many synthetic images, named after their number."""
    name = f"{count} synthetic" if count else WITHOUT
    return replace(method, name=name, generator=generator if count else "", synthetic=count)


def few_shot(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """0, 1, 3, 5, 10, 20 and all defective training images, each count drawn several times."""
    manifest = manifest.real()
    available = len(manifest.part("train", "positive"))
    counts = [n for n in FEW_SHOT_COUNTS if n < available]
    for count in [*counts, available]:
        methods = (PATCHCORE, RATIO, RECOMMENDED) if count == 0 else (RATIO, RECOMMENDED)
        for draw in range(draws if 0 < count < available else 1):
            # One seed per split and draw; within it, the first 5 images are among the first 10.
            chosen = choose_defects(manifest, count, (), seed * 1000 + draw)
            name = "all" if count == available else str(count)
            yield Trial(f"{name} defects, draw {draw}", chosen, methods)


def few_shot_count(trial: str) -> str:
    """How many defective training images a few-shot trial had, by its name; or "all"."""
    return trial.split(" ", 1)[0]


def unseen_kinds(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """Each kind of defect left out of training, and tested against the good test images.

    PatchCore knows no defects: once is enough. Kinds without test images are passed over.
    """
    manifest = manifest.real()
    test, trained = manifest.part("test"), {s.kind for s in manifest.part("train", "positive")}
    kinds = sorted({s.kind for s in test.part(label="positive")} - {""})
    if len(kinds) < 2 or not trained & set(kinds):
        raise DataError(
            f"{manifest.folder} names {len(kinds) or 'no'} kind{'s' * (len(kinds) != 1)} of defect "
            "in its test images; to leave one out and train on the others takes at least two."
        )
    none = choose_defects(manifest, 0, (), seed)
    yield Trial("no defects", none, (PATCHCORE,))
    yield Trial("all defects", manifest, (RATIO, RECOMMENDED))
    for kind in kinds:
        taught = choose_defects(manifest, None, {kind}, seed)
        chosen = taught.where(
            s for s in taught if s.split == "train" or not s.is_defective or s.kind == kind
        )
        yield Trial(kind, chosen, (RATIO, RECOMMENDED))


PROTOCOLS = {
    "table1": table1,
    "table2": table2,
    "generators": generators,
    "few-shot": few_shot,
    "unseen-kinds": unseen_kinds,
}
