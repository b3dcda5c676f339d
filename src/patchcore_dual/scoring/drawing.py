"""Draws inspections: image with regions, heat map, ground truth and verdict."""

from collections.abc import Sequence

import cv2
import numpy as np

from patchcore_dual.scoring.regions import Region

_RED, _GREEN, _WHITE = (214, 48, 49), (39, 154, 92), (255, 255, 255)
_BAR_COLOURS = {"reject": _RED, "review": (201, 125, 16), "pass": _GREEN}
_GAP, _BAR = 6, 26  # width of the gap between panels and height of the caption bar, in pixels
_MIN_WIDTH = 160  # of a panel, in pixels


def heat_overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return an image blended with the colours of a heat map, uint8 `[H, W, 3]`, RGB.

    Args:
        image: uint8 `[H, W, 3]`, RGB.
        heat: `[H, W]` in 0 to 1, as `Inspection.heat`. The image remains visible everywhere, the
            less so the higher the value.
    """
    indices = (heat * 255).astype(np.uint8)
    colours = cv2.applyColorMap(indices, cv2.COLORMAP_TURBO)[..., ::-1]
    strength = np.clip(heat * 1.3, 0.15, 0.7)[..., None]
    return (image * (1 - strength) + colours * strength).astype(np.uint8)


def draw_inspection(
    image: np.ndarray,
    heat: np.ndarray,
    regions: Sequence[Region],
    mask: np.ndarray | None,
    *,
    caption: str,
    verdict: str,
) -> np.ndarray:
    """Return the panels of an inspection side by side under a caption bar.

    Args:
        image: uint8 `[H, W, 3]`, RGB.
        heat: `[H, W]` in 0 to 1.
        regions: drawn as boxes on the image.
        mask: bool `[H, W]`, the true defect, if known.
        caption: text of the bar.
        verdict: "pass", "review" or "reject", which decides the colour of the bar.

    Returns:
        uint8 `[h, w, 3]`, RGB.
    """
    # Small images are enlarged first, so that boxes and caption have a readable size.
    scale = max(1.0, _MIN_WIDTH / image.shape[1])
    framed = _enlarge(image, scale)
    for region in regions:
        x, y = int(region.x * scale), int(region.y * scale)
        corner = (int((region.x + region.width) * scale), int((region.y + region.height) * scale))
        cv2.rectangle(framed, (x, y), corner, _RED, 2)
    panels = [framed, heat_overlay(_enlarge(image, scale), _enlarge(heat, scale))]
    if mask is not None:
        panels.append(_outline(_enlarge(image, scale), _enlarge(mask.astype(np.uint8), scale)))
    gap = np.full((framed.shape[0], _GAP, 3), 255, dtype=np.uint8)
    row = np.concatenate([p for panel in panels for p in (panel, gap)][:-1], axis=1)
    bar = np.full((_BAR, row.shape[1], 3), _BAR_COLOURS[verdict], dtype=np.uint8)
    cv2.putText(bar, caption, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([bar, row])


def _outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the true defect tinted and outlined."""
    tinted = image.copy()
    tinted[mask > 0] = (tinted[mask > 0] * 0.6 + np.array(_GREEN) * 0.4).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(tinted, contours, -1, _GREEN, 1)


def _enlarge(array: np.ndarray, scale: float) -> np.ndarray:
    height, width = array.shape[:2]
    size = (round(width * scale), round(height * scale))
    method = cv2.INTER_NEAREST if array.dtype == np.uint8 and array.ndim == 2 else cv2.INTER_LINEAR
    return cv2.resize(array, size, interpolation=method)
