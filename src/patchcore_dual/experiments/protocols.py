"""Protocols: which trials each experiment makes of a split (thesis 5.2, and beyond it)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.placement import join_groups
from patchcore_dual.data.splits import NORMAL, split_by_group
from patchcore_dual.data.subsets import choose_defects
from patchcore_dual.errors import DataError
from patchcore_dual.experiments.synthetic_source import can_make, display_name
from patchcore_dual.experiments.trials import Condition, Method, Trial
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

NO_DEFECTS = Condition(defects=0)
ALL_DEFECTS = Condition()

ProtocolName = Literal["table1", "table2", "generators", "few-shot", "unseen-kinds"]


def groups_of(manifest: Manifest) -> dict[str, str]:
    """The group of every image by name.

    Images that `prepare` found to be copies or near duplicates of each other share a group, and so
    do all images of their groups. An image without a group is a group of its own.

    >>> from pathlib import Path
    >>> from patchcore_dual.data.manifest import Sample
    >>> samples = (
    ...     Sample("a.png", "", "negative", "train", group="tile1"),
    ...     Sample("b.png", "", "negative", "train"),
    ... )
    >>> groups_of(Manifest(Path("prepared"), samples))
    {'a.png': 'tile1', 'b.png': 'b.png'}
    """
    groups = {s.image: s.group or s.image for s in manifest}
    by_source = {s.source: s.image for s in manifest if s.source}
    audit = manifest.preparation().get("audit", {})
    duplicates = [copies["images"] for copies in audit.get("copies", [])]
    duplicates += [(pair["first"], pair["second"]) for pair in audit.get("near_duplicates", [])]
    present = [[by_source[name] for name in names if name in by_source] for names in duplicates]
    return join_groups(groups, [images for images in present if len(images) > 1])


def resplit(manifest: Manifest, seed: int) -> Manifest:
    """The same real images, split again into halves by group, stratified by kind of defect.

    A synthetic image stays only where all the images that it was made from are training images.

    >>> from pathlib import Path
    >>> from patchcore_dual.data.manifest import Sample
    >>> samples = tuple(
    ...     Sample(f"{i}.png", "", "negative", "train", group=f"tile{i // 2}") for i in range(8)
    ... )
    >>> [s.split for s in resplit(Manifest(Path("prepared"), samples), seed=0)]
    ['train', 'train', 'test', 'test', 'train', 'train', 'test', 'test']

    Args:
        manifest: a prepared data set; its own split is ignored.
        seed: another seed gives another split.
    """
    samples = manifest.real().samples
    groups = groups_of(manifest)
    strata = [(s.kind or "defect") if s.is_defective else NORMAL for s in samples]
    sides = split_by_group([groups[s.image] for s in samples], strata, seed=seed)
    training = {s.image for s in samples if sides[groups[s.image]] == "train"}
    return manifest.where(
        s if s.is_synthetic else replace(s, split=sides[groups[s.image]])
        for s in manifest
        if not s.is_synthetic or (s.parents and s.parents <= training)
    )


def table1(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """The thesis's Table 1, in one trial.

    Its methods are PatchCore, PatchCoreDual exactly as the thesis specifies it, the recommended
    rule, and the recommended rule with synthetic defects.
    """
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
    yield Trial(ALL_DEFECTS, manifest, methods, pixels=True)


def table2(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """The thesis's Table 2: from 0 to 150 synthetic images, a trial for each of two rules.

    The rules are the thesis's own and the recommended one.
    """
    for method in (THESIS, RECOMMENDED):
        yield Trial(
            Condition(varied_method=method.name),
            manifest,
            tuple(_with_synthetic(method, generator, count) for count in TABLE2_SYNTHETIC),
            pixels=True,
        )


def generators(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """Synthetic images of every CPU generator, besides 0, 1, 5, 20 and all real defects.

    For each number of real defects there is one trial without synthetic images. Generators that
    borrow from real defects have no trials where there are none.
    """
    manifest = manifest.real()
    for count in _counts(GENERATORS_REAL, manifest):
        chosen = choose_defects(manifest, count, (), seed * 1000)
        yield Trial(Condition(count), chosen, (replace(RECOMMENDED, name=WITHOUT),))
        for name in CPU_GENERATORS:
            for n in GENERATORS_SYNTHETIC if can_make(name, chosen) else ():
                condition = Condition(count, generator=name, synthetic=n)
                yield Trial(condition, chosen, (_with_synthetic(RECOMMENDED, name, n),))


def _with_synthetic(method: Method, generator: str, count: int) -> Method:
    """The method with that many synthetic images, named after their number."""
    name = f"{count} synthetic" if count else WITHOUT
    return replace(method, name=name, generator=generator if count else "", synthetic=count)


def _counts(counts: tuple[int, ...], manifest: Manifest) -> list[int | None]:
    """The counts below the number of defective training images, followed by None for all."""
    available = len(manifest.part("train", "positive"))
    return [*(n for n in counts if n < available), None]


def few_shot(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """0, 1, 3, 5, 10, 20 and all defective training images, each number drawn several times.

    PatchCore uses no defects: it is fitted with 0 only.
    """
    manifest = manifest.real()
    counts = _counts(FEW_SHOT_COUNTS, manifest)
    for count in counts if len(counts) > 1 else [0]:
        methods = (PATCHCORE, RATIO, RECOMMENDED) if count == 0 else (RATIO, RECOMMENDED)
        for draw in range(draws if count else 1):
            # One seed per split and draw; within it, the first 5 images are among the first 10.
            chosen = choose_defects(manifest, count, (), seed * 1000 + draw)
            yield Trial(Condition(count, draw), chosen, methods)


def unseen_kinds(manifest: Manifest, seed: int, draws: int, generator: str) -> Iterator[Trial]:
    """Each kind of defect left out of training and tested, with all normal test images.

    Two more trials train on no defects (PatchCore, which uses none) and on all of them. A kind
    without test images has no trial.

    Raises:
        DataError: where fewer than two kinds are tested, or none of those is trained on.
    """
    manifest = manifest.real()
    test, trained = manifest.part("test"), {s.kind for s in manifest.part("train", "positive")}
    kinds = sorted({s.kind for s in test.part(label="positive")} - {""})
    if len(kinds) < 2 or not trained & set(kinds):
        raise DataError(
            f"{manifest.folder} names {len(kinds) or 'no'} kind{'s' * (len(kinds) != 1)} of defect "
            "in its test images; to leave one out and train on the others takes at least two."
        )
    yield Trial(NO_DEFECTS, choose_defects(manifest, 0, (), seed), (PATCHCORE,))
    yield Trial(ALL_DEFECTS, manifest, (RATIO, RECOMMENDED))
    for kind in kinds:
        others = choose_defects(manifest, None, {kind}, seed)
        chosen = others.where(
            s for s in others if s.split == "train" or not s.is_defective or s.kind == kind
        )
        yield Trial(Condition(left_out_kind=kind), chosen, (RATIO, RECOMMENDED))


PROTOCOLS = {
    "table1": table1,
    "table2": table2,
    "generators": generators,
    "few-shot": few_shot,
    "unseen-kinds": unseen_kinds,
}
