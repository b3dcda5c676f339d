"""The pictures of an inspection: the image, where it is anomalous, and what it is most like."""

import asyncio
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from patchcore_dual.data.reading import read
from patchcore_dual.errors import ModelError
from patchcore_dual.scoring.inspection import Match
from patchcore_dual.station.log import InspectionRecord
from patchcore_dual.station.serving.explanations import heat_of, overlay, png
from patchcore_dual.station.station import Station
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.routes.common import (
    InspectionId,
    TheStation,
    errors,
    found,
    picture,
)
from patchcore_dual.station.web.security import Reader

router = APIRouter(tags=["inspections"])
Picture = Literal["image", "map", "overlay", "nearest-normal", "nearest-defect"]
_LASTING = {"Cache-Control": "private, max-age=86400, immutable"}


@router.get(
    "/v1/inspections/{id}/{what}.png",
    response_class=Response,
    responses={200: picture("The picture."), **errors(404, 409, 410, 422)},
    dependencies=[Reader],
    summary="A picture of an inspection",
)
async def get_picture(
    request: Request,
    station: TheStation,
    id: InspectionId,
    what: Annotated[Picture, Path(examples=["overlay"])],
    width: Annotated[
        int | None, Query(ge=1, le=4096, examples=[320], description="Shrink it to this width.")
    ] = None,
) -> Response:
    """The image as it was sent, its anomaly map (grey, of the image's size), the image under its
    map, or the nearest normal or defect patch."""

    def draw() -> bytes:
        try:
            return png(shrunk(_pixels(station, found(station, id), what), width))
        except FileNotFoundError:
            raise Refusal(410, "the image was removed, as images of its age are.") from None
        except ModelError as error:
            raise Refusal(410, str(error)) from None

    content = await asyncio.get_running_loop().run_in_executor(request.app.state.drawers, draw)
    return Response(content, media_type="image/png", headers=_LASTING)


def shrunk(pixels: np.ndarray, width: int | None) -> np.ndarray:
    """A picture no wider than a width, by the mean of what each pixel covers.

    >>> shrunk(np.zeros((40, 20), np.uint8), 10).shape
    (20, 10)
    """
    if width is None or width >= pixels.shape[1]:
        return pixels
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))


def _pixels(station: Station, record: InspectionRecord, what: Picture) -> np.ndarray:
    if what == "image":
        return _image(station, record)
    if what == "map":
        return _heat(station, record)
    if what == "overlay":
        return overlay(_image(station, record), _heat(station, record))
    match = record.nearest_normal if what == "nearest-normal" else record.nearest_defect
    pixels = None if match is None else station.model(record.model).picture(_match(match))
    if pixels is None:
        raise Refusal(404, "the training image of this patch is not at hand.")
    return pixels


def _image(station: Station, record: InspectionRecord) -> np.ndarray:
    served = station.models.get(record.model)
    depth = served.detector.model.bit_depth if served else None
    return np.asarray(read(station.images.read(record.image), depth).pixels)


def _heat(station: Station, record: InspectionRecord) -> np.ndarray:
    heat = station.heat_maps.get(record.id)
    if heat is None:
        inspection = station.inspect_again(record)
        station.heat_maps.keep(record.id, inspection)
        heat = heat_of(inspection)
    return heat


def _match(values: dict[str, Any]) -> Match:
    return Match(values["image"], values["row"], values["column"], values["distance"])
