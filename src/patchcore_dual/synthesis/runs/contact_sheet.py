"""The contact sheet of a run: a picture of its defects, and a page to accept and reject them."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from patchcore_dual.data.crops import Box
from patchcore_dual.synthesis.gates.report import GateResult
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.pages import page_environment
from patchcore_dual.utils.pictures import drawable, jpeg_base64

SHEET_LIMIT = 200  # images in the picture; the page shows all of them

_TILE, _GAP, _CAPTION, _HEADING, _COLUMNS = 132, 14, 22, 40, 5
_PAPER, _INK, _MUTED, _ALERT, _OUTLINE = "#f5f6f8", "#171b21", "#5b6572", "#b3261e", (232, 64, 64)
_SURROUNDINGS, _LEAST_SIDE = 1.7, 56
_WHOLE, _ZOOM, _JPEG_QUALITY = 240, 210, 78  # pixels of the longer side


@dataclass(frozen=True)
class Card:
    """One defect on the sheet.

    Attributes:
        name: file name of the image.
        image: uint8 `[H, W, 3]`, RGB.
        mask: bool `[H, W]`.
        kind: kind of the defect, or empty.
        facts: what it was made from, by name.
        gates: results of the quality gates, by name of the gate.
        left_out: why it is not used; empty where it is used.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    kind: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    gates: Mapping[str, GateResult] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        return Path(self.name).stem


def draw_sheet(cards: Sequence[Card], real: Sequence[Card], title: str) -> NDArray[np.uint8]:
    """A picture of each defect close up, without and with its outline, after some real ones.

    At most 200 synthetic defects are drawn; if there are more, the title says how many.

    Returns:
        uint8 `[h, w, 3]`.
    """
    shown = cards[:SHEET_LIMIT]
    if len(shown) < len(cards):
        title = f"{title}, the first {len(shown)} of {len(cards)}"
    parts = [_section(real[:_COLUMNS], "Real defects, for comparison")] if real else []
    return np.concatenate([*parts, _section(shown, title)])


def write_page(
    path: Path,
    cards: Sequence[Card],
    real: Sequence[Card],
    title: str,
    summary: Sequence[str],
    *,
    accepted: Collection[str] = (),
    rejected: Collection[str] = (),
) -> None:
    """Write a page that works without a network, and offers its two lists for download.

    Args:
        path: of the HTML file.
        cards: the synthetic defects.
        real: real defects, for comparison.
        title: heading of the page.
        summary: lines of text above the images.
        accepted: names of images that are on the accept list already.
        rejected: names of images that are on the reject list already.
    """
    environment = page_environment()
    environment.globals.update(whole=_whole, zoom=_zoom, outline=_outline_path, focus=focus_box)
    marks = dict.fromkeys(accepted, "accept") | dict.fromkeys(rejected, "reject")
    html = environment.get_template("contact_sheet.html").render(
        title=title,
        summary=summary,
        cards=cards,
        real=real,
        marks=marks,
        n_left_out=sum(bool(c.left_out) for c in cards),
        key=_storage_key(cards),
    )
    write_atomically(path, html.encode())


def focus_box(mask: NDArray[np.bool_]) -> Box:
    """The box that shows a defect, bool `[H, W]`, and some surface around it."""
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    side = max(round(max(w, h) * _SURROUNDINGS), _LEAST_SIDE)
    box_width, box_height = min(side, width), min(side, height)
    left = max(0, min(x + w // 2 - box_width // 2, width - box_width))
    top = max(0, min(y + h // 2 - box_height // 2, height - box_height))
    return Box(left, top, box_width, box_height)


def _section(cards: Sequence[Card], heading: str) -> NDArray[np.uint8]:
    """Cards in rows under a heading."""
    step_x, step_y = 2 * _TILE + _GAP, _TILE + _CAPTION + _GAP
    rows = -(-len(cards) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * step_x + _GAP, _HEADING + rows * step_y), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 10), heading, _INK, ImageFont.load_default(17))
    small = ImageFont.load_default(12)
    for position, card in enumerate(cards):
        row, column = divmod(position, _COLUMNS)
        x, y = _GAP + column * step_x, _HEADING + row * step_y
        box = focus_box(card.mask)
        for number, outlined in enumerate((False, True)):
            tile = _close_up(box.cut(card.image), box.cut(card.mask), outlined)
            left = x + number * _TILE + (_TILE - tile.shape[1]) // 2
            sheet.paste(Image.fromarray(tile), (left, y + (_TILE - tile.shape[0]) // 2))
        caption = f"{card.stem}  {card.kind}".strip()
        room = _TILE if card.left_out else 2 * _TILE
        pen.text((x, y + _TILE + 3), _fitted(caption, small, room), _INK, small)
        if card.left_out:
            why = f"left out: {card.left_out[0].split(':')[0]}"
            pen.text((x + _TILE, y + _TILE + 3), _fitted(why, small, _TILE), _ALERT, small)
    return np.asarray(sheet)


def _close_up(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], outlined: bool
) -> NDArray[np.uint8]:
    """A crop at the size of a tile."""
    scale = (_TILE - 2) / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    tile = cv2.resize(image, size, interpolation=method)
    if outlined:
        enlarged = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(enlarged, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        tile = cv2.drawContours(tile, contours, -1, _OUTLINE, 1)
    return np.asarray(tile, dtype=np.uint8)


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    text = drawable(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _whole(card: Card) -> str:
    return jpeg_base64(card.image, (_WHOLE, _WHOLE), _JPEG_QUALITY)


def _zoom(card: Card) -> str:
    crop = focus_box(card.mask).cut(card.image)
    return jpeg_base64(crop, (_ZOOM, _ZOOM), _JPEG_QUALITY)


def _outline_path(card: Card) -> str:
    """The mask's edge as an SVG path in pixels of the image."""
    contours, _ = cv2.findContours(
        card.mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_TC89_KCOS
    )
    pieces = []
    for contour in contours:
        points = contour[:, 0] + 0.5
        pieces.append("M" + "L".join(f"{x:g} {y:g}" for x, y in points) + "Z")
    return "".join(pieces)


def _storage_key(cards: Sequence[Card]) -> str:
    """A key that separates these images from others of the same names in the browser's storage."""
    text = repr([(card.name, sorted(card.facts.items())) for card in cards])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
