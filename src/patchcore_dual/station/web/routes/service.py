"""The station itself: health, figures, events, and signing in."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from patchcore_dual.station.serving.explanations import png
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.metrics import CONTENT_TYPE
from patchcore_dual.station.web.routes.common import (
    ModelName,
    TheStation,
    errors,
    example,
    picture,
)
from patchcore_dual.station.web.schemas import EXAMPLE_ID, ID, Error, Session, TokenIn
from patchcore_dual.station.web.security import COOKIE, Reader, Security, address_of
from patchcore_dual.station.web.tokens import Identity

router = APIRouter(tags=["station"])
_MONTH = 30 * 24 * 3600  # seconds that a browser stays signed in
_DRIFT = {
    "status": "drifting",
    "images": 1290,
    "level": 0.01,
    "since": 1240,
    "found": 1258,
    "message": "Since image 1,240 good parts are no longer like those the model was fitted on: "
    "they are blurrier (by 2.1 standard deviations). The promised false-alarm rate does not hold.",
    "advice": "Clean the lens and check its focus. If parts are to look like this from now on, "
    "teach about 20 good images of them, or fit again with them.",
    "changes": [{"statistic": "sharpness", "before": -0.92, "now": -1.01, "deviations": -2.1}],
    "past": [{"since": 310, "last": 352}],
}
_STATE = {
    "models": [
        {
            "name": "bracket",
            "version": 3,
            "fingerprint": "0123456789abcdef",
            "problem": "",
            "drift": _DRIFT,
        }
    ],
    "drift": {"status": "drifting"},
    "watch": {"folders": [], "outlets": []},
    "queue": {"waiting": 0, "limit": 8},
    "database": {"is_available": True},
    "disk": {"free": 10**11, "total": 10**12},
    "seconds_up": 60.0,
    "at": "2026-11-26T08:00:00+00:00",
}
_EVENT = f'id: {EXAMPLE_ID}\nevent: inspection\ndata: {{"id": "{EXAMPLE_ID}"}}\n\n'


@router.get(
    "/v1/state",
    responses={200: example(_STATE, "How the station does."), **errors()},
    dependencies=[Reader],
    summary="How the station does",
)
def state(station: TheStation) -> dict[str, Any]:
    """Models, queue, drift, database and disk."""
    return station.state()


@router.get(
    "/v1/models/{name}/drift.png",
    response_class=Response,
    responses={200: picture("The picture."), **errors(404, 409, 422)},
    dependencies=[Reader],
    summary="A picture of what has changed",
)
def drift_picture(station: TheStation, name: ModelName) -> Response:
    """Mean brightness and mean distance to the normal bank over a coarse grid of the image: of the
    good training images, of the latest images, and the difference."""
    drawn = station.model(name).in_use.drift.picture()
    if drawn is None:
        raise Refusal(409, "no drift is measured yet: see `drift` in /v1/state.", "not_possible")
    return Response(png(drawn), media_type="image/png", headers={"Cache-Control": "no-store"})


@router.get(
    "/v1/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: state, inspection, decision, edit.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENT}},
        },
        **errors(422),
    },
    dependencies=[Reader],
    summary="What happens, as it happens",
)
async def events(
    request: Request,
    last_event_id: Annotated[
        str | None,
        Header(pattern=ID, examples=[EXAMPLE_ID], description="The last inspection known."),
    ] = None,
    limit: Annotated[
        int | None, Query(ge=1, le=1000, examples=[1], description="End after so many events.")
    ] = None,
) -> StreamingResponse:
    """Events as they come. A browser that was cut off is told of the inspections since."""
    source = request.app.state.events
    if source.is_full:
        raise Refusal(503, "too many are listening already.", "too_many", retry_after=10)
    return StreamingResponse(
        source.stream(last_event_id or "", limit),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get(
    "/v1/session",
    response_model=Session,
    responses=errors(),
    summary="Who is signed in",
)
def session(request: Request) -> Any:
    """Whether a token is needed, and what whoever asks may do."""
    return _session(request, request.scope["state"]["identity"])


@router.post(
    "/v1/session",
    response_model=Session,
    responses=errors(408, 413, 422),
    summary="Sign in",
)
def sign_in(request: Request, response: Response, said: TokenIn) -> Any:
    """Keep a token in a cookie that only the station sees, for its page."""
    security: Security = request.scope["state"]["security"]
    if not security.needs_token:
        return _session(request, request.scope["state"]["identity"])
    identity = security.find(said.token, address_of(request.scope))
    if identity is None:
        raise Refusal(401, "this token is not known. It may have been removed.")
    response.set_cookie(
        COOKIE,
        said.token,
        max_age=_MONTH,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return _session(request, identity)


@router.delete(
    "/v1/session",
    response_model=Session,
    responses=errors(),
    summary="Sign out",
)
def sign_out(request: Request, response: Response) -> Any:
    """Forget the token of this browser."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    is_needed = request.scope["state"]["security"].needs_token
    return _session(request, None if is_needed else request.scope["state"]["identity"])


@router.get(
    "/healthz",
    responses={200: example({"status": "alive"}, "The process answers.")},
    summary="Whether the process is alive",
)
async def alive() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    responses={
        200: example({"status": "ready", "problems": []}, "Images can be sent."),
        503: {"model": Error, "description": "Not now."},
    },
    summary="Whether images can be sent",
)
async def ready(station: TheStation) -> JSONResponse:
    """Whether images can be sent; what else is wrong is listed."""
    if station.is_stopping.is_set():
        raise Refusal(503, "the station is stopping.", "stopping", retry_after=5)
    if station.is_disk_full:
        raise Refusal(
            503,
            f"the disk of {station.settings.data} is full: no image can be kept, and none is "
            "inspected, until there is room.",
            "disk_full",
            retry_after=10,
        )
    problems = [f"{s.name}: {s.problem}" for s in station.models.values() if s.problem]
    if not station.log.is_available:
        problems.append("the database is away; results are spooled until it is back.")
    return JSONResponse({"status": "ready", "problems": problems})


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Figures for Prometheus.",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": "patchcore_dual_queue_waiting 0.0\n",
                }
            },
        },
        **errors(),
    },
    dependencies=[Reader],
    summary="The station in figures",
)
def metrics(request: Request) -> Response:
    """Latency, queue, verdicts, edits, drift, for Prometheus."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE)


def _session(request: Request, identity: Identity | None) -> dict[str, Any]:
    return {
        "needs_token": request.scope["state"]["security"].needs_token,
        "name": identity.name if identity else None,
        "role": identity.role if identity else None,
    }
