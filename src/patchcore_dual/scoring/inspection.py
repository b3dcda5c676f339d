"""`Inspection`: what the detector says of one image. It prints, draws and serialises itself."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, overload

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring.drawing import draw_inspection
from patchcore_dual.scoring.evidence import Nearest
from patchcore_dual.scoring.regions import Region

Verdict = Literal["pass", "review", "reject"]


@dataclass(frozen=True)
class Match:
    """The bank vector nearest to the image's most anomalous patch.

    `image` is the training image it came from, `row` and `column` its cell in the feature grid,
    `distance` how far it is, in feature space.
    """

    image: str
    row: int
    column: int
    distance: float


@overload
def match_at(bank: MemoryBank, nearest: Nearest, cell: tuple[int, int]) -> Match: ...
@overload
def match_at(
    bank: MemoryBank | None, nearest: Nearest | None, cell: tuple[int, int]
) -> Match | None: ...
def match_at(
    bank: MemoryBank | None, nearest: Nearest | None, cell: tuple[int, int]
) -> Match | None:
    """The bank vector nearest to the patch in one grid cell."""
    if bank is None or nearest is None:
        return None
    return Match(*bank.source(int(nearest.index[cell])), float(nearest.distance[cell]))


@dataclass(frozen=True, eq=False)
class Inspection:
    """The verdict on one image.

    Attributes:
        name: the image's path or name, "" where none was given.
        image: uint8 `[H, W, 3]`, as it was given.
        score: higher is more anomalous; above `threshold` the image is rejected.
        uncertainty: how far the score would move with the banks resampled, as a standard
            deviation. An image that is not rejected but could be, within it, is for review.
        anomaly_map: float32 `[H, W]`, at the size of the image given; `map_floor` is what good
            surface typically shows, above `map_threshold` a pixel belongs to a region.
        regions: where, highest peak first; every reject and review has at least one.
        nearest_normal, nearest_defect: what the most anomalous patch looks most like.
        model: fingerprint of the model.
        note: what was done to the image before, e.g. that it was resized; "" if nothing.
    """

    name: str
    image: np.ndarray
    score: float
    uncertainty: float
    threshold: float
    anomaly_map: np.ndarray
    map_threshold: float
    map_floor: float
    regions: tuple[Region, ...]
    nearest_normal: Match
    nearest_defect: Match | None
    model: str
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.score > self.threshold:
            return "reject"
        return "review" if self.score + self.uncertainty > self.threshold else "pass"

    def __str__(self) -> str:
        sign = ">" if self.score > self.threshold else "≤"
        name = f"{self.name}: " if self.name else ""
        score = f"{self.score:.4g} ± {self.uncertainty:.2g}"
        lines = [f"{name}{self.verdict}  score {score} {sign} {self.threshold:.4g}"]
        lines += [
            f"  {r.width}×{r.height} px at x {r.x}, y {r.y}, peak {r.peak:.4g}"
            for r in self.regions
        ]
        if self.verdict != "pass" and self.nearest_defect is not None:
            lines.append(f"  most like the defect in {self.nearest_defect.image}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the pixel arrays."""
        defect = self.nearest_defect
        return {
            "path": self.name,
            "score": self.score,
            "uncertainty": self.uncertainty,
            "threshold": self.threshold,
            "verdict": self.verdict,
            "regions": [asdict(region) for region in self.regions],
            "nearest_normal": asdict(self.nearest_normal),
            "nearest_defect": asdict(defect) if defect else None,
            "model": self.model,
            "note": self.note,
        }

    @property
    def heat(self) -> np.ndarray:
        """The anomaly map as pictures show it, `[H, W]`: 0 on good surface, 0.5 at the threshold,
        1 as far above it again."""
        scale = 2 * (self.map_threshold - self.map_floor) or 1.0
        return np.clip((self.anomaly_map - self.map_floor) / scale, 0, 1)

    def draw(self, mask: np.ndarray | None = None) -> np.ndarray:
        """uint8 RGB picture: the image with its regions, the heat map, the mask where known.

        Args:
            mask: bool `[H, W]`, the true defect.
        """
        return draw_inspection(
            self.image,
            self.heat,
            self.regions,
            f"{self.verdict.upper()}  {self.score:.3g} / {self.threshold:.3g}",
            self.verdict,
            mask,
        )
