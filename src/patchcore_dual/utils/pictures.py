"""Pictures as bytes and as text for HTML pages."""

import base64
import io
import unicodedata

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

# Letters that Unicode does not take apart into a letter and an accent.
_ALONE = {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
_ALONE |= {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "þ": "th", "Þ": "Th"}


def drawable(text: str) -> str:
    """The text in the letters that Pillow's own font has; it would draw boxes for all others.

    >>> drawable("Riß/Prüfling…")
    'Riss/Prufling…'
    """
    letters = []
    for letter in unicodedata.normalize("NFC", text):
        bare = _ALONE.get(letter) or unicodedata.normalize("NFKD", letter)
        bare = "".join(c for c in bare if not unicodedata.combining(c))
        if letter in "…±":
            letters.append(letter)
        else:
            letters.append(bare if bare.isascii() and bare else ascii(letter)[1:-1])
    return "".join(letters)


def end_of(name: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """A file's name as it is drawn: its end, where there is no room for all of it.

    Args:
        width: of the room, in pixels.
    """
    text = drawable(name)
    while font.getlength(text) > width:
        text = f"…{text.lstrip('…')[1:]}"
    return text


def jpeg_base64(
    picture: NDArray[np.uint8], largest_size: tuple[int, int], quality: int = 82
) -> str:
    """A picture as a base64 JPEG, for a `data:image/jpeg;base64,` address.

    >>> jpeg_base64(np.zeros((200, 100, 3), np.uint8), largest_size=(50, 50))[:4]
    '/9j/'

    Args:
        picture: uint8 `[H, W, 3]`, RGB.
        largest_size: width and height in pixels that it is shrunk to fit into; it is never
            enlarged.
        quality: of the JPEG, 0 to 100.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, largest_size[0] / width, largest_size[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return base64.b64encode(jpeg_bytes(picture, quality)).decode()


def jpeg_bytes(picture: NDArray[np.uint8], quality: int = 88) -> bytes:
    """A picture, uint8 `[H, W, 3]` RGB, as the bytes of a JPEG file.

    >>> jpeg_bytes(np.zeros((2, 2, 3), np.uint8))[:2].hex()
    'ffd8'
    """
    bgr = np.ascontiguousarray(picture[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """A picture, uint8 `[H, W, 3]` RGB, as the bytes of a PNG file.

    >>> png_bytes(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
