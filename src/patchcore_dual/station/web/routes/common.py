"""What many routes need: the station, parts of paths, and errors as they are documented."""

import re
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from pydantic import AwareDatetime, BeforeValidator

from patchcore_dual.station.log import InspectionRecord
from patchcore_dual.station.settings import MODEL_NAME
from patchcore_dual.station.station import Station
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.schemas import EXAMPLE_ID, ID, Error

_ERRORS = {
    400: "The request cannot be read.",
    404: "There is no such thing.",
    408: "The request did not arrive in time.",
    409: "The model does not allow this; the message says why.",
    410: "The image, or the version of the model, was removed.",
    413: "The image is too large.",
    415: "This is no image.",
    422: "A value is not valid, or this is not possible; the message says why.",
}
_ALWAYS = {
    401: "A token is needed, or this one is not known.",
    403: "The token's role does not allow this, or the request comes from elsewhere.",
    429: "Too many wrong tokens.",
    503: "Too busy, or something is not available for now. Retry-After says when to try again.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def station_of(request: Request) -> Station:
    """The station that the app serves."""
    station: Station = request.app.state.station
    return station


def _check_time(text: Any) -> Any:
    """Let through what begins as a time does; pydantic would take numbers for seconds."""
    if not (isinstance(text, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", text)):
        raise ValueError("give a time with a time zone, as 2026-11-26T06:00:00Z")
    return text


Time = Annotated[AwareDatetime, BeforeValidator(_check_time)]
TheStation = Annotated[Station, Depends(station_of)]
ModelName = Annotated[
    str, Path(pattern=f"^{MODEL_NAME}$", examples=["bracket"], description="Of a served model.")
]
InspectionId = Annotated[
    str, Path(pattern=ID, examples=[EXAMPLE_ID], description="Of an inspection.")
]


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of a route's errors; 408 is for those that read a body."""
    with_body = {400} if 408 in statuses else set()
    texts = {status: _ERRORS[status] for status in {*statuses, *with_body}} | _ALWAYS
    return {
        status: {
            "model": Error,
            "description": text,
            **({"headers": _RETRY} if status in (429, 503) else {}),
        }
        for status, text in sorted(texts.items())
    }


def example(value: Any, description: str, media: str = "application/json") -> dict[str, Any]:
    """The documentation of an answer by an example."""
    content = {"schema": _schema_of(value), "example": value}
    return {"description": description, "content": {media: content}}


def picture(description: str) -> dict[str, Any]:
    """The documentation of an answer that is a PNG file."""
    schema = {"type": "string", "format": "binary"}
    return {
        "description": description,
        "content": {"image/png": {"schema": schema, "example": "(a PNG file)"}},
    }


def found(station: Station, id: str) -> InspectionRecord:
    """The inspection of an id; refused with 404 where there is none."""
    record = station.log.get(id)
    if record is None:
        raise Refusal(404, f"there is no inspection {id}.")
    return record


def _schema_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"type": "object", "additionalProperties": True}
    if isinstance(value, list):
        return {"type": "array", "items": {}}
    return {"type": "string"}
