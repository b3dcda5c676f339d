"""The audit: exact copies, near duplicates, and which of them lie on both sides of a split."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from patchcore_dual.data.duplicates import (
    CopySet,
    Fingerprint,
    NearPair,
    digest,
    find_copies,
    find_near_duplicates,
    thumbnail,
)
from patchcore_dual.data.manifest import Manifest, Sample, Split
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.utils.progress import Progress, silent


@dataclass(frozen=True)
class AuditReport:
    """What an audit found. Images are named by their path relative to the audited folder."""

    n_images: int
    copies: list[CopySet] = field(default_factory=list)
    near_duplicates: list[NearPair] = field(default_factory=list)
    copies_across_split: list[CopySet] = field(default_factory=list)
    near_duplicates_across_split: list[NearPair] = field(default_factory=list)
    groups_across_split: list[str] = field(default_factory=list)

    @property
    def has_leakage(self) -> bool:
        """Whether the test side holds what the training side has seen."""
        return bool(
            self.copies_across_split
            or self.near_duplicates_across_split
            or self.groups_across_split
        )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "leakage": self.has_leakage}

    def lines(self, limit: int = 20) -> list[str]:
        """The findings for people, at most `limit` of each sort."""
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
        for title, findings in sections:
            lines.append(f"{len(findings)} {title}")
            lines += [f"  {finding}" for finding in findings[:limit]]
            if len(findings) > limit:
                lines.append(f"  … and {len(findings) - limit} more")
        return lines


def report(
    n_images: int,
    copies: list[CopySet],
    near: list[NearPair],
    splits: Mapping[str, Split],
    groups: Mapping[str, str] | None = None,
) -> AuditReport:
    """Put findings together with `splits` (and `groups`) of the images, by name.

    An image without a split (dropped, or not split yet) crosses nothing.
    """

    def crosses(images: Iterable[str]) -> bool:
        return len({splits[i] for i in images if i in splits}) > 1

    members: defaultdict[str, list[str]] = defaultdict(list)
    for image, group in (groups or {}).items():
        members[group].append(image)
    return AuditReport(
        n_images=n_images,
        copies=copies,
        near_duplicates=near,
        copies_across_split=[c for c in copies if crosses(c.images)],
        near_duplicates_across_split=[p for p in near if crosses((p.first, p.second))],
        groups_across_split=sorted(g for g, m in members.items() if g and crosses(m)),
    )


def audit_prepared(manifest: Manifest, progress: Progress = silent) -> AuditReport:
    """Audit a prepared data set from its files.

    A synthetic image resembles the good image it was made from, so near duplicates that involve
    one count only where they cross the split.
    """
    prints = []
    for done, sample in enumerate(manifest):
        progress("auditing images", done, len(manifest))
        prints.append(_fingerprint(manifest, sample))
    progress("auditing images", len(manifest), len(manifest))
    splits = {s.image: s.split for s in manifest}
    synthetic = {s.image for s in manifest if s.origin != "real"}
    near = [
        pair
        for pair in find_near_duplicates(prints)
        if not synthetic & {pair.first, pair.second} or splits[pair.first] != splits[pair.second]
    ]
    groups = {s.image: s.group for s in manifest}
    return report(len(prints), find_copies(prints), near, splits, groups)


def audit_folder(prepared: Path, progress: Progress = silent) -> AuditReport:
    """`audit_prepared` of the data set in `prepared`; DataError where there is none."""
    return audit_prepared(Manifest.load(prepared), progress)


def _fingerprint(manifest: Manifest, sample: Sample) -> Fingerprint:
    image = read_image(manifest.image_path(sample))
    mask_path = manifest.mask_path(sample)
    mask = digest(read_mask(mask_path)) if mask_path else ""
    return Fingerprint(sample.image, digest(image), thumbnail(image), sample.label, mask)
