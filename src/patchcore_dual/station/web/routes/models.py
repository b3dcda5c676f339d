"""The models that are served: what they are, and teaching them."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from patchcore_dual.scoring.operating_points import Costs
from patchcore_dual.station import changes
from patchcore_dual.station.changes import By
from patchcore_dual.station.serving.edits import decode_mask
from patchcore_dual.station.serving.served_model import ServedModel
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.routes.common import (
    ModelName,
    TheStation,
    errors,
    example,
    found,
)
from patchcore_dual.station.web.schemas import LessonIn, ThresholdsIn
from patchcore_dual.station.web.security import Reader, Teacher
from patchcore_dual.station.web.tokens import Identity

router = APIRouter(tags=["models"])
_THRESHOLD = {
    "value": 1.52,
    "asked": 0.01,
    "expected": 0.008,
    "promised": 0.01,
    "images": 240,
    "groups": 240,
    "shortfall": "",
}
_POINT = {
    "threshold": _THRESHOLD,
    "recall_known": 0.94,
    "recall_left_out": 0.81,
    "rejected_of_1000": 8.0,
}
_SHORT = {"name": "bracket", "version": 3, "fingerprint": "0123456789abcdef", "problem": ""}
_MODEL = {
    **_SHORT,
    "size": [256, 256],
    "backbone": "efficientnet_lite0",
    "scoring": "calibrated",
    "thresholds": {
        "image": _THRESHOLD,
        "review": {**_THRESHOLD, "value": 1.21, "asked": 0.05},
        "review_share": 0.04,
        "pixel": 1.1,
        "sentences": ["Threshold 1.52: 0.8 % false alarms expected; …"],
    },
    "operating_points": [_POINT],
    "held_out": {"good": [0.4, 0.6], "defects": [1.9, 2.4], "left_out": [[1.7]]},
    "training_images": {"good": 240, "defects": 12, "synthetic": 0, "kinds": ["crack"]},
    "taught": 1,
    "can_be_taught": True,
    "can_be_taught_defects": True,
    "why_not": "",
}
_CHANGE = {
    "image": "train/negative/3.png",
    "is_defect": False,
    "before": "pass",
    "after": "review",
    "score_before": 1.1,
    "score_after": 1.3,
}
_LESSON = {
    "taught": [{**_CHANGE, "image": "part-0815.png", "before": "pass", "after": "reject"}],
    "calibration": [_CHANGE],
    "inspected": [],
    "n_inspected": 50,
    "before": _POINT,
    "after": _POINT,
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
    "proposed_mask": None,
}


def short(served: ServedModel) -> dict[str, Any]:
    """Which version of a model is in use."""
    return {
        "name": served.name,
        "version": served.version,
        "fingerprint": served.fingerprint,
        "problem": served.problem,
    }


@router.get(
    "/v1/models",
    responses={200: example([_SHORT], "Each model, and its version in use."), **errors()},
    dependencies=[Reader],
    summary="List the models",
)
def list_models(station: TheStation) -> list[dict[str, Any]]:
    """The models that are served."""
    return [short(served) for served in station.models.values()]


@router.get(
    "/v1/models/{name}",
    responses={200: example(_MODEL, "The model."), **errors(404, 409, 422)},
    dependencies=[Reader],
    summary="One model",
)
def get_model(station: TheStation, name: ModelName) -> dict[str, Any]:
    """Thresholds, what others would find, held-out scores, and whether it can be taught."""
    served = station.model(name)
    return {**station.lessons.describe(served), **short(served)}


@router.post(
    "/v1/models/{name}/lessons",
    responses={
        200: example(_LESSON, "What it changes, and whether it was accepted."),
        409: example(
            {**_LESSON, "accepted": False, "refusals": ["Recall on known defects would fall …"]},
            "Refused since it costs too much, with the same body; or the model cannot be taught, "
            "with an error.",
        ),
        **{k: v for k, v in errors(404, 408, 410, 413, 415, 422).items() if k != 409},
    },
    summary="Teach a model an inspected image",
)
async def teach(
    request: Request, station: TheStation, name: ModelName, said: LessonIn, who: Identity = Teacher
) -> JSONResponse:
    """Teach an image as good or as a defect, or only show what that would change (`dry_run`).

    It is refused, with 409, where it would cost more than is allowed; `force` teaches it all the
    same. Inspections go on meanwhile.
    """

    def work() -> JSONResponse:
        station.model(name)
        record = found(station, said.inspection)
        try:
            done = changes.teach(
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
        is_refused = bool(done["refusals"]) and not (said.dry_run or said.force)
        return JSONResponse(done, 409 if is_refused else 200)

    return await asyncio.get_running_loop().run_in_executor(request.app.state.editors, work)


@router.post(
    "/v1/models/{name}/thresholds",
    responses={
        200: example(
            {**_POINT, "threshold_before": 1.5, "accepted": False, "version": None},
            "What the thresholds do now, or would.",
        ),
        **errors(404, 408, 409, 413, 422),
    },
    summary="Set the thresholds of a model",
)
async def set_thresholds(
    request: Request,
    station: TheStation,
    name: ModelName,
    said: ThresholdsIn,
    who: Identity = Teacher,
) -> dict[str, Any]:
    """Set them by a false-alarm rate, by recall or by costs, or only show what that would do."""
    costs = None
    if said.costs is not None:
        costs = Costs(said.costs.miss, said.costs.false_alarm, said.costs.defect_share)
    return await asyncio.get_running_loop().run_in_executor(
        request.app.state.editors,
        lambda: changes.set_thresholds(
            station,
            name,
            By(who.name, said.why),
            false_alarm_rate=said.false_alarm_rate,
            recall=said.recall,
            costs=costs,
            review_rate=said.review_rate,
            dry_run=said.dry_run,
        ),
    )
