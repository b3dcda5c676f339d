"""Draws inspections: image with regions, heat map, true defect and verdict."""

from collections.abc import Sequence

import cv2
import numpy as np

from patchcore_dual.scoring.regions import Region

_RED, _GREEN, _WHITE = (214, 48, 49), (39, 154, 92), (255, 255, 255)
_BAR_COLOURS = {
    "reject": _RED,
    "review": (201, 125, 16),
    "pass": _GREEN,
    "not inspected": (96, 84, 148),
}
_INK = (60, 66, 74)
_PANEL_NAMES = ("image, suspicious regions", "heat map", "true defect")
_PATCH = 96  # of the picture of a patch, in pixels
_GAP, _BAR, _STRIP = 6, 26, 20  # of the gap between panels, the caption bar, the names, in pixels
_FONT = 0.45  # the smallest size of letters, as OpenCV counts it, to which the heights belong
_MIN_WIDTH = 160  # of a panel, in pixels
_MOST = 2**23  # pixels of a panel, to which a larger image is shrunk


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
    largest_panel: tuple[int, int] | None = None,
    patches: Sequence[tuple[str, str, np.ndarray]] = (),
    inspected: np.ndarray | None = None,
) -> np.ndarray:
    """Return the panels of an inspection side by side, named, under a caption bar.

    Args:
        image: uint8 `[H, W, 3]`, RGB.
        heat: `[H, W]` in 0 to 1.
        regions: drawn as boxes on the image.
        mask: bool `[H, W]`, the true defect, if known.
        caption: text of the bar.
        verdict: "pass", "review", "reject" or "not inspected", which decides the colour of the bar.
        largest_panel: width and height in pixels that each panel is shrunk to fit into; None for
            the size of the image.
        patches: what each of some patches is, its source, and its picture, uint8 `[h, w, 3]`; they
            are shown below.
        inspected: bool `[H, W]`, the region of interest, which is outlined; None for all.

    Returns:
        uint8 `[h, w, 3]`, RGB.
    """
    panels = draw_panels(image, heat, regions, mask, largest_panel, inspected)
    height, width = panels[0].shape[:2]
    gap = np.full((height, _GAP, 3), 255, dtype=np.uint8)
    row = np.concatenate([p for panel in panels for p in (panel, gap)][:-1], axis=1)
    font = max(_FONT, row.shape[1] / 1600)
    bar = np.full((round(_BAR * font / _FONT), row.shape[1], 3), _BAR_COLOURS[verdict], np.uint8)
    _write(bar, caption, 8, font)
    strip = np.full((round(_STRIP * font / _FONT), row.shape[1], 3), 255, dtype=np.uint8)
    for i, name in enumerate(_PANEL_NAMES[: len(panels)]):
        _write(strip, name, i * (width + _GAP) + 4, font * 0.85, _INK)
    rows = [_patch_row(*patch, row.shape[1], font * 0.85) for patch in patches]
    return np.concatenate([bar, strip, row, *rows])


def draw_panels(
    image: np.ndarray,
    heat: np.ndarray,
    regions: Sequence[Region],
    mask: np.ndarray | None = None,
    largest: tuple[int, int] | None = None,
    inspected: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return the image with its regions, its heat map and, if known, its true defect.

    Arguments as for `draw_inspection`. Narrow images are enlarged to a readable size, and
    those of more than 8 megapixels shrunk.

    >>> panels = draw_panels(np.zeros((600, 400, 3), np.uint8), np.zeros((600, 400)), (),
    ...                      largest=(300, 300))
    >>> [panel.shape for panel in panels]
    [(300, 200, 3), (300, 200, 3)]
    """
    pixels = image.shape[0] * image.shape[1]
    scale = max(1.0, _MIN_WIDTH / image.shape[1]) if pixels <= _MOST else (_MOST / pixels) ** 0.5
    if largest is not None:
        scale = min(scale, largest[0] / image.shape[1], largest[1] / image.shape[0])
    image = _resize(image, scale)
    framed = image.copy()
    for region in regions:
        x, y = int(region.x * scale), int(region.y * scale)
        corner = (int((region.x + region.width) * scale), int((region.y + region.height) * scale))
        cv2.rectangle(framed, (x, y), corner, _RED, 2)
    panels = [framed, heat_overlay(image, _resize(heat, scale))]
    if inspected is not None:
        inside = _resize(inspected.astype(np.uint8), scale)
        panels = [_outlined_faintly(panel, inside) for panel in panels]
    if mask is not None:
        panels.append(_outline(image, _resize(mask.astype(np.uint8), scale)))
    return panels


def _patch_row(what: str, source: str, picture: np.ndarray, width: int, font: float) -> np.ndarray:
    """A row of a given width: the picture of a patch, what it is, and where it comes from."""
    side = round(_PATCH * font / _FONT)
    row = np.full((side + _GAP, width, 3), 255, dtype=np.uint8)
    some = min(side, width)
    row[_GAP : _GAP + some, :some] = cv2.resize(picture, (some, some))
    middle = _GAP + side // 2
    half = round(_STRIP * font / _FONT)
    for top, text in ((middle - half, what), (middle, source.rpartition("/")[2])):
        _write(row[max(0, top) : max(0, top) + half], text, some + 2 * _GAP, font, _INK)
    return row


def _write(
    strip: np.ndarray, text: str, x: int, font: float, colour: tuple[int, int, int] = _WHITE
) -> None:
    """Write a line into a strip, upright in its middle; a tail that does not fit is cut off."""
    thickness = max(1, round(font * 1.5))
    (_, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, font, thickness)
    at = (x, (strip.shape[0] + height) // 2)
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, font, colour, thickness, cv2.LINE_AA)


def _outlined_faintly(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The image, paler outside the region of interest, whose outline is a thin line."""
    pale = image.copy()
    outside = inside == 0
    pale[outside] = image[outside] // 2 + 110
    contours, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(pale, contours, -1, _INK, 1)


def _outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the true defect tinted and outlined."""
    tinted = image.copy()
    tinted[mask > 0] = (tinted[mask > 0] * 0.6 + np.array(_GREEN) * 0.4).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(tinted, contours, -1, _GREEN, 1)


def _resize(array: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return array
    height, width = array.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if array.dtype == np.uint8 and array.ndim == 2:
        method = cv2.INTER_NEAREST
    else:
        method = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
    return cv2.resize(array, size, interpolation=method)
