"""`HeatMaps`: the heat maps of the latest inspections, so that they are not computed twice."""

import threading
from collections import OrderedDict
from dataclasses import replace

import cv2
import numpy as np

from patchcore_dual.errors import StationError
from patchcore_dual.scoring.drawing import heat_overlay
from patchcore_dual.scoring.inspection import Inspection

KEPT_BYTES = 64 * 2**20
_NOTHING = np.empty((0, 0, 3), np.uint8)


class HeatMaps:
    """Keeps the anomaly maps of inspections by their ids, the latest ones up to a limit.

    Args:
        limit: bytes that all of them may take.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit, self._used = limit, 0
        self._kept: OrderedDict[str, Inspection] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, id: str, inspection: Inspection) -> None:
        """Keep the map of an inspection. It is drawn when somebody looks at it."""
        kept = replace(inspection, image=_NOTHING, picture_of=None)
        with self._lock:
            if id not in self._kept:
                self._kept[id] = kept
                self._used += kept.anomaly_map.nbytes
            while self._used > self._limit:
                self._used -= self._kept.popitem(last=False)[1].anomaly_map.nbytes

    def get(self, id: str) -> np.ndarray | None:
        """The heat map uint8 `[H, W]` of an inspection, if it is kept."""
        with self._lock:
            inspection = self._kept.get(id)
            if inspection is not None:
                self._kept.move_to_end(id)
        return None if inspection is None else heat_of(inspection)


def heat_of(inspection: Inspection) -> np.ndarray:
    """The heat map of an inspection, uint8 `[H, W]`."""
    heat: np.ndarray = (inspection.heat * np.float32(255)).astype(np.uint8)
    return heat


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
