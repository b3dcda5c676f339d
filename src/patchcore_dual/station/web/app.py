"""`create_app`: the station as a web application."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from patchcore_dual._version import __version__
from patchcore_dual.station.station import Station
from patchcore_dual.station.web import errors
from patchcore_dual.station.web.events import Events
from patchcore_dual.station.web.guard import Guard
from patchcore_dual.station.web.metrics import Metrics
from patchcore_dual.station.web.routes import (
    decisions,
    inspections,
    lessons,
    models,
    pictures,
    region,
    service,
    training,
    versions,
)
from patchcore_dual.station.web.security import Reader, Security
from patchcore_dual.station.web.tokens import Tokens

PAGE = Path(__file__).parents[1] / "page"
_EDITORS = 12  # requests for an edit that may wait at once
_DRAWERS = 2  # large pictures take much memory, and whoever waits for one holds nothing up
_LOOKERS = 2  # at training images, which the editor's process reads: edits find room beside them
_RETENTION = 3600.0  # seconds between two removals of old images
_DESCRIPTION = (
    "Inspect images, look for past inspections, and teach models. Errors are "
    '`{"error": {"code": …, "message": …}}`. A token is sent as `Authorization: Bearer TOKEN`; '
    "its role allows to read, to inspect (and read) or to teach (and all else)."
)


def create_app(station: Station, events: Events) -> ASGIApp:
    """The station over HTTP, with all limits and checks.

    Args:
        station: is not closed with the application.
        events: its events; stopped with the application, if not before.
    """
    settings, metrics = station.settings, Metrics(station)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        events.start()
        retention = asyncio.create_task(_apply_retention(station))
        yield
        retention.cancel()
        with suppress(asyncio.CancelledError):
            await retention
        events.stop()
        for name in ("senders", "editors", "drawers", "lookers"):
            getattr(app.state, name).shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="PatchCoreDual inspection station",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.station, app.state.events, app.state.metrics = station, events, metrics
    # As many senders as can wait, be inspected or be written down, and some to be refused at once.
    app.state.senders = ThreadPoolExecutor(settings.limits.queue + 16, "sender")
    app.state.editors = ThreadPoolExecutor(_EDITORS, "edit")
    app.state.drawers = ThreadPoolExecutor(_DRAWERS, "drawer")
    app.state.lookers = ThreadPoolExecutor(_LOOKERS, "looker")
    errors.install(app)
    for routes in (
        inspections,
        pictures,
        decisions,
        models,
        lessons,
        region,
        versions,
        training,
        service,
    ):
        app.include_router(routes.router)
    _add_openapi(app)
    _add_page(app)
    tokens = Tokens(settings.data) if settings.needs_token else None
    return Guard(Security(app, tokens), settings.limits, metrics.answered)


def _add_openapi(app: FastAPI) -> None:
    """The document, for whoever may read; with the scheme of the tokens where they are needed."""

    @app.get("/openapi.json", include_in_schema=False, dependencies=[Reader])
    def openapi() -> dict[str, Any]:
        document = app.openapi()
        if not app.state.station.settings.needs_token:
            return document
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if (path.startswith("/v1/") and path != "/v1/session") or path == "/metrics":
                    operation["security"] = [{"token": []}]
        return document


def _add_page(app: FastAPI) -> None:
    """The page, where it is installed."""
    if not (PAGE / "index.html").is_file():
        return

    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/page", include_in_schema=False)
    async def page() -> RedirectResponse:
        return RedirectResponse("/")

    app.mount("/page", _Page(directory=PAGE))


class _Page(StaticFiles):
    """Files that a browser asks for anew each time, so that it has those of the version served."""

    def file_response(self, *arguments: Any, **keywords: Any) -> Response:
        response = super().file_response(*arguments, **keywords)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _apply_retention(station: Station) -> None:
    while True:
        await asyncio.to_thread(station.apply_retention)
        await asyncio.sleep(_RETENTION)
