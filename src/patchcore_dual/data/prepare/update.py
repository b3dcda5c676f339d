"""Adding images to a prepared folder, whose splits, groups and synthetic sets stay as they are."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from patchcore_dual.data.audit import build_report
from patchcore_dual.data.duplicates import find_exact_duplicates
from patchcore_dual.data.layouts.layout import some
from patchcore_dual.data.layouts.recognise import read_source
from patchcore_dual.data.manifest import MANIFEST_NAME, PREPARATION_NAME, Manifest
from patchcore_dual.data.mask_rule import ASK, MaskRule
from patchcore_dual.data.near_duplicates import find_likeness
from patchcore_dual.data.prepare.aligning import AlignmentRule, aligner_of
from patchcore_dual.data.prepare.commit import Commit, following
from patchcore_dual.data.prepare.comparison import Comparison, compare
from patchcore_dual.data.prepare.gathering import gather
from patchcore_dual.data.prepare.groups import (
    GroupRule,
    rule_with_split,
    stored_rule,
    with_groups,
)
from patchcore_dual.data.prepare.placement import SplitSettings, settle_copies
from patchcore_dual.data.prepare.placement_of_new import place_new
from patchcore_dual.data.prepare.preparation import check_paths, describe_split, to_text
from patchcore_dual.data.prepare.sizes import size_notes
from patchcore_dual.data.prepare.summary import PreparationSummary, count, spread
from patchcore_dual.data.prepare.writing import Size, write_all
from patchcore_dual.data.sample import Sample
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.progress import Progress, silent
from patchcore_dual.utils.staging import folder_beside


def update(
    layout: str,
    source: Path,
    prepared: Path,
    *,
    size: str = "",
    split: SplitSettings | None = None,
    groups: GroupRule | None = None,
    bit_depth: int | None = None,
    skip_unreadable: bool = False,
    masks: MaskRule = ASK,
    align: AlignmentRule | None = None,
    progress: Progress = silent,
) -> PreparationSummary:
    """Add the images of a data set that a prepared folder does not have yet.

    The images that it has keep their files, splits and groups, and synthetic sets and their reviews
    stay. Masks that were added or changed are taken. Images that are no longer in the data set are
    kept. The folder changes at the end, or not at all.

    Args:
        layout, source, skip_unreadable, masks, progress: as for `prepare`.
        prepared: the folder to add to.
        size: that of the folder, "WxH", "native", or "auto" where that of the photographs was kept.
            It may be left out, as `split` and
            `bit_depth` may, unless the split came from a file.
        align: that of the folder, whose reference and limits stay; it may be left out too.
        groups: likewise; a file of groups has to name all images of the data set, and may name
            those of the folder that the data set does not have any more.

    Returns:
        The summary of the whole folder, which `preparation.json` records too.

    Raises:
        DataError: the data cannot be used, or images are not those that were prepared under the
            same names.
        SettingsError: the settings are not those of the folder.
    """
    source, prepared = source.resolve(), prepared.resolve()
    check_paths(source, prepared)
    Manifest.load(prepared)  # before a folder is made beside it
    with folder_beside(prepared, MANIFEST_NAME) as staging:
        before = Manifest.load(prepared, with_rejected=True)
        facts = before.preparation()
        bit_depth = _check_settings(prepared, facts, layout, size, bit_depth)
        _check_alignment(prepared, facts, align or AlignmentRule())
        aligner = aligner_of(before)
        split_file = split.file if split and facts["split"]["by"] == "file" else None
        rule = rule_with_split(groups or GroupRule(), split_file)
        rule = stored_rule(prepared, facts, rule)
        found = read_source(layout, source, masks)
        former = [s.source for s in before.real() if s.source]
        found = with_groups(found, source, layout, rule, former)
        split = _split(prepared, facts, split, found.has_official_split)
        gathered = gather(found, source, bit_depth, skip_unreadable, progress)
        scans, bit_depth = gathered.scans, gathered.bit_depth
        old = compare(before, scans, before.size(), bit_depth, progress, aligner)
        prints = [s.fingerprint for s in scans]
        likeness = find_likeness([*old.missing, *prints], progress)
        copies = find_exact_duplicates(prints)
        settled, copy_notes = settle_copies(scans, copies)
        placed, dropped = place_new(
            old.new,
            old.rows,
            old.raw_groups,
            settled,
            likeness.near,
            found.has_official_split,
            split,
        )
        added, _, not_aligned = write_all(
            placed, staging, before.size(), bit_depth, progress, aligner
        )
        commit = Commit(before, staging, aligner)
        for change in old.changes:
            commit.stage(change, bit_depth)
        real = [*following(before.real().samples, old.changes), *added]
        summary = PreparationSummary(
            prepared=prepared,
            layout=layout,
            size=str(facts.get("size", "native")),
            size_by=str(facts.get("size_by", "user")),
            split=facts["split"],
            groups=facts.get("groups"),
            counts=count(real),
            original_width=spread([s.width for s in scans]),
            original_height=spread([s.height for s in scans]),
            defect_area=spread([s.defect_area for s in scans if s.defect_area]),
            defect_share=spread([s.defect_share for s in scans if s.defect_area]),
            n_unknown_masks=sum(not s.mask_is_known for s in real),
            n_groups=len({s.group for s in real}),
            n_crops=commit.count_crops(old.changes),
            dropped_copies=dropped,
            skipped={**gathered.skipped, **not_aligned},
            bit_depth=bit_depth,
            notes=[
                *_notes(before, old, added, gathered.skipped),
                *found.notes,
                *copy_notes,
                *gathered.notes,
                *_size_notes(placed, before.size()),
            ],
            audit=build_report(
                len(scans) + len(old.missing),
                copies,
                likeness,
                {s.source or s.image: s.split for s in real},
            ),
            alignment=facts.get("alignment"),
            moves=facts.get("moves"),
            roi=facts.get("roi"),
        )
        if added or old.changes:
            commit.make(old.changes, added, to_text(summary))
    return summary


def _check_settings(
    prepared: Path, facts: dict[str, Any], layout: str, size: str, bit_depth: int | None
) -> int | None:
    """The bit depth of the folder, after a check that it was prepared with these settings."""
    if "layout" not in facts or "split" not in facts:
        raise DataError(
            f"{prepared} has no {PREPARATION_NAME} that says how it was prepared, so that nothing "
            "can be added to it. Prepare another folder."
        )
    keeps_photographs = size == "auto" and facts.get("size_by") == "photographs"
    stored = {
        "layout": facts["layout"],
        "--size": "auto" if keeps_photographs else facts.get("size", "native"),
        "--bit-depth": facts.get("bit_depth"),
    }
    asked = {"layout": layout, "--size": size, "--bit-depth": bit_depth}
    for name, value in asked.items():
        if value and stored[name] and value != stored[name]:
            raise SettingsError(
                f"{name} is {value}, but {prepared} was prepared with {stored[name]}, and all its "
                "images have to be alike. Leave it out, or prepare another folder."
            )
    return bit_depth or facts.get("bit_depth")


def _check_alignment(prepared: Path, facts: dict[str, Any], asked: AlignmentRule) -> None:
    stored = facts.get("alignment") or {"mode": "none"}
    if asked.mode not in ("none", stored["mode"]):
        raise SettingsError(
            f"--align is {asked.mode}, but {prepared} was prepared with {stored['mode']}, and all "
            "its images have to be alike. Leave it out, or prepare another folder."
        )
    own = {"max_shift": asked.max_shift, "max_turn": asked.max_turn}
    if asked.mode != "none" and (asked.reference or any(stored[k] != own[k] for k in own)):
        raise SettingsError(
            f"new images are aligned as {prepared} was. Leave --align-to, --max-shift and "
            "--max-turn out."
        )


def _split(
    prepared: Path, facts: dict[str, Any], asked: SplitSettings | None, is_official: bool
) -> SplitSettings:
    """The settings by which new images are split."""
    stored = facts["split"]
    if stored["by"] == "file":
        if asked is None or asked.file is None:
            raise SettingsError(
                f"{prepared} was split by the file {stored['file']}. Give it again with "
                "--split-file, with a line for each new group."
            )
        return asked
    if (stored["by"] == "data set") != is_official:
        raise DataError(
            f"{prepared} was split by {stored['by']}, but this data set has "
            f"{'a' if is_official else 'no'} split of its own (train/ and test/). Arrange it as it "
            "was, or prepare another folder."
        )
    if asked is not None and describe_split(asked, is_official) != stored:
        given = ", ".join(f"{name} {value}" for name, value in stored.items())
        raise SettingsError(
            f"{prepared} was split otherwise ({given}), and an update keeps its split. Leave the "
            "options of the split out."
        )
    return SplitSettings(stored.get("train_fraction", 0.5), stored.get("seed", 0))


def _size_notes(placed: Sequence[Any], size: Size | None) -> list[str]:
    return size_notes([p.scan.original for p in placed], *(size or (None, None))) if placed else []


def _notes(
    before: Manifest, old: Comparison, added: Sequence[Sample], unreadable: Container[str]
) -> list[str]:
    """What was added, what changed, and what stays, a sentence each."""
    if not added and not old.changes:
        notes = [f"Nothing to add: {len(old.rows)} images were there before, and stay as they are."]
        return notes + _staying(before, old, unreadable)
    n_train = sum(s.split == "train" for s in added)
    notes = [
        f"{len(added)} images added, {n_train} to train and {len(added) - n_train} to test; "
        f"{len(old.rows)} were there before and stay on their sides."
    ]
    moved = [change for change in old.changes if change.is_moved]
    masked = [change.scan.name for change in old.changes if change.has_new_mask]
    if moved:
        names = some(f"{c.before.source or c.before.image} as {c.after.source}" for c in moved)
        notes.append(f"{len(moved)} images found under new names, whose kinds count: {names}.")
    if masked:
        notes.append(
            f"{len(masked)} masks are new or changed: {some(masked)}. Former masks are kept beside "
            "them, as NAME-previous.png."
        )
    changed = {change.before.image for change in old.changes}
    offspring = before.with_offspring(changed) - changed
    if offspring:
        notes.append(
            f"WARNING: {len(offspring)} synthetic images were made from images that have changed: "
            f"{some(sorted(offspring))}. Look at them again."
        )
    return notes + _staying(before, old, unreadable)


def _staying(before: Manifest, old: Comparison, unreadable: Container[str]) -> list[str]:
    notes = []
    synthetic = before.synthetic()
    if len(synthetic):
        sets = sorted({Path(s.image).parent.as_posix() for s in synthetic})
        notes.append(f"{len(synthetic)} synthetic images stay, in {some(sets)}.")
    missing = [one.name for one in old.missing]
    damaged = [name for name in missing if name in unreadable]
    gone = [name for name in missing if name not in unreadable]
    if damaged:
        notes.append(
            f"{len(damaged)} images cannot be read any more, and stay as they were prepared: "
            f"{some(damaged)}."
        )
    if gone:
        notes.append(
            f"{len(gone)} images are not in the data set any more, and stay: {some(gone)}."
        )
    if old.without_mask:
        names = some(old.without_mask)
        notes.append(
            f"{len(old.without_mask)} masks are not in the data set any more, and stay: {names}."
        )
    return notes
