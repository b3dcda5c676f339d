"""`Events`: what happens in the station, to every browser that looks on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from patchcore_dual.errors import UnavailableError
from patchcore_dual.station.log import InspectionRecord, Query
from patchcore_dual.station.station import Station

_WAITING = 500  # events that one listener may be behind
_MISSED = 500  # inspections that a listener who comes back is told of
_PAGE = 100
_BEAT = 15.0  # seconds after which a quiet connection is shown to be alive
_LISTENERS = 100

Event = tuple[str, dict[str, Any]]


class Events:
    """Passes the station's events on as server-sent events.

    A listener that is too slow is let go; it comes back with the id of the last inspection that it
    knows, and is told of those since.

    Args:
        station: whose events.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._queues: set[asyncio.Queue[Event | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        station.listeners.append(self._heard)

    def start(self) -> None:
        """Pass events on in the running event loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Let every listener go."""
        self._loop = None
        for queue in self._queues:
            _end(queue)

    @property
    def is_full(self) -> bool:
        """Whether no more can listen."""
        return len(self._queues) >= _LISTENERS

    async def stream(self, last: str, limit: int | None = None) -> AsyncIterator[bytes]:
        """The events from now on, as the lines of server-sent events.

        Args:
            last: id of the inspection that the listener knows; "" for none.
            limit: after how many events it ends; None for never.
        """
        count = 0
        async for lines in self._stream(last):
            yield lines
            count += 1
            if limit is not None and count >= limit:
                return

    async def _stream(self, last: str) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_WAITING)
        self._queues.add(queue)
        try:
            state = await asyncio.to_thread(self._station.state)
            yield b"retry: 2000\n\n" + _lines("state", state)
            told = set()  # while these were read, some may have been heard of as well
            try:
                missed = await asyncio.to_thread(self._since, last) if last else []
            except UnavailableError:
                return  # it comes back, and asks for them again
            for record in missed:
                told.add(record.id)
                yield _lines("inspection", record.to_json())
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), _BEAT)
                except TimeoutError:
                    yield _lines("state", await asyncio.to_thread(self._station.state))
                    continue
                if event is None:
                    return
                kind, values = event
                if kind != "inspection" or values["id"] not in told:
                    yield _lines(kind, values)
        finally:
            self._queues.discard(queue)

    def _heard(self, kind: str, values: dict[str, Any]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._pass_on, kind, values)

    def _pass_on(self, kind: str, values: dict[str, Any]) -> None:
        for queue in list(self._queues):
            if queue.full():
                self._queues.discard(queue)
                _end(queue)
            else:
                queue.put_nowait((kind, values))

    def _since(self, last: str) -> list[InspectionRecord]:
        """The inspections after an id, the oldest first; the latest of them where they are many."""
        found: list[InspectionRecord] = []
        cursor = None
        while len(found) < _MISSED:
            page = self._station.log.list(Query(), _PAGE, cursor)
            new = [record for record in page.items if record.id > last]
            found += new
            cursor = page.next
            if cursor is None or len(new) < len(page.items):
                break
        return found[::-1]


def _end(queue: "asyncio.Queue[Event | None]") -> None:
    while queue.full():
        queue.get_nowait()
    queue.put_nowait(None)


def _lines(kind: str, values: dict[str, Any]) -> bytes:
    id = f"id: {values['id']}\n" if kind == "inspection" else ""
    return f"{id}event: {kind}\ndata: {json.dumps(values)}\n\n".encode()
