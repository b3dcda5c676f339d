"""The audit: which images are the same or alike, and what lies on both sides of a split."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from patchcore_dual.data.duplicates import (
    DuplicateSet,
    Fingerprint,
    digest,
    find_exact_duplicates,
    fingerprint,
)
from patchcore_dual.data.manifest import Manifest, Sample, Split
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.near_duplicates import Likeness, NearDuplicatePair, find_likeness
from patchcore_dual.data.reading import read_image
from patchcore_dual.utils.progress import Progress, silent


@dataclass(frozen=True)
class AuditReport:
    """The findings of an audit. Images are named by their paths relative to the audited folder.

    Attributes:
        n_images: number of images compared.
        copies: sets of exact duplicates.
        near_duplicates: pairs of near duplicates.
        n_alike: number of other pairs that look alike, and count as different parts.
        alike: the first of these pairs by correlation.
        copies_across_split, near_duplicates_across_split: those of them that have images in both
            train and test.
        groups_across_split: groups that have images in both.
    """

    n_images: int
    copies: list[DuplicateSet] = field(default_factory=list)
    near_duplicates: list[NearDuplicatePair] = field(default_factory=list)
    n_alike: int = 0
    alike: list[NearDuplicatePair] = field(default_factory=list)
    copies_across_split: list[DuplicateSet] = field(default_factory=list)
    near_duplicates_across_split: list[NearDuplicatePair] = field(default_factory=list)
    groups_across_split: list[str] = field(default_factory=list)

    @property
    def has_leakage(self) -> bool:
        """Whether anything lies on both sides of the split; test scores are then too good."""
        return bool(
            self.copies_across_split
            or self.near_duplicates_across_split
            or self.groups_across_split
        )

    def to_json(self) -> dict[str, Any]:
        """All findings as plain values, and `leakage`."""
        return {**asdict(self), "leakage": self.has_leakage}

    def lines(self, limit: int = 20) -> list[str]:
        """The findings as lines of text, at most `limit` of each kind."""
        contradictory = [c for c in self.copies if c.masks_differ or c.labels_differ]
        sections: list[tuple[str, Sequence[object]]] = [
            ("sets of exact copies", self.copies),
            ("sets of exact copies whose masks or labels differ", contradictory),
            ("pairs of near duplicates", self.near_duplicates),
            ("sets of exact copies across the split", self.copies_across_split),
            ("pairs of near duplicates across the split", self.near_duplicates_across_split),
            ("groups on both sides of the split", self.groups_across_split),
        ]
        lines = []
        if self.n_alike:
            most = ", ".join(map(str, self.alike[:3]))
            lines.append(
                f"{self.n_alike} other pairs look alike and count as different parts. The most "
                f"alike: {most}. If some show the same part, say so when preparing (--groups)."
            )
        for title, findings in sections:
            lines.append(f"{len(findings)} {title}")
            lines += [f"  {finding}" for finding in findings[:limit]]
            if len(findings) > limit:
                lines.append(f"  … and {len(findings) - limit} more")
        return lines


def build_report(
    n_images: int,
    copies: list[DuplicateSet],
    likeness: Likeness,
    splits: Mapping[str, Split],
    groups: Mapping[str, str] | None = None,
) -> AuditReport:
    """The audit report for duplicates that have been found.

    Args:
        n_images: number of images compared.
        copies: sets of exact duplicates.
        likeness: near duplicates and look-alikes.
        splits: split of each image, by name. Images without one (dropped, or not split yet) are
            ignored when checking for leakage.
        groups: group of each image, by name; None leaves groups unchecked.
    """

    def crosses(images: Iterable[str]) -> bool:
        return len({splits[i] for i in images if i in splits}) > 1

    members: defaultdict[str, list[str]] = defaultdict(list)
    for image, group in (groups or {}).items():
        members[group].append(image)
    return AuditReport(
        n_images=n_images,
        copies=copies,
        near_duplicates=likeness.near,
        n_alike=likeness.n_alike,
        alike=likeness.alike,
        copies_across_split=[c for c in copies if crosses(c.images)],
        near_duplicates_across_split=[p for p in likeness.near if crosses((p.first, p.second))],
        groups_across_split=sorted(g for g, m in members.items() if g and crosses(m)),
    )


def audit_prepared(manifest: Manifest, progress: Progress = silent) -> AuditReport:
    """Audit a prepared data set from its files.

    A synthetic image resembles the normal image it was made from, so near duplicates that involve
    a synthetic image are reported only if they cross the split.

    Raises:
        ImageError: an image or mask cannot be read.
    """
    fingerprints = []
    for done, sample in enumerate(manifest):
        progress("auditing images", done, len(manifest))
        fingerprints.append(_fingerprint(manifest, sample))
    progress("auditing images", len(manifest), len(manifest))
    splits = {s.image: s.split for s in manifest}
    real = [f for f, s in zip(fingerprints, manifest, strict=True) if not s.is_synthetic]
    likeness = find_likeness(real, progress)
    if len(real) < len(fingerprints):
        likeness = replace(
            likeness, near=likeness.near + _crossing(fingerprints, manifest, progress)
        )
    groups = {s.image: s.group for s in manifest}
    copies = find_exact_duplicates(fingerprints)
    return build_report(len(fingerprints), copies, likeness, splits, groups)


def audit_folder(prepared: Path, progress: Progress = silent) -> AuditReport:
    """`audit_prepared` of the data set in a folder; DataError if there is none."""
    return audit_prepared(Manifest.load(prepared), progress)


def _fingerprint(manifest: Manifest, sample: Sample) -> Fingerprint:
    image = read_image(manifest.image_path(sample))
    mask_path = manifest.mask_path(sample)
    mask = digest(read_prepared_mask(mask_path)) if mask_path else ""
    return fingerprint(sample.image, image, sample.label, mask)


def _crossing(
    fingerprints: Sequence[Fingerprint], manifest: Manifest, progress: Progress
) -> list[NearDuplicatePair]:
    """The near duplicates of a synthetic and a test image."""
    pairs = zip(fingerprints, manifest, strict=True)
    test = {f.name for f, s in zip(fingerprints, manifest, strict=True) if s.split == "test"}
    both = [f for f, s in pairs if s.is_synthetic or s.split == "test"]
    near = find_likeness(both, progress).near
    return [p for p in near if (p.first in test) != (p.second in test)]
