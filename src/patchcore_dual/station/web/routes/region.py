"""The region of interest of a model: where it inspects, and having it inspect less."""

import asyncio
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from patchcore_dual.live.narrowing import region_on
from patchcore_dual.station import changes
from patchcore_dual.station.changes import By
from patchcore_dual.station.serving.explanations import png
from patchcore_dual.station.serving.teaching import decode_mask
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.routes.common import ModelName, TheStation, errors, found, picture
from patchcore_dual.station.web.routes.lessons import LESSON, answers, edited
from patchcore_dual.station.web.schemas import EXAMPLE_ID, ID, RegionIn
from patchcore_dual.station.web.security import Reader, Teacher
from patchcore_dual.station.web.tokens import Identity

router = APIRouter(tags=["models"])
_NARROWED = {
    **LESSON,
    "taught": [],
    "effects": {"share inspected": [1.0, 0.959], "threshold": [1.52, 1.49]},
    "gained_normal": -178,
    "gained_defect": 0,
}
_REMOVED = "the image was removed, as images of its age are."


@router.get(
    "/v1/models/{name}/region.png",
    response_class=Response,
    responses={200: picture("White where it inspects."), **errors(404, 409, 410, 422)},
    dependencies=[Reader],
    summary="Where a model inspects an image",
)
async def get_region(
    request: Request,
    station: TheStation,
    name: ModelName,
    inspection: Annotated[str, Query(pattern=ID, examples=[EXAMPLE_ID])],
) -> Response:
    """The region of interest of the version in use, on an inspected image and of its size."""

    def draw() -> bytes:
        model = station.model(name).detector.model
        path = station.images.path(found(station, inspection).image)
        if not path.is_file():
            raise Refusal(410, _REMOVED)
        return png(region_on(model, path).astype(np.uint8) * np.uint8(255))

    content = await asyncio.get_running_loop().run_in_executor(request.app.state.drawers, draw)
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})


@router.post(
    "/v1/models/{name}/region",
    responses=answers(_NARROWED, 410, 415),
    summary="Have a model inspect less",
)
async def narrow(
    request: Request, station: TheStation, name: ModelName, said: RegionIn, who: Identity = Teacher
) -> JSONResponse:
    """Leave out what was marked on an inspected image, as a fixture, or only show what that would
    change (`dry_run`).

    `ignore` is a picture of the image's size, white where nothing is to be inspected any more. It
    is refused, with 409, where it would cost more than is allowed; `force` does it all the same. A
    model can only inspect less: to have it inspect more again, undo it.
    """

    def work() -> dict[str, Any]:
        station.model(name)
        record = found(station, said.inspection)
        mask, by = decode_mask(said.ignore), By(who.name, said.why)
        try:
            return changes.narrow(
                station, name, record, mask, by, dry_run=said.dry_run, force=said.force
            )
        except FileNotFoundError:
            raise Refusal(410, _REMOVED) from None

    return await edited(request, said, work)
