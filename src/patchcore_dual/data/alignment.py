"""`Aligner`: finds how a part lies in an image against a reference image, and undoes it.

The gradients of both images are compared, since light changes them less than it changes pixels.
The reference's middle is looked for in the reduced image, turned by several angles (template
matching), and the best place is refined to fractions of a pixel (ECC). `benchmarks/alignment.py`
compares this with phase correlation, log-polar phase correlation and ORB features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np

from patchcore_dual.data.resizing import MAX_DISTORTION, distortion
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.motion import Motion

Mode = Literal["translation", "rigid"]

MAX_SHIFT, MAX_TURN = 0.3, 10.0  # unless the user says otherwise
MOST_SHIFT, MOST_TURN = 0.4, 45.0
PIXELS = 2**16  # of the frame in which motion is measured
LEAST_COMMON = 0.3  # confidence that good images have, or else there is nothing to align to
LEAST_CONTRAST = 2.0  # grey levels that the steepest places of a reference change by
USUAL_SHARE = 0.5  # of the usual confidence, below which an image is never alike enough
SPREADS = 4.0  # by which good images may be less alike than the usual one

_SMOOTHING = 2.0  # standard deviation in pixels of the frame
_COARSE_SIDE = 40  # pixels of the shorter side of the frame that is searched first
_COARSE_TURN = 2.0  # degrees between the angles that are tried first
_REFINEMENT = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-5)
_NOT_MOVED = 0.5  # pixels of the frame, below which an image is left as it is


def frame_of(image: np.ndarray) -> np.ndarray:
    """An image as motion is measured in it: uint8 `[h, w]`, grey, with its own proportions.

    >>> frame_of(np.zeros((1200, 1600, 3), np.uint8)).shape
    (222, 296)
    """
    height, width = image.shape[:2]
    factor = min(1.0, (PIXELS / (height * width)) ** 0.5)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(_grey(image), size, interpolation=cv2.INTER_AREA))


def check_limits(max_shift: float, max_turn: float) -> None:
    """Raise SettingsError for limits out of range; see `Aligner`."""
    if not 0 < max_shift <= MOST_SHIFT:
        raise SettingsError(
            f"the largest shift is {max_shift:g} of the shorter side; give more than 0 and at most "
            f"{MOST_SHIFT:g} (--max-shift)."
        )
    if not 0 < max_turn <= MOST_TURN:
        raise SettingsError(
            f"the largest turn is {max_turn:g} degrees; give more than 0 and at most "
            f"{MOST_TURN:g} (--max-turn)."
        )


@dataclass(frozen=True, eq=False)
class Aligner:
    """A reference image, and how far a part may lie from where it lies there.

    Attributes:
        reference: uint8 `[h, w]`, as of `frame_of`.
        mode: whether parts are shifted only, or turned too.
        max_shift: the largest shift each way, as a share of the shorter side.
        max_turn: the largest turn each way, in degrees; without meaning for "translation".
        least_confidence: of an image that can be aligned.
        source: name of the image that the reference is.

    Raises:
        SettingsError: for limits out of range.
        DataError: for a reference that shows nothing.

    >>> rng = np.random.default_rng(0)
    >>> scene = cv2.GaussianBlur(rng.integers(0, 256, (160, 220), np.uint8), (0, 0), 5)
    >>> scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    >>> part = np.repeat(scene[20:140, 20:200, None], 3, axis=2)
    >>> moved = np.repeat(scene[13:133, 29:209, None], 3, axis=2)
    >>> motion = Aligner(frame_of(part), mode="rigid").find(moved)
    >>> round(motion.x), round(motion.y), abs(round(motion.turn))
    (-9, 7, 0)
    """

    reference: np.ndarray
    mode: Mode = "rigid"
    max_shift: float = MAX_SHIFT
    max_turn: float = MAX_TURN
    least_confidence: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        if self.mode not in ("translation", "rigid"):
            raise SettingsError(f"parts are aligned by translation or rigid, not {self.mode!r}.")
        check_limits(self.max_shift, self.max_turn)
        if float(np.quantile(_slopes(self.reference), 0.95)) < LEAST_CONTRAST:
            raise DataError(
                f"nothing can be aligned to {self.source or 'the reference'}: it is blank, or "
                "nearly so. Name another image with --align-to."
            )

    def find(self, image: np.ndarray, size: tuple[int, int] | None = None) -> Motion:
        """How the part lies in an image, and whether that can be relied on.

        Args:
            image: uint8 `[h, w, 3]`, at any size.
            size: width and height of the image as it was given, in whose pixels the motion is; None
                for those of `image`.

        Returns:
            The motion, no motion at all where it is less than half a pixel of the frame in which
            it is measured; with its `reason` where the image cannot be aligned.
        """
        given = size or (image.shape[1], image.shape[0])
        height, width = self.reference.shape
        if distortion(given, (width, height)) > MAX_DISTORTION:
            return Motion(
                confidence=0.0,
                reason=f"its proportions, {given[0]}x{given[1]}, are not those of the reference, "
                f"{width}x{height}",
            )
        frame = _gradients(_resized(_grey(image), width, height))
        found = self._best(frame)
        motion = found.scaled((given[0] / width + given[1] / height) / 2)
        return replace(motion, reason=self._why_not(found))

    def with_usual(self, confidences: Sequence[float]) -> "Aligner":
        """The same with the least confidence that follows from those of good images.

        It is four standard deviations below the usual one, and at most half of it: what has a large
        defect can still be aligned, and is better inspected than not.

        Raises:
            DataError: where the good images have too little in common with the reference.
        """
        usual = float(np.median(confidences))
        if usual < LEAST_COMMON:
            raise DataError(
                f"nothing can be aligned to {self.source or 'the reference'}: good images have too "
                f"little in common with it (correlation {usual:.2f} after alignment, at least "
                f"{LEAST_COMMON} is needed), as where every part has a texture of its own. Leave "
                "--align out, or name another image with --align-to."
            )
        spread = 1.4826 * np.median(np.abs(_spread_out(confidences) - _spread_out([usual])))
        least = np.tanh(_spread_out([usual])[0] - SPREADS * spread)
        return replace(self, least_confidence=round(float(min(least, USUAL_SHARE * usual)), 4))

    def settings(self) -> dict[str, Any]:
        """All but the reference, as plain values."""
        return {
            "mode": self.mode,
            "max_shift": self.max_shift,
            "max_turn": self.max_turn,
            "least_confidence": self.least_confidence,
            "source": self.source,
        }

    @property
    def _reach(self) -> float:
        """The largest shift in pixels of the frame."""
        return self.max_shift * min(self.reference.shape)

    @cached_property
    def _gradients(self) -> np.ndarray:
        return _gradients(self.reference)

    def _best(self, frame: np.ndarray) -> Motion:
        """The best motion in pixels of the frame, with its confidence."""
        coarse = self._search(frame)
        tried = [Motion(), coarse, self._refined(frame, coarse)]
        scored = [replace(m, confidence=self._likeness(frame, m)) for m in tried]
        best = max(scored, key=lambda m: m.confidence)
        height, width = frame.shape
        corners = np.array([[0, width, 0, width], [0, 0, height, height], [1.0, 1, 1, 1]])
        moved = best.matrix(height, width) @ corners - corners[:2]
        if np.hypot(*moved).max() < _NOT_MOVED:
            return replace(Motion(), confidence=best.confidence)
        return best

    def _search(self, frame: np.ndarray) -> Motion:
        """The place where the turned middle of the reference fits best, in steps of some pixels."""
        height, width = frame.shape
        step = max(1, min(height, width) // _COARSE_SIDE)
        small = [_resized(one, width // step, height // step) for one in (self._gradients, frame)]
        rows, columns = small[0].shape
        reach = min(max(1, round(self._reach / step)), min(rows, columns) - 1)
        # Half of the reach is cut from the reference; by the rest the image is padded.
        cut = reach // 2
        pad = reach - cut
        padded = cv2.copyMakeBorder(small[1], pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
        turns = np.zeros(1)
        if self.mode == "rigid":
            n = int(np.ceil(self.max_turn / _COARSE_TURN))
            turns = np.linspace(-self.max_turn, self.max_turn, 2 * n + 1)
        best = Motion(confidence=-2.0)
        for turn in turns.tolist():
            turned = Motion(turn=turn).undo(small[0]) if turn else small[0]
            middle = turned[cut : rows - cut, cut : columns - cut]
            fits = cv2.matchTemplate(padded, middle, cv2.TM_CCOEFF_NORMED)
            _, fit, _, (x, y) = cv2.minMaxLoc(np.nan_to_num(fits))
            if fit > best.confidence:
                best = Motion((x - reach) * step, (y - reach) * step, -turn, fit)
        return best

    def _refined(self, frame: np.ndarray, start: Motion) -> Motion:
        """A motion to fractions of a pixel, by maximising the correlation (ECC)."""
        height, width = frame.shape
        kind = cv2.MOTION_EUCLIDEAN if self.mode == "rigid" else cv2.MOTION_TRANSLATION
        matrix = start.matrix(height, width).astype(np.float32)
        try:
            _, matrix = cv2.findTransformECC(  # type: ignore[call-overload]
                self._gradients, frame, matrix, kind, _REFINEMENT, None, 5
            )
        except cv2.error:  # it did not converge
            return start
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        x, y = matrix @ [*centre, 1] - centre
        return Motion(float(x), float(y), float(np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))))

    def _likeness(self, frame: np.ndarray, motion: Motion) -> float:
        """The correlation of the aligned frame with the reference, where both are known."""
        height, width = frame.shape
        matrix = motion.matrix(height, width)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        aligned = cv2.warpAffine(frame, matrix, (width, height), flags=flags)
        known = cv2.warpAffine(np.ones_like(frame), matrix, (width, height), flags=flags) > 0.99
        if 2 * known.sum() < known.size:
            return -1.0
        ours, theirs = aligned[known], self._gradients[known]
        ours, theirs = ours - ours.mean(), theirs - theirs.mean()
        scale = float(np.sqrt((ours @ ours) * (theirs @ theirs)))
        return float(ours @ theirs) / scale if scale else 0.0

    def _why_not(self, found: Motion) -> str:
        if found.confidence < self.least_confidence:
            limits = f"shifts up to {self.max_shift:.0%} of the shorter side"
            if self.mode == "rigid":
                limits += f" and turns up to {self.max_turn:g}°"
            return (
                f"it cannot be aligned: within {limits} it is unlike the reference (correlation "
                f"{found.confidence:.2f}, and at least {self.least_confidence:.2f} is needed)"
            )
        beyond = found.shift > self._reach + 1, abs(found.turn) > self.max_turn + 0.25
        if any(beyond):
            return "it cannot be aligned: it lies further from the reference than the limits allow"
        return ""


def _grey(image: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) if image.ndim == 3 else image


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    if image.shape == (height, width):
        return image
    smaller = width < image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how))


def _slopes(frame: np.ndarray) -> np.ndarray:
    """float32 `[h, w]`, by how many grey levels a pixel differs from its neighbours."""
    smooth = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), _SMOOTHING)
    x, y = (cv2.Sobel(smooth, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(x, y))


def _gradients(frame: np.ndarray) -> np.ndarray:
    """The slopes on a scale that the steepest few decide, and no single highlight."""
    slopes = _slopes(frame)
    scale = max(float(np.quantile(slopes, 0.95)), 1e-3)
    return np.minimum(slopes / scale, 2).astype(np.float32)


def _spread_out(correlations: Sequence[float]) -> np.ndarray:
    """Correlations on a scale on which they vary alike everywhere (Fisher's z)."""
    return np.arctanh(np.clip(correlations, -0.999, 0.999))
