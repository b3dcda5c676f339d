"""`ImageWork`: what the worker does to one image, and the record that comes of it."""

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from patchcore_dual.data.pixels import read_pixels
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.station.log.records import InspectionRecord
from patchcore_dual.station.serving.served_model import ServedModel


@dataclass(frozen=True)
class Inspected:
    """An inspection, and what judged it.

    Attributes:
        inspection: what was found.
        model, version: name and version of the model.
        milliseconds: how long each step took.
    """

    inspection: Inspection
    model: str
    version: int | None
    milliseconds: dict[str, float]

    def record(self, id: str, *, name: str, source: str, image: str) -> InspectionRecord:
        """What the log keeps of it; see `InspectionRecord`."""
        height, width = self.inspection.image.shape[:2]
        values = self.inspection.to_json()
        del values["path"]
        values.pop("motion", None)
        if self.inspection.reason:
            notes = (self.inspection.reason, values["note"])
            values["note"] = "; ".join(note for note in notes if note)
        fingerprint = values.pop("model")
        return InspectionRecord(
            id=id,
            at=datetime.now(UTC),
            model=self.model,
            version=self.version,
            fingerprint=fingerprint,
            source=source,
            name=name,
            image=image,
            width=width,
            height=height,
            milliseconds=self.milliseconds,
            **values,
        )


class ImageWork:
    """Decodes an image, and has the model in use inspect it.

    Args:
        served: inspects.
        content: the bytes of the image file.

    Attributes:
        read: is set when the image was decoded, or cannot be.
        is_decoded: whether it was.
    """

    def __init__(self, served: ServedModel, content: bytes) -> None:
        self._served, self._content = served, content
        self._submitted = time.monotonic()
        self.read, self.is_decoded = threading.Event(), False

    def __call__(self) -> Inspected:
        begun = time.monotonic()
        self._served.refresh(wait=False)
        detector, version = self._served.in_use
        try:
            pixels, _, how_read = read_pixels(self._content, "the image", detector.model.bit_depth)
            self.is_decoded = True
        finally:
            self.read.set()
        decoded = time.monotonic()
        inspection = detector.inspect(pixels)
        notes = "; ".join(note for note in (how_read, inspection.note) if note)
        steps = {
            "queue": begun - self._submitted,
            "decode": decoded - begun,
            "inspect": time.monotonic() - decoded,
        }
        milliseconds = {name: round(1000 * seconds, 2) for name, seconds in steps.items()}
        inspection = replace(inspection, note=notes)
        return Inspected(inspection, self._served.name, version, milliseconds)
