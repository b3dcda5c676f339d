"""What a person decides on an inspection, and how many of each verdict there were."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from patchcore_dual.station.log import Decision
from patchcore_dual.station.web.routes.common import (
    InspectionId,
    TheStation,
    Time,
    errors,
    example,
    found,
)
from patchcore_dual.station.web.routes.inspections import with_links
from patchcore_dual.station.web.schemas import DecisionIn, InspectionOut
from patchcore_dual.station.web.security import Reader, Teacher
from patchcore_dual.station.web.tokens import Identity

router = APIRouter()
_SHIFT = timedelta(hours=8)


@router.post(
    "/v1/inspections/{id}/decision",
    response_model=InspectionOut,
    responses=errors(404, 408, 413, 422),
    tags=["inspections"],
    summary="Decide on an inspection",
)
def decide(station: TheStation, id: InspectionId, said: DecisionIn, who: Identity = Teacher) -> Any:
    """Say what an image shows, without teaching it to the model; "skip" says nothing."""
    found(station, id)
    decision = Decision(label=said.label, by=who.name, at=datetime.now(UTC), why=said.why)
    return with_links(station.decide(id, decision))


@router.delete(
    "/v1/inspections/{id}/decision",
    response_model=InspectionOut,
    responses=errors(404, 422),
    dependencies=[Teacher],
    tags=["inspections"],
    summary="Take a decision back",
)
def undecide(station: TheStation, id: InspectionId) -> Any:
    """Take the decision on an inspection back. What the model was taught stays; see undo."""
    station.images.hold(found(station, id).image)  # as below
    return with_links(station.decide(id, None))


@router.post(
    "/v1/inspections/{id}/review",
    response_model=InspectionOut,
    responses=errors(404, 422),
    dependencies=[Teacher],
    tags=["inspections"],
    summary="Put an inspection into the review queue",
)
def ask_for_review(station: TheStation, id: InspectionId) -> Any:
    """Have somebody look at an image, whatever its verdict."""
    station.images.hold(found(station, id).image)  # retention spares what is to be reviewed
    record = station.log.request_review(id)
    station.tell("decision", record.to_json())
    return with_links(record)


@router.get(
    "/v1/counts",
    responses={
        200: example({"pass": 912, "review": 31, "reject": 7}, "How many of each verdict."),
        **errors(422),
    },
    dependencies=[Reader],
    tags=["station"],
    summary="Count verdicts",
)
def counts(
    station: TheStation,
    since: Annotated[
        Time | None,
        Query(description="By default 8 hours ago.", examples=["2026-11-26T06:00:00Z"]),
    ] = None,
    model: Annotated[str | None, Query(max_length=64, examples=["bracket"])] = None,
) -> dict[str, int]:
    """How many images passed, are for review, were rejected and not inspected since a time."""
    return station.log.counts(since or datetime.now(UTC) - _SHIFT, model)
