"""Inspecting an image, and looking for past inspections."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from patchcore_dual.station import log
from patchcore_dual.station.log.export import to_csv, to_json_lines
from patchcore_dual.station.station import Station
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.routes.common import (
    InspectionId,
    ModelName,
    TheStation,
    Time,
    errors,
    found,
)
from patchcore_dual.station.web.schemas import (
    EXAMPLE_ID,
    ID,
    INSPECTION,
    InspectionOut,
    Inspections,
    Verdict,
)
from patchcore_dual.station.web.security import Inspecting, Reader
from patchcore_dual.station.web.uploads import read_image

router = APIRouter(tags=["inspections"])
PICTURES = ("image", "map", "overlay", "nearest-normal", "nearest-defect")
_REGION = r"^\d{1,6},\d{1,6},\d{1,6},\d{1,6}$"
_CHUNK = 64 * 1024  # bytes of an export that are sent at once
_BINARY = {"type": "string", "format": "binary"}
_LINE = json.dumps({k: v for k, v in INSPECTION.items() if k != "links"})
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The image: as the field `image` of a form, or as the body itself.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": _BINARY},
                },
                "example": {"image": "(an image file)"},
            },
            "application/octet-stream": {"schema": _BINARY, "example": "(an image file)"},
        },
    }
}


def with_links(record: log.InspectionRecord) -> dict[str, Any]:
    """An inspection as it is answered."""
    base = f"/v1/inspections/{record.id}"
    links = {"self": base, "model": f"/v1/models/{record.model}"}
    has = {"nearest-normal": record.nearest_normal, "nearest-defect": record.nearest_defect}
    for name in PICTURES:
        if name not in has or has[name] is not None:
            links[name.replace("-", "_")] = f"{base}/{name}.png"
    return {**record.to_json(), "links": links}


@router.post(
    "/v1/models/{name}/inspections",
    status_code=201,
    response_model=InspectionOut,
    responses=errors(400, 404, 408, 413, 415, 422),
    openapi_extra=_BODY,
    dependencies=[Inspecting],
    summary="Inspect an image",
)
async def inspect(
    request: Request,
    response: Response,
    station: TheStation,
    name: ModelName,
    called: Annotated[
        str | None,
        Query(
            alias="name",
            max_length=255,
            examples=["part-0815.png"],
            description="What you call the image, for display.",
        ),
    ] = None,
) -> Any:
    """Inspect an image by a model, and keep both. What is answered is on disk."""
    station.model(name)  # before the image is read
    content, file_name = await read_image(request, station.settings.limits)
    record = await asyncio.get_running_loop().run_in_executor(
        request.app.state.senders,
        lambda: station.inspect(name, content, name=called or file_name, source="api"),
    )
    answer = with_links(record)
    response.headers["Location"] = answer["links"]["self"]
    return answer


def asked_for(
    request: Request,
    model: Annotated[str | None, Query(max_length=64, examples=["bracket"])] = None,
    verdict: Annotated[list[Verdict] | None, Query(max_length=4, examples=[["reject"]])] = None,
    review: Annotated[Literal["open", "done"] | None, Query(examples=["open"])] = None,
    since: Annotated[Time | None, Query(examples=["2026-11-26T06:00:00Z"])] = None,
    until: Annotated[Time | None, Query(examples=["2026-11-26T14:00:00Z"])] = None,
    min_score: Annotated[float | None, Query(allow_inf_nan=False, examples=[1.5])] = None,
    max_score: Annotated[float | None, Query(allow_inf_nan=False, examples=[3.0])] = None,
    name: Annotated[
        str | None, Query(max_length=255, description="A part of it.", examples=["0815"])
    ] = None,
    has_region: Annotated[bool | None, Query(examples=[True])] = None,
    region: Annotated[
        str | None,
        Query(
            pattern=_REGION,
            examples=["200,80,50,30"],
            description="x,y,width,height in pixels: a region touches this box.",
        ),
    ] = None,
) -> log.Query:
    """The filters of a list. One that is misspelt is refused: without it, all would be answered."""
    known = [name for name in asked_for.__annotations__ if name not in ("request", "return")]
    for name_given in request.query_params:
        if name_given not in (*known, "limit", "cursor"):
            raise Refusal(
                422,
                f"there is no filter {name_given!r}. Filters: {', '.join(known)}.",
                "not_valid",
            )
    box = None
    if region is not None:
        x, y, width, height = map(int, region.split(","))
        box = (x, y, width, height)
    return log.Query(
        model=model,
        verdict=frozenset(verdict or ()),
        review=review,
        since=since,
        until=until,
        min_score=min_score,
        max_score=max_score,
        name=name,
        has_region=has_region,
        region=box,
    )


Filters = Annotated[log.Query, Depends(asked_for)]


@router.get(
    "/v1/inspections",
    response_model=Inspections,
    responses=errors(422),
    dependencies=[Reader],
    summary="List inspections",
)
def list_inspections(
    station: TheStation,
    query: Filters,
    limit: Annotated[int, Query(ge=1, le=500, examples=[50])] = 50,
    cursor: Annotated[
        str | None,
        Query(pattern=ID, examples=[EXAMPLE_ID], description="`next` of the page before."),
    ] = None,
) -> Any:
    """Past inspections, the newest first; all filters have to hold."""
    page = station.log.list(query, limit, cursor)
    return {"items": [with_links(record) for record in page.items], "next": page.next}


@router.get(
    "/v1/inspections.csv",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A table in UTF-8.",
            "content": {"text/csv": {"schema": {"type": "string"}, "example": "id,at,model\n"}},
        },
        **errors(422),
    },
    dependencies=[Reader],
    summary="Export inspections as a table",
)
def export_csv(station: TheStation, query: Filters) -> StreamingResponse:
    """The inspections of a list, all of them, as CSV."""
    return _exported(station, query, to_csv, "text/csv", "csv")


@router.get(
    "/v1/inspections.jsonl",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One inspection a line.",
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}, "example": f"{_LINE}\n"}
            },
        },
        **errors(422),
    },
    dependencies=[Reader],
    summary="Export inspections as lines of JSON",
)
def export_json_lines(station: TheStation, query: Filters) -> StreamingResponse:
    """The inspections of a list, all of them, one JSON object a line."""
    return _exported(station, query, to_json_lines, "application/x-ndjson", "jsonl")


@router.get(
    "/v1/inspections/{id}",
    response_model=InspectionOut,
    responses=errors(404, 422),
    dependencies=[Reader],
    summary="One inspection",
)
def get_inspection(station: TheStation, id: InspectionId) -> Any:
    """What was found in one image, with links to its pictures."""
    return with_links(found(station, id))


def _exported(
    station: Station,
    query: log.Query,
    write: Callable[[Iterable[log.InspectionRecord]], Iterator[bytes]],
    media: str,
    suffix: str,
) -> StreamingResponse:
    station.log.list(query, 1)  # so that a wrong filter is an answer of its own
    disposition = f'attachment; filename="inspections-{datetime.now():%Y-%m-%d}.{suffix}"'
    return StreamingResponse(
        _in_chunks(write(station.log.iterate(query))),
        media_type=media,
        headers={"Content-Disposition": disposition},
    )


def _in_chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
