"""Errors as JSON: the text of the command line, a code that programs read, and a status."""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match

from patchcore_dual.errors import (
    DataError,
    ImageError,
    ModelError,
    PatchCoreDualError,
    SettingsError,
    StationError,
    UnavailableError,
)
from patchcore_dual.station.serving.editor import EditorBusy
from patchcore_dual.station.serving.image_limits import NotAnImage, TooManyPixels
from patchcore_dual.station.serving.inspector import QueueFull, TooSlow
from patchcore_dual.station.station import TooManyBytes, UnknownModel

_logger = logging.getLogger(__name__)

# Of each error its status and code; the first that fits.
_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (UnknownModel, 404, "unknown_model"),
    (TooManyBytes, 413, "too_large"),
    (TooManyPixels, 413, "too_large"),
    (NotAnImage, 415, "not_an_image"),
    (ImageError, 422, "damaged_image"),
    (QueueFull, 503, "queue_full"),
    (TooSlow, 503, "too_slow"),
    (EditorBusy, 503, "edits_waiting"),
    (UnavailableError, 503, "unavailable"),
    (DataError, 422, "not_possible"),
    (SettingsError, 422, "not_possible"),
    (ModelError, 409, "model"),
    (StationError, 422, "not_possible"),
    (PatchCoreDualError, 422, "not_possible"),
)
_CODES = {
    400: "bad_request",
    401: "no_token",
    403: "not_allowed",
    404: "not_found",
    405: "wrong_method",
    408: "too_slow",
    410: "removed",
    413: "too_large",
    415: "wrong_type",
    429: "too_many_attempts",
}
_RETRY_AFTER = 1.0  # seconds, of what is over soon


class Refusal(HTTPException):
    """A request that is answered by an error.

    Args:
        status: of HTTP.
        message: what is wrong, and what to do.
        code: for programs; by default that of the status.
        retry_after: seconds after which it may be tried again.
    """

    def __init__(
        self, status: int, message: str, code: str = "", retry_after: float | None = None
    ) -> None:
        headers = {} if retry_after is None else {"Retry-After": _seconds(retry_after)}
        super().__init__(status, message, headers)
        self.code = code or _CODES.get(status, "error")


def error_body(code: str, message: str) -> dict[str, Any]:
    """The JSON of an error."""
    return {"error": {"code": code, "message": message}}


def refuse(refusal: Refusal) -> JSONResponse:
    """The answer that a refusal is."""
    body = error_body(refusal.code, str(refusal.detail))
    return JSONResponse(body, refusal.status_code, refusal.headers)


def install(app: FastAPI) -> None:
    """Answer every error in this way."""
    app.add_exception_handler(StarletteHTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(PatchCoreDualError, _of_the_input)
    app.add_exception_handler(Exception, _of_the_program)


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    code = getattr(error, "code", _CODES.get(error.status_code, "error"))
    message = str(error.detail)
    if not isinstance(error, Refusal):
        message = {
            404: f"there is nothing at {request.url.path}. See /openapi.json for what there is.",
            405: f"{request.method} is not possible here.",
        }.get(error.status_code, message)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
    return JSONResponse(error_body(code, message), error.status_code, headers)


def _methods_at(request: Request) -> set[str]:
    """The methods that a path has: several routes may share it."""
    return {
        method
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }


async def _of_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = []
    for one in error.errors():
        place = ".".join(str(part) for part in one["loc"][1:]) or str(one["loc"][0])
        said.append(f"{place}: {_what_is_wrong(one)}")
    message = "; ".join(said).encode(errors="replace").decode()
    return JSONResponse(error_body("not_valid", message), 422)


def _what_is_wrong(error: Mapping[str, Any]) -> str:
    """What a validator says, without the expressions and exceptions that it is made of."""
    if error["type"] == "string_pattern_mismatch":
        return "this has not the right form; /openapi.json has an example."
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return str(error["msg"])


async def _of_the_input(request: Request, error: Exception) -> JSONResponse:
    status, code = next((s, c) for kind, s, c in _STATUS if isinstance(error, kind))
    headers: Mapping[str, str] = {}
    if status == 503:
        headers = {"Retry-After": _seconds(getattr(error, "retry_after", _RETRY_AFTER))}
    return JSONResponse(error_body(code, str(error)), status, headers)


async def _of_the_program(request: Request, error: Exception) -> JSONResponse:
    _logger.error("%s %s failed.", request.method, request.url.path, exc_info=error)
    if isinstance(error, OSError):
        message = f"reading or writing failed: {error.strerror or error}."
        headers = {"Retry-After": _seconds(_RETRY_AFTER)}
        return JSONResponse(error_body("unavailable", message), 503, headers)
    message = "this is a fault of the program; the station's log says more."
    return JSONResponse(error_body("fault", message), 500)


def _seconds(value: float) -> str:
    return str(max(1, round(value)))
