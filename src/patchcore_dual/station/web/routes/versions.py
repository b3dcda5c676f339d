"""The versions of a model: its ledger, undo, tags, and what two of them do differently."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from patchcore_dual.model.versions import history
from patchcore_dual.station import changes
from patchcore_dual.station.changes import By
from patchcore_dual.station.serving.edits import known_versions
from patchcore_dual.station.web.routes.common import ModelName, TheStation, errors, example
from patchcore_dual.station.web.schemas import EXAMPLE_ID, ID, TagIn, UndoIn
from patchcore_dual.station.web.security import Reader, Teacher
from patchcore_dual.station.web.tokens import Identity

router = APIRouter(tags=["versions"])
_VERSION = {
    "number": 3,
    "at": "2026-11-26T08:00:00+00:00",
    "by": "ada",
    "action": "teach",
    "why": "missed at the end of the shift",
    "images": [{"name": "station/01KB…", "sha256": "ab" * 32, "label": "defect", "kind": "crack"}],
    "effects": {"threshold": [1.52, 1.49]},
    "before": "0123456789abcdef",
    "fingerprint": "fedcba9876543210",
    "previous": "cd" * 32,
    "pruned": False,
}
_DONE = {"version": 5, "changed": True, "fingerprint": "0123456789abcdef"}
_EDIT = {
    "id": EXAMPLE_ID,
    "at": "2026-11-26T08:00:00+00:00",
    "model": "bracket",
    "version": 3,
    "fingerprint": "fedcba9876543210",
    "action": "teach",
    "by": "ada",
    "why": "missed",
    "inspection": EXAMPLE_ID,
    "images": ["ab" * 32],
    "effects": {"threshold": [1.52, 1.49]},
}
Which = Annotated[
    str,
    Query(
        pattern=r"^[\w.-]{1,64}$",
        examples=["2"],
        description="The number of a version, or a tag.",
    ),
]


@router.get(
    "/v1/models/{name}/versions",
    responses={
        200: example(
            {"in_place": 3, "tags": {"approved": 3}, "versions": [_VERSION]}, "The ledger."
        ),
        **errors(404, 409, 422),
    },
    dependencies=[Reader],
    summary="The versions of a model",
)
def versions(station: TheStation, name: ModelName) -> dict[str, Any]:
    """Every change of a model, the oldest first: who made it, when, what and why."""
    folder = station.model(name).folder
    ledger = history(folder)
    return {
        "in_place": ledger.origin(ledger.last).number,
        "tags": ledger.tags,
        "versions": known_versions(folder),
    }


@router.post(
    "/v1/models/{name}/undo",
    responses={
        200: example({**_DONE, "was": 4, "now": 3}, "The version in place."),
        **errors(404, 408, 409, 413, 422),
    },
    summary="Go back to a version",
)
async def undo(
    request: Request, station: TheStation, name: ModelName, said: UndoIn, who: Identity = Teacher
) -> dict[str, Any]:
    """Put an earlier version in place, exactly as it was; nothing is lost."""
    return await asyncio.get_running_loop().run_in_executor(
        request.app.state.editors,
        lambda: changes.undo(station, name, said.to, By(who.name, said.why)),
    )


@router.post(
    "/v1/models/{name}/tags",
    responses={
        200: example({**_DONE, "tags": {"approved": 3}}, "The tags."),
        **errors(404, 408, 409, 413, 422),
    },
    summary="Name a version",
)
async def tag(
    request: Request, station: TheStation, name: ModelName, said: TagIn, who: Identity = Teacher
) -> dict[str, Any]:
    """Give a version a name, which protects it; `approved` approves it."""
    return await asyncio.get_running_loop().run_in_executor(
        request.app.state.editors,
        lambda: changes.tag(station, name, said.tag, said.version, By(who.name, said.why)),
    )


@router.get(
    "/v1/models/{name}/compare",
    responses={
        200: example(
            {
                "versions": ["2", "3"],
                "fingerprints": ["0123456789abcdef", "fedcba9876543210"],
                "differences": {"thresholds": {"image": [1.52, 1.49]}},
                "calibration": {"n": 252, "changes": []},
                "logged": {"n": 50, "changes": []},
            },
            "What differs.",
        ),
        **errors(404, 409, 422),
    },
    dependencies=[Reader],
    summary="Compare two versions",
)
async def compare(
    request: Request,
    station: TheStation,
    name: ModelName,
    a: Which,
    b: Which,
    last: Annotated[
        int, Query(ge=0, le=500, examples=[50], description="Images inspected last.")
    ] = 50,
) -> dict[str, Any]:
    """Which verdicts differ on the calibration images, and on the images inspected last."""

    def work() -> dict[str, Any]:
        served = station.model(name)
        logged = station.recent_images(name, last) if last else []
        return station.lessons.compare(served, a, b, logged)

    return await asyncio.get_running_loop().run_in_executor(request.app.state.editors, work)


@router.get(
    "/v1/edits",
    responses={200: example({"items": [_EDIT], "next": None}, "The edits."), **errors(422)},
    dependencies=[Reader],
    summary="Edits made in the station",
)
def edits(
    station: TheStation,
    model: Annotated[str | None, Query(max_length=64, examples=["bracket"])] = None,
    limit: Annotated[int, Query(ge=1, le=500, examples=[50])] = 50,
    cursor: Annotated[str | None, Query(pattern=ID, examples=[EXAMPLE_ID])] = None,
) -> dict[str, Any]:
    """Changes of the models that were made in the station, the newest first."""
    page = station.log.edits(model, limit, cursor)
    return {"items": [edit.to_json() for edit in page.items], "next": page.next}
