"""What a `Sentinel` has found, in words and as a picture: since when, what changed, what to do."""

from typing import Any, NamedTuple

import cv2
import numpy as np

from patchcore_dual.live.sentinel import DEFECTS, Sentinel
from patchcore_dual.scoring.appearance import GRID, STATISTICS

NOT_KEPT = (
    "the model keeps no reference of how good parts look: it was made by a version that did not, "
    "or of fewer than ten good images. Fit it again to have drift measured."
)
NOT_GOOD = ("reject", "not inspected")  # verdicts that say that a part is not good
_CLEAR = 0.5  # standard deviations that a mean has to move to be named
_NAMED = 3  # statistics that are named, at most
_STRONG = 3.0  # standard deviations of a cell that are drawn in the strongest colour
_LOCAL = 2.5  # how many times the usual change of a cell that of the cell is that stands out

_WORDS = {
    "distance": ("their surface is less like the known one everywhere", ""),
    "share": ("more of their surface is unusual", "less of their surface is unusual"),
    "brightness": ("brighter", "darker"),
    "contrast": ("richer in contrast", "poorer in contrast"),
    "sharpness": ("sharper or noisier", "blurrier"),
    "warmth": ("redder", "bluer"),
    "tint": ("greener", "more purple"),
    "tilt_x": ("brighter on the right", "brighter on the left"),
    "tilt_y": ("brighter at the bottom", "brighter at the top"),
    "place_x": ("shifted to the right", "shifted to the left"),
    "place_y": ("shifted down", "shifted up"),
}
_CHECKS = {
    "sharpness": "Clean the lens and check its focus",
    "brightness": "Check the lamp and the exposure",
    "contrast": "Check the lamp, the exposure and the lens",
    "warmth": "Check the lamp and the white balance",
    "tint": "Check the lamp and the white balance",
    "tilt_x": "Check whether the lamp or the part has moved, and clean the lens",
    "tilt_y": "Check whether the lamp or the part has moved, and clean the lens",
    "place_x": "Check the fixture and the camera's mounting",
    "place_y": "Check the fixture and the camera's mounting",
}
_ANYTHING = "Clean the lens, and check lamp, camera and fixture"


class Change(NamedTuple):
    """How a statistic has changed.

    Attributes:
        name: of the statistic.
        words: what that means.
        before, now: its mean among good training images, and among the latest images.
        deviations: the difference in standard deviations of good training images.
    """

    name: str
    words: str
    before: float
    now: float
    deviations: float


def changes(sentinel: Sentinel) -> list[Change]:
    """What has changed since the drift began, or in the last fifty images, the most first."""
    recent = _since(sentinel)
    if not recent:
        return []
    reference = sentinel.reference
    before = reference.fitted.mean(axis=0)
    now = np.median([one.values for one in recent], axis=0)  # a few defects do not move it
    moved = (now - before) / reference.spread
    return [
        Change(
            STATISTICS[i],
            _WORDS[STATISTICS[i]][int(moved[i] < 0)],
            float(before[i]),
            float(now[i]),
            float(moved[i]),
        )
        for i in np.argsort(-abs(moved), kind="stable")
    ]


def grids(sentinel: Sentinel) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means over the coarse grid, `[GRID, GRID]`: of good training images, and of the latest.

    Returns:
        Those of "brightness" and "distance". Nothing before the first image.
    """
    recent, reference = _since(sentinel), sentinel.reference
    if not recent:
        return {}
    return {
        "brightness": (
            reference.brightness.mean(axis=0),
            np.median([one.brightness for one in recent], axis=0),
        ),
        "distance": (
            reference.distance.mean(axis=0),
            np.median([one.distance for one in recent], axis=0),
        ),
    }


def place(sentinel: Sentinel) -> str:
    """Where the change is, where it is greater in one part of the image than elsewhere; else ""."""
    spreads = _spreads(sentinel)
    best, cell = _LOCAL, None
    for name, (before, now) in grids(sentinel).items():
        moved = (now - before) / spreads[name]
        local = abs(moved - np.median(moved))
        strength = float(local.max() / (np.median(local) + 0.2))
        if local.max() > 1 and strength > best:
            best, cell = strength, np.unravel_index(local.argmax(), local.shape)
    if cell is None:
        return ""
    row, column = (int(k) for k in cell)
    upright = ("top", "middle", "middle", "bottom")[row]
    across = ("left", "middle", "middle", "right")[column]
    return "in the middle" if upright == across else f"at the {upright} {across}"


def advice(sentinel: Sentinel) -> str:
    """What to do about a drift, in a sentence."""
    finding = sentinel.finding or (sentinel.past[-1] if sentinel.past else None)
    check = _CHECKS.get(finding.statistic, _ANYTHING) if finding else _ANYTHING
    return (
        f"{check}. If parts are to look like this from now on, teach about 20 good images of them, "
        "or fit again with them."
    )


def caveat(rejected: int, images: int) -> str:
    """What else may look like drift, in sentences; "" where few images were rejected.

    >>> caveat(1, 50)
    ''
    """
    if rejected <= DEFECTS * images:
        return ""
    return (
        f"{rejected:,} of {images:,} images were rejected or not inspected. If more than one part "
        "in ten is truly defective, as in a folder of defects, this is no sign of drift."
    )


def message(sentinel: Sentinel) -> str:
    """What is found, in sentences; "" without a drift that lasts."""
    finding = sentinel.finding
    if finding is None:
        return ""
    return (
        f"Since image {finding.since:,} good parts are no longer like those the model was fitted "
        f"on: {_what(sentinel)}. The promised false-alarm rate does not hold."
    )


def report(sentinel: Sentinel) -> dict[str, Any]:
    """What a sentinel knows, as plain values.

    Returns:
        `status` ("stable", "drifting"), number of `images`, `level`; of a drift that lasts `since`
        and `found`, numbers of images from 1, `message` and `advice`; `changes`, the greatest
        first; where drifts that are `past` began and were seen last.
    """
    finding = sentinel.finding
    return {
        "status": "drifting" if finding else "stable",
        "images": sentinel.images,
        "level": sentinel.level,
        "since": finding.since if finding else None,
        "found": finding.found if finding else None,
        "message": message(sentinel),
        "advice": advice(sentinel) if finding else "",
        "changes": [
            {
                "statistic": one.name,
                "before": float(f"{one.before:.4g}"),
                "now": float(f"{one.now:.4g}"),
                "deviations": round(one.deviations, 2),
            }
            for one in changes(sentinel)
        ],
        "past": [{"since": one.since, "last": one.last} for one in sentinel.past],
    }


def draw(sentinel: Sentinel) -> np.ndarray:
    """A picture, uint8 `[H, W, 3]` RGB: good parts of the fit beside those of now.

    Above are mean grey values over a coarse grid of the image, below mean distances to the normal
    bank; the last column shows the difference, red where it has risen and blue where it has fallen,
    the stronger the more it is beside how much good training images vary there.

    Raises:
        ValueError: before the first image.
    """
    rows, spreads = [], _spreads(sentinel)
    for name, (before, now) in grids(sentinel).items():
        low, high = float(min(before.min(), now.min())), float(max(before.max(), now.max()))
        low, high = (0.0, 255.0) if name == "brightness" else (low, high)
        panels = [_panel(grid, _grey(grid, low, high)) for grid in (before, now)]
        difference = now - before
        strength = difference / (_STRONG * spreads[name])
        panels.append(_panel(difference, _red_and_blue(strength), signed=True))
        heads = [f"{name}: good parts of the fit", f"{name}: now", "difference"]
        titled = [_titled(panel, head) for panel, head in zip(panels, heads, strict=True)]
        rows.append(np.concatenate(titled, axis=1))
    return np.concatenate(rows)


def _spreads(sentinel: Sentinel) -> dict[str, np.ndarray]:
    """How much each cell of both grids varies among good training images, never 0."""
    reference = sentinel.reference
    return {
        name: values.std(axis=0) + 1e-3 * abs(values.mean(axis=0)) + 1e-6
        for name, values in (
            ("brightness", reference.brightness),
            ("distance", reference.distance),
        )
    }


def _since(sentinel: Sentinel) -> list[Any]:
    """The latest appearances, those since the drift began where one lasts."""
    recent = list(sentinel.recent)
    if sentinel.finding is None:
        return recent
    return recent[-max(1, sentinel.images - sentinel.finding.since + 1) :]


def _what(sentinel: Sentinel) -> str:
    assert sentinel.finding is not None
    found = changes(sentinel)
    told = sentinel.finding
    named = [one for one in found if abs(one.deviations) >= _CLEAR and one.words][:_NAMED]
    if not named:
        words = _WORDS[told.statistic][int(not told.is_more)]
        return words if words.startswith(("their", "more of", "less of")) else f"they are {words}"
    texts = [f"{one.words} (by {abs(one.deviations):.1f} standard deviations)" for one in named]
    looks = [t for t in texts if not t.startswith(("their", "more of", "less of"))]
    surface = [t for t in texts if t not in looks]
    parts = ([f"they are {', '.join(looks)}"] if looks else []) + surface
    where = place(sentinel)
    *others, last = parts
    listed = f"{'; '.join(others)}; and {last}" if others else last
    return listed + (f", most of all {where}" if where else "")


_CELL, _HEAD, _GAP = 56, 24, 8  # pixels


def _panel(grid: np.ndarray, colours: np.ndarray, signed: bool = False) -> np.ndarray:
    picture = np.repeat(np.repeat(colours, _CELL, axis=0), _CELL, axis=1)
    largest = float(abs(grid).max())
    places = int(np.clip(2 - np.floor(np.log10(largest)), 0, 3)) if largest > 0 else 0
    for row in range(GRID):
        for column in range(GRID):
            value = round(float(grid[row, column]), places) + 0.0  # never "-0"
            text = f"{value:{'+' if signed else ''}.{places}f}"
            ink = (0, 0, 0) if colours[row, column].mean() > 110 else (255, 255, 255)
            at = column * _CELL + 6, row * _CELL + _CELL // 2 + 4
            cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, 1, cv2.LINE_AA)
    return picture


def _titled(panel: np.ndarray, text: str) -> np.ndarray:
    height, width = panel.shape[:2]
    picture = np.full((height + _HEAD + _GAP, width + _GAP, 3), 255, np.uint8)
    picture[_HEAD : _HEAD + height, :width] = panel
    ink = (40, 44, 50)
    cv2.putText(picture, text, (2, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, ink, 1, cv2.LINE_AA)
    return picture


def _grey(grid: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (grid - low) / (high - low or 1)
    return np.repeat((255 * np.clip(scaled, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def _red_and_blue(strength: np.ndarray) -> np.ndarray:
    strength = np.clip(strength, -1, 1)[..., None]
    red, blue, white = (np.array(c, float) for c in ((205, 60, 50), (50, 95, 200), (245, 245, 245)))
    mixed = np.where(strength > 0, strength * red, -strength * blue) + (1 - abs(strength)) * white
    return mixed.astype(np.uint8)
