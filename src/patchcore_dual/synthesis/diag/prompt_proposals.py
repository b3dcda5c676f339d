"""Proposes prompts that describe the real defects, for a person to improve (thesis 5.3.2).

No network is involved: a few measures of each defect are put into words by a template.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.diag.prompts import Prompt, import_yaml
from patchcore_dual.synthesis.real_defects import RealDefect, known_defects, read_defect
from patchcore_dual.utils.files import write_atomically

# The ring of reference surface around a defect, in pixels; the gap leaves out its blurred edge.
GAP, RING = 2, 8


@dataclass(frozen=True)
class Measures:
    """Shape and brightness of one defect.

    Attributes:
        elongation: length divided by breadth of its longest piece, from second moments; 1 is round.
        size: length of its longest piece, as a fraction of the image's diagonal.
        breadth: breadth of the same piece, as a fraction of the image's diagonal.
        contrast: median brightness of the defect minus that of the surface, in grey levels.
        unevenness: standard deviation of the defect's brightness minus the surface's, grey levels.
        pieces: number of 8-connected components.
    """

    elongation: float
    size: float
    breadth: float
    contrast: float
    unevenness: float
    pieces: float


def measure(defect: RealDefect) -> Measures:
    """Measure one defect, whose mask must not be empty."""
    mask = defect.mask.astype(np.uint8)
    count, labels, _, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    axes = [_axes(labels == piece) for piece in range(1, count)]
    length, breadth = max(axes)
    diagonal = float(np.hypot(*mask.shape))
    grey = cv2.cvtColor(defect.image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    inside = grey[defect.mask]
    ring = _dilated(mask, GAP + RING) & ~_dilated(mask, GAP)
    around = grey[ring if ring.any() else ~defect.mask]
    if not around.size:  # the mask covers everything: nothing to compare with
        around = inside
    return Measures(
        length / breadth,
        length / diagonal,
        breadth / diagonal,
        float(np.median(inside) - np.median(around)),
        float(inside.std() - around.std()),
        count - 1,
    )


def propose_prompts(
    defects: Sequence[RealDefect], surface: str = "a surface"
) -> tuple[Prompt, ...]:
    """One prompt for each kind of defect, from the medians of its measures; kinds are sorted.

    Args:
        defects: real defects; those with an empty mask are ignored.
        surface: description of the surface, such as "a grey metal surface".

    Raises:
        DataError: where no defect has a mask.
    """
    kinds: dict[str, list[Measures]] = {}
    for defect in defects:
        if defect.mask.any():
            kinds.setdefault(defect.kind, []).append(measure(defect))
    if not kinds:
        raise DataError("no defect with a known mask to describe: there is nothing to propose.")
    return tuple(
        _prompt(Measures(*np.median([astuple(m) for m in measures], axis=0)), kind, surface)
        for kind, measures in sorted(kinds.items())
    )


def write_proposal(manifest: Manifest, path: Path, overwrite: bool = False) -> tuple[Prompt, ...]:
    """Propose prompts from the real training defects and write them to a file.

    Raises:
        DataError: where the file exists and `overwrite` is not set, or no defect has a mask.
    """
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists. Name another file, or replace it with --overwrite.")
    proposed = propose_prompts([read_defect(manifest, s) for s in known_defects(manifest)])
    write_atomically(path, to_yaml(proposed).encode())
    return proposed


def to_yaml(prompts: Sequence[Prompt]) -> str:
    """The prompts as YAML text, in the format of `read_prompts`."""
    listed = [{key: value for key, value in vars(prompt).items() if value} for prompt in prompts]
    return str(
        import_yaml().safe_dump(
            {"prompts": listed}, sort_keys=False, allow_unicode=True, width=1000
        )
    )


def _prompt(m: Measures, kind: str, surface: str) -> Prompt:
    """The template: [several] [faint|clear] [size] [dark|bright] shape[, kind,] on surface."""
    words = ["several"] if m.pieces >= 3 else []
    words += [_strength(m.contrast), _extent(m), _tone(m)]
    shape = _shape(m) + ("s" if m.pieces >= 3 else "")
    named = f", {kind.lower()}," if kind.isalpha() else ""
    positive = " ".join([*filter(None, words), shape]) + f"{named} on {surface}"
    return Prompt(positive, _opposite(m), kind)


def _strength(contrast: float) -> str:
    if abs(contrast) < 12:
        return "faint"
    return "clear" if abs(contrast) > 50 else ""


def _extent(m: Measures) -> str:
    if m.elongation >= 3:
        return "thin" if m.breadth < 0.03 else "broad"
    if m.size < 0.04:
        return "tiny"
    return "small" if m.size < 0.12 else "large"


def _tone(m: Measures) -> str:
    if abs(m.contrast) < 4:
        return "uneven" if m.unevenness > 4 else ""
    return "dark" if m.contrast < 0 else "bright"


def _shape(m: Measures) -> str:
    if m.elongation >= 3:
        return "line-shaped mark" if m.breadth < 0.03 else "streak"
    return "spot" if m.size < 0.12 else "patch"


def _opposite(m: Measures) -> str:
    if abs(m.contrast) < 4:
        return "smooth, plain"
    return (
        "smooth, plain, bright, glare" if m.contrast < 0 else "smooth, plain, black, dark, shadow"
    )


def _axes(piece: NDArray[np.bool_]) -> tuple[float, float]:
    """Length and breadth of a piece: the sides of the rectangle with its second moments."""
    y, x = np.nonzero(piece)
    # 1/12: what a pixel's own area adds, without which a hairline would have no breadth.
    spread = np.cov(np.stack([x, y]), bias=True) + np.eye(2) / 12
    low, high = np.sqrt(12 * np.linalg.eigvalsh(spread))
    return float(high), float(low)


def _dilated(mask: NDArray[np.uint8], reach: int) -> NDArray[np.bool_]:
    side = 2 * reach + 1
    return cv2.dilate(mask, np.ones((side, side), np.uint8)).astype(np.bool_)
