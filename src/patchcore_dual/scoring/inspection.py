"""`Inspection`: the result of inspecting one image, which prints, draws and serialises itself."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, overload

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring.appearance import Appearance
from patchcore_dual.scoring.drawing import draw_inspection
from patchcore_dual.scoring.evidence import Nearest
from patchcore_dual.scoring.familiarity import FOREIGN
from patchcore_dual.scoring.regions import Region
from patchcore_dual.scoring.thresholds import Verdict
from patchcore_dual.utils.motion import Motion


@dataclass(frozen=True)
class Match:
    """The bank vector nearest to a patch, and the training image that it came from.

    Attributes:
        image: name of the training image.
        row, column: the cell of its feature grid.
        distance: Euclidean distance between the vector and the patch, in feature space.
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
    """Return the match of the patch in one grid cell; None without a bank.

    Args:
        bank: the bank that was searched.
        nearest: the result of the search.
        cell: row and column of the patch.
    """
    if bank is None or nearest is None:
        return None
    return Match(*bank.source(int(nearest.index[cell])), float(nearest.distance[cell]))


@dataclass(frozen=True, eq=False)
class Inspection:
    """The result of inspecting one image.

    `H` and `W` are the height and width of the image as it was given, in pixels; the anomaly map
    and the regions refer to them too, whatever size the model works at.

    Attributes:
        name: path or name of the image; "" if none was given.
        image: uint8 `[H, W, 3]`, RGB, the image as it was given.
        score: image score; higher is more anomalous.
        uncertainty: bootstrap standard deviation of the score over resampled banks, in units of
            the score, for information; 0 if it is not estimated (rule `thesis`).
        threshold: threshold on the score, calibrated to the model's false-alarm rate.
        review_threshold: threshold on the score above which an image that is not rejected is for
            review; not above `threshold`.
        anomaly_map: float32 `[H, W]`, anomaly score of each pixel. Its unit is that of the patch
            scores, which need not be that of `score`. NaN outside the region of interest.
        map_threshold: threshold on the anomaly map, above which pixels belong to a region.
        map_floor: median value of the anomaly map on normal images.
        regions: the suspicious regions, highest peak first. A rejected image and one for review
            have at least one; an image that passes can have some.
        nearest_normal: the normal bank's vector nearest to the most anomalous patch.
        nearest_defect: the same of the defect bank; None without one.
        model: fingerprint of the model, 16 hexadecimal digits.
        note: a remark on how the image was prepared, e.g. that it was resized; "" if none.
        is_foreign: whether it is not like the parts that the model was fitted on, as another
            product or a covered lens. Such an image is rejected whatever its score.
        motion: how the part lies against the model's reference image; None where the model does not
            align images. With a `reason`, the image could not be aligned and is not inspected: its
            score, map and regions are those of the image as it lies, and decide nothing.
        picture_of: gives a picture of the patch of a match, uint8 `[h, w, 3]`; None, or nothing,
            where its training image is not at hand.
        appearance: how the image looks as a whole, by which drift is judged; None where the model
            keeps no reference for that.

    >>> heat = np.zeros((90, 200), np.float32)
    >>> heat[20:40, 50:80] = 3
    >>> inspection = Inspection(
    ...     name="bracket.png",
    ...     image=np.full((90, 200, 3), 128, np.uint8),
    ...     score=2.0,
    ...     uncertainty=0.25,
    ...     threshold=1.5,
    ...     review_threshold=1.2,
    ...     anomaly_map=heat,
    ...     map_threshold=1.0,
    ...     map_floor=0.0,
    ...     regions=(Region(50, 20, 30, 20, area=600, peak=3.0),),
    ...     nearest_normal=Match("normal/07.png", row=1, column=2, distance=2.0),
    ...     nearest_defect=Match("scratch/03.png", row=3, column=4, distance=0.5),
    ...     model="0123456789abcdef",
    ... )
    >>> print(inspection)
    bracket.png: reject  score 2 ± 0.25 > 1.5
      30×20 px at x 50, y 20, peak 3
      most like the defect in scratch/03.png
    >>> inspection.to_json()["verdict"]
    'reject'
    >>> inspection.draw().dtype, inspection.draw().shape[2]
    (dtype('uint8'), 3)
    """

    name: str
    image: np.ndarray
    score: float
    uncertainty: float
    threshold: float
    review_threshold: float
    anomaly_map: np.ndarray
    map_threshold: float
    map_floor: float
    regions: tuple[Region, ...]
    nearest_normal: Match
    nearest_defect: Match | None
    model: str
    note: str = ""
    is_foreign: bool = False
    motion: Motion | None = None
    picture_of: Callable[[Match], np.ndarray | None] | None = field(default=None, repr=False)
    appearance: Appearance | None = None

    @property
    def verdict(self) -> Verdict:
        """The decision on the image.

        "not inspected" if it could not be aligned, "reject" if the image is foreign or its score
        above the threshold, "review" if it is above the review threshold only, else "pass".
        """
        if self.reason:
            return "not inspected"
        if self.is_foreign or self.score > self.threshold:
            return "reject"
        return "review" if self.score > self.review_threshold else "pass"

    @property
    def reason(self) -> str:
        """Why it was not inspected, a sentence; "" where it was."""
        return self.motion.reason if self.motion is not None else ""

    def __str__(self) -> str:
        """The verdict with the score, and one line for each region."""
        if self.reason:
            lines = [f"{self.name}: " * bool(self.name) + self.verdict, f"  {self.reason}"]
            return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])
        sign = ">" if self.score > self.threshold else "≤"
        name = f"{self.name}: " if self.name else ""
        score = f"{self.score:.4g} ± {self.uncertainty:.2g}"
        lines = [f"{name}{self.verdict}  score {score} {sign} {self.threshold:.4g}"]
        lines += [
            f"  {r.width}×{r.height} px at x {r.x}, y {r.y}, peak {r.peak:.4g}"
            for r in self.regions
        ]
        if self.is_foreign:
            lines.append(f"  {FOREIGN}")
        elif self.verdict != "pass" and self.nearest_defect is not None:
            lines.append(f"  most like the defect in {self.nearest_defect.image}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return all but the image, the anomaly map and its scale as values for `json.dumps`.

        Keys are the names of the attributes, with "path" for `name`, and "verdict"; "motion" is
        left out where the model does not align images.
        """
        defect = self.nearest_defect
        return {
            "path": self.name,
            "score": self.score,
            "uncertainty": self.uncertainty,
            "threshold": self.threshold,
            "review_threshold": self.review_threshold,
            "verdict": self.verdict,
            "regions": [asdict(region) for region in self.regions],
            "nearest_normal": asdict(self.nearest_normal),
            "nearest_defect": asdict(defect) if defect else None,
            "model": self.model,
            "note": self.note,
            "is_foreign": self.is_foreign,
            **({"motion": asdict(self.motion)} if self.motion is not None else {}),
            "appearance": self.appearance.to_json() if self.appearance else None,
        }

    def thumbnails(self) -> dict[str, np.ndarray | None]:
        """Pictures of the nearest patches, by "nearest normal" and "nearest defect".

        Returns:
            uint8 `[h, w, 3]`, RGB, the patch framed in what surrounds it in its training image;
            None where that is not at hand. Read anew at every call.
        """
        look = self.picture_of or (lambda match: None)
        return {name: look(match) for name, match in self._matches.items()}

    @property
    def _matches(self) -> dict[str, Match]:
        both = {"nearest normal": self.nearest_normal, "nearest defect": self.nearest_defect}
        return {name: match for name, match in both.items() if match is not None}

    @property
    def heat(self) -> np.ndarray:
        """The anomaly map scaled for display, `[H, W]` in 0 to 1.

        `map_floor` becomes 0, `map_threshold` 0.5, and twice as far above the floor 1. It is 0
        where the image is not inspected.
        """
        scale = 2 * (self.map_threshold - self.map_floor) or 1.0
        heat = self.anomaly_map - np.float32(self.map_floor)
        heat /= np.float32(scale)  # in place: a large image has a large map
        np.clip(heat, 0, 1, out=heat)
        heat[np.isnan(heat)] = 0
        return heat

    @property
    def inspected(self) -> np.ndarray | None:
        """bool `[H, W]`: the region of interest, in whole cells; None where all is inspected."""
        outside = np.isnan(self.anomaly_map)
        return ~outside if outside.any() else None

    def draw(
        self, mask: np.ndarray | None = None, largest_panel: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return a picture: the image with its regions beside its heat map, under the verdict.

        Below are the nearest patches of the banks with their sources, where these are at hand.

        Args:
            mask: bool `[H, W]`, the true defect, shown in a third panel.
            largest_panel: width and height in pixels that each panel is shrunk to fit into.

        Returns:
            uint8 `[h, w, 3]`, RGB. Narrow images are enlarged to a readable size.
        """
        why = f"score {self.score:.3g}, threshold {self.threshold:.3g}"
        if self.reason:
            why = self.reason.partition(":")[0]
        elif self.is_foreign:
            why = FOREIGN
        patches = [
            (f"{name} patch", self._matches[name].image, picture)
            for name, picture in self.thumbnails().items()
            if picture is not None
        ]
        return draw_inspection(
            self.image,
            self.heat,
            self.regions,
            mask,
            caption=f"{self.verdict.upper()}  {why}",
            verdict=self.verdict,
            largest_panel=largest_panel,
            patches=patches,
            inspected=self.inspected,
        )
