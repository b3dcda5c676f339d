"""`HeatMaps`: the heat maps of the latest inspections, so that they are not computed twice."""

import threading
from collections import OrderedDict

import cv2
import numpy as np

from patchcore_dual.errors import StationError
from patchcore_dual.scoring.drawing import heat_overlay
from patchcore_dual.scoring.inspection import Inspection

KEPT_BYTES = 128 * 2**20


class HeatMaps:
    """Keeps heat maps by the id of the inspection, the latest ones up to a limit.

    Args:
        limit: bytes that all of them may take.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit, self._used = limit, 0
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, id: str, inspection: Inspection) -> np.ndarray:
        """Keep the heat map of an inspection, and give it: uint8 `[H, W]`."""
        heat: np.ndarray = (inspection.heat * np.float32(255)).astype(np.uint8)
        with self._lock:
            if id not in self._kept and heat.nbytes <= self._limit:
                self._kept[id] = heat
                self._used += heat.nbytes
            while self._used > self._limit:
                self._used -= self._kept.popitem(last=False)[1].nbytes
        return heat

    def get(self, id: str) -> np.ndarray | None:
        """The heat map uint8 `[H, W]` of an inspection, if it is kept."""
        with self._lock:
            if id in self._kept:
                self._kept.move_to_end(id)
            return self._kept.get(id)


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image under its heat map, uint8 `[H, W, 3]`, from one uint8 `[H, W, 3]` and `[H, W]`."""
    return heat_overlay(image, heat.astype(np.float32) / 255)


def png(picture: np.ndarray) -> bytes:
    """A picture uint8 `[H, W, 3]`, RGB, or `[H, W]` as the bytes of a PNG file, made quickly.

    >>> png(np.zeros((2, 2), np.uint8))[1:4]
    b'PNG'
    """
    pixels = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise StationError("the picture cannot be written as PNG.")
    return data.tobytes()
