"""What every request and answer goes through: limits on bytes and time, and security headers."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchcore_dual.station.settings import Limits
from patchcore_dual.station.web.errors import Refusal, refuse

HEADERS = {
    b"content-security-policy": (
        b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
_AROUND = 64 * 1024  # bytes beside the image in a request
_IN_BASE64 = 4 / 3


class Guard:
    """Bounds what a request may send and how long it may take, and adds the headers.

    A sender that is slow gives up its request after `max_seconds`, and so does one that does not
    take its answer: no piece of an answer may wait for longer.

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds = self._limits.max_seconds
        loop = asyncio.get_running_loop()
        deadline, size, is_complete, has_answered = loop.time() + seconds, 0, False, False

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
            size += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if size > self._max_body:
                raise self._too_large()
            return message

        async def guarded_send(message: Message) -> None:
            nonlocal has_answered
            if message["type"] == "http.response.start":
                has_answered = True
                present = {name.lower() for name, _ in message["headers"]}
                added = [(n, v) for n, v in HEADERS.items() if n not in present]
                message = {**message, "headers": [*message["headers"], *added]}
                route = getattr(scope.get("route"), "path", "")
                self._on_answer(scope["method"], route, message["status"])
            await asyncio.wait_for(send(message), seconds)

        try:
            declared = dict(scope["headers"]).get(b"content-length", b"")
            if declared.isdigit() and int(declared[:20]) > self._max_body:
                await refuse(self._too_large())(scope, receive, guarded_send)
                return
            await self._app(scope, bounded_receive, guarded_send)
        except Refusal as refusal:
            if not has_answered:
                await refuse(refusal)(scope, receive, guarded_send)
        except TimeoutError:
            return  # whoever asked does not take the answer: the connection is given up

    def _too_large(self) -> Refusal:
        limit = self._limits.max_bytes / 2**20
        return Refusal(413, f"the request is too large; images of up to {limit:g} MiB are taken.")
