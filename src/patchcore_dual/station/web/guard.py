"""What every request and answer goes through: limits on bytes and time, and security headers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchcore_dual.station.settings import Limits
from patchcore_dual.station.web.errors import Refusal, refuse

HEADERS = {
    b"content-security-policy": (
        b"default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
_AROUND = 64 * 1024  # bytes beside the image in a request
_IN_BASE64 = 4 / 3
_BESIDE_QUEUE = 8  # requests of the largest size that may be arriving while the queue is full
_WITH_IMAGES = ("/inspections", "/lessons", "/region")  # ends of paths; elsewhere a body is small
_SMALL = 2 * 2**20  # bytes
_LINGER = 2.0  # seconds for which more is taken of a request that is too large


class Guard:
    """Bounds what a request may send and how long it may take, and adds the headers.

    A sender that is slow gives up its request after `max_seconds`, and so does one that does not
    take its answer: no piece of an answer may wait for longer. Bodies are held in memory, so that
    all of them together have a limit too; who is beyond it is refused with 503.

    Args:
        app: what answers.
        limits: for one request.
        on_answer: is called with the method, the route and the status of each answer.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, on_answer: Callable[[str, str, int], None]
    ) -> None:
        self._app, self._limits, self._on_answer = app, limits, on_answer
        self._max_body = int(limits.max_bytes * _IN_BASE64) + _AROUND
        self._held, self._max_held = 0, (limits.queue + _BESIDE_QUEUE) * self._max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds, headers = self._limits.max_seconds, dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        has_body = declared.strip(b"0") != b"" or b"transfer-encoding" in headers
        loop = asyncio.get_running_loop()
        deadline, size, is_complete, has_answered = loop.time() + seconds, 0, False, False
        limit = self._max_body if scope["path"].endswith(_WITH_IMAGES) else _SMALL

        async def bounded_receive() -> Message:
            nonlocal size, is_complete
            if is_complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.001, deadline - loop.time()))
            except TimeoutError:
                raise Refusal(
                    408, f"the request did not arrive within {seconds:g} s. Send it faster."
                ) from None
            received = len(message.get("body", b""))
            size += received
            self._held += received
            is_complete = not message.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
            if self._held > self._max_held:
                raise Refusal(
                    503,
                    "too many images are arriving. Send this one again in a moment.",
                    "queue_full",
                    retry_after=1,
                )
            return message

        async def guarded_send(message: Message) -> None:
            nonlocal has_answered
            if message["type"] == "http.response.start":
                has_answered = True
                present = {name.lower() for name, _ in message["headers"]}
                added = [(n, v) for n, v in HEADERS.items() if n not in present]
                if has_body and not is_complete:  # what is still sent is no request
                    added.append((b"connection", b"close"))
                message = {**message, "headers": [*message["headers"], *added]}
                route = getattr(scope.get("route"), "path", "")
                self._on_answer(scope["method"], route, message["status"])
            await asyncio.wait_for(send(message), seconds)

        async def refuse_too_large() -> None:
            """Answer, once a sender who does not listen meanwhile has sent some more."""
            nonlocal is_complete
            if b"expect" not in headers:
                is_complete = await _discard(receive, self._max_body)
            await refuse(_too_large(limit))(scope, receive, guarded_send)

        try:
            if declared.isdigit() and int(declared[:20]) > limit:
                await refuse_too_large()
                return
            await self._app(scope, bounded_receive, guarded_send)
        except Refusal as refusal:
            if not has_answered:
                await refuse(refusal)(scope, receive, guarded_send)
        except TimeoutError:
            return  # whoever asked does not take the answer: the connection is given up
        finally:
            self._held -= size


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the request is too large; up to {limit / 2**20:.1f} MiB are taken here.")


async def _discard(receive: Receive, limit: int) -> bool:
    """Take what is still sent, for a while; whether that was all."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            while size <= limit:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return True
    return False
