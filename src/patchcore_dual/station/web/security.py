"""Who asks, and what they may do: tokens, sign-in of the page, and where requests may come from."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from patchcore_dual.errors import StationError
from patchcore_dual.model.ledger import system_user
from patchcore_dual.station.settings import is_loopback
from patchcore_dual.station.web.errors import Refusal, refuse
from patchcore_dual.station.web.tokens import Identity, Role, Tokens

COOKIE = "patchcore_dual_token"
SAID_BY_PAGE = "patchcore-dual"  # the header X-Requested-With of writes from the page
_FREE = ("/healthz", "/readyz", "/", "/favicon.ico", "/v1/session")
_PAGE = "/page/"
_ATTEMPTS, _PER_SECONDS = 10, 60.0
_MOST_ADDRESSES = 10_000


class Attempts:
    """Counts wrong tokens by address, so that nobody can try many.

    >>> attempts = Attempts(most=2, seconds=60)
    >>> attempts.wrong("10.0.0.7"), attempts.wrong("10.0.0.7")
    (None, None)
    >>> attempts.wait("10.0.0.7") > 0, attempts.wait("10.0.0.8")
    (True, 0.0)
    """

    def __init__(self, most: int | None = None, seconds: float = _PER_SECONDS) -> None:
        self._most, self._seconds = most or _ATTEMPTS, seconds
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def wrong(self, address: str) -> None:
        """Note a wrong token."""
        times = self._wrong.setdefault(address, [])
        times.append(time.monotonic())
        del times[: -self._most]
        self._wrong.move_to_end(address)
        while len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def wait(self, address: str) -> float:
        """Seconds until the next token is looked at; 0 for at once."""
        times = self._wrong.get(address, [])
        if len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._seconds - time.monotonic())


class Security:
    """Lets a request through with its identity, or refuses it before its body is read.

    Without tokens, which is for one PC alone, only requests to a name of this PC are answered: a
    page in a browser cannot then reach the station under a name of its own. What a browser sends
    has to have a header that no other page can add.

    Args:
        app: what answers.
        tokens: None where none is needed.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens | None) -> None:
        self._app, self._tokens = app, tokens
        self.attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                identity = self._identity(scope, headers)
                self._check_origin(scope, headers)
            except Refusal as refusal:
                await refuse(refusal)(scope, receive, send)
                return
            except StationError as error:  # the file of the tokens cannot be read
                await refuse(Refusal(503, str(error), "unavailable", 1))(scope, receive, send)
                return
            scope.setdefault("state", {})["identity"] = identity
            scope["state"]["security"] = self
        await self._app(scope, receive, send)

    @property
    def needs_token(self) -> bool:
        """Whether a token is needed."""
        return self._tokens is not None

    def find(self, token: str, address: str) -> Identity | None:
        """Whose token it is; None for nobody's, which is counted.

        Raises:
            Refusal: 429, where too many were wrong.
        """
        assert self._tokens is not None
        wait = self.attempts.wait(address)
        if wait:
            raise Refusal(
                429,
                f"too many wrong tokens came from {address}. Wait for {math.ceil(wait)} s.",
                retry_after=math.ceil(wait),
            )
        identity = self._tokens.find(token)
        if identity is None:
            self.attempts.wrong(address)
        return identity

    def _identity(self, scope: Scope, headers: Headers) -> Identity | None:
        if self._tokens is None:
            host = headers.get("host", "localhost")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if not is_loopback(name.strip("[]")):
                raise Refusal(
                    403,
                    f"the station is for this PC alone, and was asked for as {name[:100]!r}. Start "
                    "it with --ask-token to reach it under another name, as behind a proxy.",
                )
            return Identity(system_user(), "teach")
        token = _token_in(headers)
        path: str = scope["path"]
        is_free = path in _FREE or path.startswith(_PAGE)
        if not token:
            if is_free:
                return None
            raise Refusal(401, "a token is needed: send Authorization: Bearer TOKEN.")
        if is_free and path != "/v1/session":
            return None
        identity = self.find(token, address_of(scope))
        if identity is None and not is_free:
            raise Refusal(401, "this token is not known. It may have been removed.")
        return identity

    @staticmethod
    def _check_origin(scope: Scope, headers: Headers) -> None:
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return
        is_from_browser = any(name in headers for name in ("origin", "sec-fetch-site", "cookie"))
        if is_from_browser and headers.get("x-requested-with") != SAID_BY_PAGE:
            raise Refusal(
                403,
                f"a browser has to send the header X-Requested-With: {SAID_BY_PAGE} with every "
                "change, as the station's own page does.",
            )


def address_of(scope: Scope) -> str:
    """The address that a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def needs(role: Role) -> Callable[[Request], Identity]:
    """A dependency: whoever asks, who may do what takes a role."""

    def identity_of(request: Request) -> Identity:
        identity: Identity | None = request.scope.get("state", {}).get("identity")
        if identity is None:
            raise Refusal(401, "a token is needed: send Authorization: Bearer TOKEN.")
        if not identity.may(role):
            raise Refusal(
                403,
                f"the token {identity.name!r} has the role {identity.role}; this takes {role}.",
            )
        return identity

    return identity_of


Reader, Inspecting, Teacher = (Depends(needs(role)) for role in ("read", "inspect", "teach"))


def _token_in(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
