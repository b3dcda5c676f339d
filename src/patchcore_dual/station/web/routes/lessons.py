"""Teaching a model an inspected image, and taking training images out of it."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from patchcore_dual.station import changes
from patchcore_dual.station.changes import By
from patchcore_dual.station.serving.teaching import decode_mask
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.routes.common import (
    ModelName,
    TheStation,
    errors,
    example,
    found,
)
from patchcore_dual.station.web.schemas import POINT, LessonIn, RegionIn, RemovalIn
from patchcore_dual.station.web.security import Teacher
from patchcore_dual.station.web.tokens import Identity

router = APIRouter(tags=["models"])
_CHANGE = {
    "image": "train/negative/3.png",
    "is_defect": False,
    "before": "pass",
    "after": "review",
    "score_before": 1.1,
    "score_after": 1.3,
}
LESSON = {
    "taught": [{**_CHANGE, "image": "part-0815.png", "before": "pass", "after": "reject"}],
    "calibration": [_CHANGE],
    "inspected": [],
    "n_inspected": 50,
    "before": POINT,
    "after": POINT,
    "effects": {"threshold": [1.52, 1.49]},
    "gained_normal": 0,
    "gained_defect": 9,
    "approximations": [],
    "refusals": [],
    "notes": [],
    "accepted": True,
    "version": 4,
    "changed": True,
    "fingerprint": "fedcba9876543210",
    "removed": [],
    "proposed_mask": None,
}
_REMOVAL = {
    **LESSON,
    "taught": [{**_CHANGE, "before": "reject", "after": "reject"}],
    "gained_normal": -12,
    "gained_defect": 0,
    "removed": ["train/negative/3.png"],
}


def answers(done: dict[str, Any], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of an edit that may be refused."""
    refused = {
        **done,
        "accepted": False,
        "changed": False,
        "refusals": ["Recall on known defects would fall …"],
    }
    return {
        **errors(404, 408, 413, 422, *statuses),
        200: example(done, "What it changes, and whether it was accepted."),
        409: example(
            refused,
            "Refused since it costs too much, with the same body; or the model cannot be taught, "
            "with an error.",
        ),
    }


@router.post(
    "/v1/models/{name}/lessons",
    responses=answers(LESSON, 410, 415),
    summary="Teach a model an inspected image",
)
async def teach(
    request: Request, station: TheStation, name: ModelName, said: LessonIn, who: Identity = Teacher
) -> JSONResponse:
    """Teach an image as good or as a defect, or only show what that would change (`dry_run`).

    It is refused, with 409, where it would cost more than is allowed; `force` teaches it all the
    same. Inspections go on meanwhile.
    """

    def work() -> dict[str, Any]:
        station.model(name)
        record = found(station, said.inspection)
        try:
            return changes.teach(
                station,
                name,
                record,
                said.label,
                By(who.name, said.why),
                mask=None if said.mask is None else decode_mask(said.mask),
                kind=said.kind,
                group=said.group,
                dry_run=said.dry_run,
                force=said.force,
            )
        except FileNotFoundError:
            raise Refusal(410, "the image was removed, as images of its age are.") from None

    return await edited(request, said, work)


@router.post(
    "/v1/models/{name}/removals",
    responses=answers(_REMOVAL),
    summary="Take training images out of a model",
)
async def remove(
    request: Request,
    station: TheStation,
    name: ModelName,
    said: RemovalIn,
    who: Identity = Teacher,
) -> JSONResponse:
    """Take images out that are mislabelled or spoiled, with the synthetic ones made from them.

    Shown, refused and forced as lessons are. The end of a name will do where it is the only one.
    """

    def work() -> dict[str, Any]:
        by = By(who.name, said.why)
        return changes.remove(
            station, name, said.images, by, dry_run=said.dry_run, force=said.force
        )

    return await edited(request, said, work)


async def edited(
    request: Request, said: LessonIn | RemovalIn | RegionIn, work: Callable[[], dict[str, Any]]
) -> JSONResponse:
    """Make an edit, and answer 409 where it was refused."""
    loop = asyncio.get_running_loop()
    done = await loop.run_in_executor(request.app.state.editors, work)
    is_refused = bool(done["refusals"]) and not (said.dry_run or said.force)
    return JSONResponse(done, 409 if is_refused else 200)
