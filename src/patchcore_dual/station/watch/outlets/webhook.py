"""`Webhook`: results by HTTP POST, signed."""

import hashlib
import hmac
import http.client
import json
import socket
import ssl
import time
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from patchcore_dual._version import __version__
from patchcore_dual.errors import StationError
from patchcore_dual.station.watch.outlets.delivery import Refused, Undelivered
from patchcore_dual.station.watch.outlets.queue import Message
from patchcore_dual.station.watch.outlets.secrets import read_secret

SIGNATURE = "PatchCoreDual-Signature"
_REFUSALS = frozenset({400, 413, 414, 415, 422})  # of the message itself; all others may be mended


class Webhook:
    """Posts each result to a URL, and takes any answer of 200 to 299 for its confirmation.

    The body is `{"type": "inspection", "id": …, "sequence": …, "data": …}`. `Idempotency-Key` is
    the id: after a lost answer the same message comes again. With a secret,
    `PatchCoreDual-Signature` is `t=TIME,v1=HEX`, an HMAC-SHA256 of `TIME.BODY`, as `sign` makes it.
    Redirects are not followed. An answer of 400, 413, 414, 415 or 422 refuses the message; after
    any other it is tried again.

    Args:
        url: http or https, without user and password.
        secret: file that holds the secret; None signs nothing.
        authority: file of certificates (PEM) that the receiver's is checked with; None takes the
            system's.
        timeout: seconds for connecting, and for each part of the answer.

    Raises:
        StationError: for a URL or a file that cannot be used.

    >>> Webhook("ftp://mes.example/results")
    Traceback (most recent call last):
    patchcore_dual.errors.StationError: the webhook ftp://mes.example/results is no http:// or \
https:// address with a host.
    """

    name = "webhook"

    def __init__(
        self,
        url: str,
        secret: Path | None = None,
        authority: Path | None = None,
        timeout: float = 10.0,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise StationError(f"the webhook {url} is no address: {error}.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StationError(f"the webhook {url} is no http:// or https:// address with a host.")
        if parts.username is not None or parts.password is not None:
            raise StationError(
                "the webhook's address holds a user or password, which would show in lists of "
                "processes. Sign its messages with a secret from a file instead."
            )
        self._host, self._port = parts.hostname, port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
            raise StationError(f"the webhook {url!r} has signs that have to be encoded as %NN.")
        self._secret = None if secret is None else read_secret(secret, "the webhook's secret")
        self._timeout = timeout
        self._tls = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=authority)
            except (OSError, ssl.SSLError) as error:
                raise StationError(f"{authority} holds no certificates: {error}.") from None

    def open(self) -> None:
        """Nothing is kept open: each message has a connection of its own."""

    def send(self, message: Message) -> None:
        """Post a message; see `Outlet.send`."""
        body = json.dumps(
            {
                "type": message.kind,
                "id": message.id,
                "sequence": message.sequence,
                "data": message.values,
            }
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"patchcore-dual/{__version__}",
            "Idempotency-Key": message.id,
            "Connection": "close",
        }
        if self._secret is not None:
            headers[SIGNATURE] = sign(self._secret, body, int(time.time()))
        try:
            with closing(self._connection()) as connection:
                connection.request("POST", self._path, body, headers)
                answer = connection.getresponse()
                status, again = answer.status, answer.headers.get("Retry-After")
                text = answer.read(500).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise Undelivered(f"{self._host} cannot be reached: {_reason(error)}.") from None
        if 200 <= status < 300:
            return
        said = f"{self._host} answered {status} {answer.reason}{_quoted(text)}."
        if status in _REFUSALS:
            raise Refused(said)
        raise Undelivered(said, None if again is None else _seconds(again))

    def close(self) -> None:
        """Nothing is left open."""

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout, context=self._tls
        )


def sign(secret: bytes, body: bytes, at: int) -> str:
    """The signature of a body, as a receiver makes it again to compare.

    Args:
        secret: shared with the receiver.
        body: as it is sent.
        at: seconds since 1970, so that a receiver can refuse an old message that is sent anew by
            somebody else.

    >>> sign(b"key", b"{}", 1700000000)[:20]
    't=1700000000,v1=9d71'
    """
    digest = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _quoted(text: str) -> str:
    line = " ".join(text.split())[:200].rstrip(".")
    return f": {line}" if line else ""


def _seconds(again: str) -> float | None:
    """What `Retry-After` says, in seconds."""
    if again.strip().isdecimal():
        return float(again)
    try:
        return max(0.0, parsedate_to_datetime(again).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
