"""`serve`: the station on a port, until it is told to stop."""

import asyncio
import logging
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from patchcore_dual.errors import StationError
from patchcore_dual.station.settings import StationSettings
from patchcore_dual.station.station import Station
from patchcore_dual.station.web.app import create_app
from patchcore_dual.station.web.events import Events
from patchcore_dual.station.web.tokens import TOKENS_FILE, Tokens

_HEADER_SECONDS = 10.0
_BACKLOG = 128
_CONNECTIONS = 300
_LAST_SECONDS = 5  # for what is being answered when it stops


class PatientProtocol(H11Protocol):
    """HTTP of a connection, which is closed unless the head of each request arrives in time."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        """Begin to wait, go on, or stop since the head is there and is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()
        elif self._waiting is None:
            loop = asyncio.get_running_loop()
            self._waiting = loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class Server(uvicorn.Server):
    """Lets those who listen to events go at once when it stops, since they would never leave."""

    def __init__(self, config: uvicorn.Config, station: Station, events: Events) -> None:
        super().__init__(config)
        self._station, self._events = station, events

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._station.is_stopping.set()
        self._events.stop()
        await super().shutdown(sockets)


def check_tokens(settings: StationSettings) -> None:
    """Raise StationError where a token is needed and there is none yet."""
    if settings.needs_token and not Tokens(settings.data).all():
        data = f" --data {settings.data}"
        raise StationError(
            f"whoever can reach {settings.host} could teach the models: a token is needed, and "
            f"{settings.data / TOKENS_FILE} holds none. Make one first: "
            f"patchcore-dual token create NAME --role teach{data}"
        )


def listen(settings: StationSettings) -> socket.socket:
    """The socket that the station listens on.

    Raises:
        StationError: where the port is in use, or the address is none of this PC.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named, since asyncio sends at once on sockets of TCP alone: answers would wait
    # 40 ms for an acknowledgement otherwise.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would allow two to listen at once
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        why = (
            "This user may not use it"
            if isinstance(error, PermissionError)
            else ("Another program may use it")
        )
        raise StationError(
            f"cannot listen on {settings.host}, port {settings.port}: {reason}. {why}: choose "
            "another --port, or --host."
        ) from None
    return listening


def server_of(station: Station) -> Server:
    """The server of a station, which is not running yet."""
    events = Events(station)
    config = uvicorn.Config(
        create_app(station, events),
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_LAST_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return Server(config, station, events)


def serve(station: Station, listening: socket.socket) -> None:
    """Answer requests until the process is told to stop; then finish what is being answered."""
    server_of(station).run(sockets=[listening])
