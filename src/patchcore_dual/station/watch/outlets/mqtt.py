"""`Mqtt`: results by MQTT, the way of PLCs, gateways and dashboards (extra `mqtt`)."""

import json
import logging
import re
import secrets
import ssl
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from patchcore_dual.errors import StationError
from patchcore_dual.station.watch.outlets.delivery import Undelivered
from patchcore_dual.station.watch.outlets.queue import Message
from patchcore_dual.station.watch.outlets.secrets import read_secret
from patchcore_dual.utils.dependencies import require

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

_log = logging.getLogger(__name__)
_NOT_YET = "there is no connection yet"
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Mqtt:
    """Publishes each result with QoS 1, and says in a retained topic whether the station is there.

    | topic | payload |
    |---|---|
    | `PREFIX/state` | `online`, or `offline` by the last will; retained |
    | `PREFIX/MODEL/verdict` | `pass`, `review`, `reject`, `not inspected`, `unreadable`, as text |
    | `PREFIX/MODEL/inspection` | the result as JSON, with `sequence`; follows the verdict |

    A message counts as delivered when the broker has confirmed both. After a lost confirmation it
    may come twice, with the same id. The protocol is MQTT 3.1.1.

    Args:
        url: `mqtt://[USER@]HOST[:PORT][/PREFIX]`, or `mqtts://` for TLS. The prefix is
            `patchcore-dual` by default.
        password: file that holds the user's password.
        authority: file of certificates (PEM) that the broker's is checked with; None takes the
            system's.
        certificate, key: files (PEM) by which the station shows who it is, where the broker asks.
        timeout: seconds to wait for a confirmation.

    Raises:
        StationError: for a URL or a file that cannot be used.
        MissingDependencyError: without paho-mqtt.
    """

    name = "mqtt"

    def __init__(
        self,
        url: str,
        password: Path | None = None,
        *,
        authority: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        timeout: float = 10.0,
    ) -> None:
        require("MQTT", "paho")
        address = _Address(url)
        self._timeout = timeout
        self._prefix = address.prefix
        self._address = address
        self._broker = f"{address.host}:{address.port}"
        self._is_connected = threading.Event()
        self._failure = _NOT_YET
        self._pending: tuple[str, list[MQTTMessageInfo]] = ("", [])
        self._client = self._new_client()
        if password is not None and address.user is None:
            raise StationError("a password for MQTT needs a user: mqtt://USER@HOST.")
        if address.user is not None:
            secret = read_secret(password, "the MQTT password").decode() if password else None
            self._client.username_pw_set(address.user, secret)
        if address.is_secure:
            self._use_tls(authority, certificate, key)
        elif authority or certificate or key:
            raise StationError("certificates for MQTT need TLS: mqtts://HOST.")

    def open(self) -> None:
        """Begin to connect; the client's own thread does, and again after each loss."""
        self._client.connect_async(self._address.host, self._address.port, keepalive=30)
        self._client.loop_start()

    def send(self, message: Message) -> None:
        """Publish a message; see `Outlet.send`."""
        if not self._is_connected.wait(self._timeout):
            raise Undelivered(f"{self._broker} cannot be used: {self._failure}.")
        id, infos = self._pending
        if id != message.id or not infos:  # else the client still tries to publish them
            infos = self._publish(message)
            self._pending = message.id, infos
        for info in infos:
            try:
                info.wait_for_publish(self._timeout)
            except (ValueError, RuntimeError) as error:
                self._pending = "", []
                raise Undelivered(f"the client takes no message: {error}.") from None
            if not info.is_published():
                raise Undelivered(f"{self._broker} has not confirmed it in {self._timeout:g} s.")
        self._pending = "", []

    def close(self) -> None:
        """Say that the station is offline, and leave."""
        if self._is_connected.is_set():
            info = self._client.publish(f"{self._prefix}/state", "offline", qos=1, retain=True)
            with suppress(ValueError, RuntimeError):  # else the last will says it
                info.wait_for_publish(2)
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, message: Message) -> "list[MQTTMessageInfo]":
        values = message.values
        topic = f"{self._prefix}/{topic_level(values.get('model') or 'unknown')}"
        body = json.dumps({"type": message.kind, "sequence": message.sequence, **values})
        verdict = values.get("verdict") or message.kind
        return [
            self._client.publish(f"{topic}/verdict", verdict, qos=1),
            self._client.publish(f"{topic}/inspection", body, qos=1),
        ]

    def _new_client(self) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            # By chance, since a broker throws out the elder of two of the same name.
            client_id=f"patchcore-dual-{secrets.token_hex(4)}",
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        client.will_set(f"{self._prefix}/state", "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 60)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        return client

    def _use_tls(self, authority: Path | None, certificate: Path | None, key: Path | None) -> None:
        try:
            context = ssl.create_default_context(cafile=authority)
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise StationError(f"the certificates for MQTT cannot be used: {error}.") from None
        self._client.tls_set_context(context)

    def _on_connect(self, client: "Client", _data: Any, _flags: Any, reason: Any, _: Any) -> None:
        if reason.is_failure:
            self._has_no_connection(str(reason))
            return
        client.publish(f"{self._prefix}/state", "online", qos=1, retain=True)
        if self._failure != _NOT_YET:
            _log.warning("There is a connection to the MQTT broker %s again.", self._broker)
            self._failure = _NOT_YET
        self._is_connected.set()

    def _on_connect_fail(self, _client: "Client", _data: Any) -> None:
        error = sys.exception()  # that the client is handling
        self._has_no_connection(getattr(error, "strerror", None) or str(error or "no connection"))

    def _has_no_connection(self, failure: str) -> None:
        """Keep why, and say it once, since there may be no result to deliver for a long time."""
        if failure != self._failure:
            _log.warning("There is no connection to the MQTT broker %s: %s.", self._broker, failure)
        self._failure = failure

    def _on_disconnect(self, _: Any, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        if self._is_connected.is_set():  # else it was refused, and that said why
            self._is_connected.clear()
            self._failure = f"the connection was lost ({reason})"


class _Address:
    """A broker's address, taken apart."""

    def __init__(self, url: str) -> None:
        wrong = StationError(
            f"the MQTT address {url} is not mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// "
            "for TLS."
        )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise wrong from None
        if parts.scheme not in _PORTS or not parts.hostname or "?" in url or "#" in url:
            raise wrong
        if parts.password is not None:
            raise StationError(
                "the MQTT address holds a password, which would show in lists of processes. Put "
                "it into a file."
            )
        self.is_secure = parts.scheme == "mqtts"
        self.host = parts.hostname
        self.port = port or _PORTS[parts.scheme]
        self.user = None if parts.username is None else unquote(parts.username)
        self.prefix = unquote(parts.path).strip("/") or "patchcore-dual"
        if re.search(r"[+#\0]", self.prefix) or len(self.prefix.encode()) > 1000:
            raise StationError(f"the MQTT prefix {self.prefix} may not hold + or #.")


def topic_level(name: str) -> str:
    """A model's name as one level of a topic, in which /, + and # mean something else.

    >>> topic_level("bracket/left #2")
    'bracket_left _2'
    """
    return re.sub(r"[/+#\0-\x1f]", "_", name)
