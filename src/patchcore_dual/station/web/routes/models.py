"""The models that are served: what they are, and their thresholds."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from patchcore_dual.scoring.operating_points import Costs
from patchcore_dual.station import changes
from patchcore_dual.station.changes import By
from patchcore_dual.station.serving.served_model import ServedModel
from patchcore_dual.station.web.routes.common import ModelName, TheStation, errors, example
from patchcore_dual.station.web.schemas import POINT, THRESHOLD, ThresholdsIn
from patchcore_dual.station.web.security import Reader, Teacher
from patchcore_dual.station.web.tokens import Identity

router = APIRouter(tags=["models"])
_SHORT = {"name": "bracket", "version": 3, "fingerprint": "0123456789abcdef", "problem": ""}
_MODEL = {
    **_SHORT,
    "size": [256, 256],
    "inspected_share": 1.0,
    "backbone": "efficientnet_lite0",
    "scoring": "calibrated",
    "thresholds": {
        "image": THRESHOLD,
        "review": {**THRESHOLD, "value": 1.21, "asked": 0.05},
        "review_share": 0.04,
        "pixel": 1.1,
        "sentences": ["Threshold 1.52: 0.8 % false alarms expected; …"],
    },
    "operating_points": [POINT],
    "held_out": {"good": [0.4, 0.6], "defects": [1.9, 2.4], "left_out": [[1.7]]},
    "training_images": {"good": 240, "defects": 12, "synthetic": 0, "kinds": ["crack"]},
    "taught": 1,
    "can_be_taught": True,
    "can_be_taught_defects": True,
    "why_not": "",
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
    "/v1/models/{name}/thresholds",
    responses={
        200: example(
            {**POINT, "threshold_before": 1.5, "accepted": False, "version": None},
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
