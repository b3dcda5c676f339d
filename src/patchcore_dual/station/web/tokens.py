"""Tokens: who may do what, hashed on disk. Nothing here needs a web server."""

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from patchcore_dual.errors import SettingsError, StationError
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.locking import locked

Role = Literal["read", "inspect", "teach"]
ROLES: tuple[Role, ...] = ("read", "inspect", "teach")  # each may do what those before it may
TOKENS_FILE = "tokens.json"
_NAME = r"\w[\w .@-]{0,63}"
_LOOK_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class Identity:
    """Whoever asks.

    Attributes:
        name: of the token; "" where none is needed.
        role: what they may do.
    """

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether they may do what takes a role.

        >>> Identity("camera", "inspect").may("read"), Identity("camera", "inspect").may("teach")
        (True, False)
        """
        return ROLES.index(self.role) >= ROLES.index(role)


class Tokens:
    """The tokens of a station, in a file that holds their hashes.

    A token has 256 random bits, so that one fast hash protects it as well as a slow one would.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     tokens = Tokens(Path(folder))
    ...     token = tokens.create("camera 3", "inspect")
    ...     tokens.find(token), tokens.find("guess"), token in tokens.path.read_text()
    (Identity(name='camera 3', role='inspect'), None, False)

    Args:
        data: the station's folder.
    """

    def __init__(self, data: Path) -> None:
        self.path = data / TOKENS_FILE
        self._read: list[dict[str, str]] = []
        self._looked, self._stamp = 0.0, (0, 0)

    def create(self, name: str, role: Role) -> str:
        """Make a token, which can be seen only now.

        Raises:
            SettingsError: for a name that is none, or is in use, or a role that is none.
            DataError: where the file cannot be written.
        """
        if not re.fullmatch(_NAME, name):
            raise SettingsError(
                f"{name!r} cannot be a token's name: give up to 64 letters, digits, spaces or "
                "any of - _ . @, as 'camera 3'."
            )
        if role not in ROLES:
            raise SettingsError(f"{role!r} is no role; give one of {', '.join(ROLES)}.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        token = f"pcd_{secrets.token_urlsafe(32)}"
        with locked(self.path, "change of the tokens", "", wait=10):
            known = self.all()
            if any(one["name"] == name for one in known):
                raise SettingsError(
                    f"there is a token called {name!r} already. Remove it first, or choose "
                    "another name."
                )
            created = datetime.now(UTC).isoformat(timespec="seconds")
            one = {"name": name, "role": role, "created": created, "sha256": _hash(token)}
            self._write([*known, one])
        return token

    def remove(self, name: str) -> None:
        """Take a token away; from then on it is refused. SettingsError where there is none."""
        with locked(self.path, "change of the tokens", "", wait=10):
            known = self.all()
            left = [one for one in known if one["name"] != name]
            if len(left) == len(known):
                names = ", ".join(one["name"] for one in known) or "none"
                raise SettingsError(f"there is no token called {name!r}. Tokens: {names}.")
            self._write(left)

    def all(self) -> list[dict[str, str]]:
        """Name, role, time of creation and hash of each token.

        Raises:
            StationError: where the file is damaged.
        """
        try:
            known: list[dict[str, str]] = json.loads(self.path.read_bytes())
            for one in known:
                if not {"name", "role", "created", "sha256"} <= one.keys():
                    raise ValueError
                if one["role"] not in ROLES or not all(isinstance(v, str) for v in one.values()):
                    raise ValueError
            return known
        except FileNotFoundError:
            return []
        except (OSError, ValueError, AttributeError, TypeError):
            raise StationError(
                f"{self.path} cannot be read, or is damaged. Remove it, and make tokens anew."
            ) from None

    def find(self, token: str) -> Identity | None:
        """Whose token it is; None for nobody's. The time it takes does not depend on the token."""
        digest, found = _hash(token), None
        for one in self._current():
            if hmac.compare_digest(digest.encode(), one["sha256"].encode()):
                found = one
        return Identity(found["name"], cast(Role, found["role"])) if found else None

    def _current(self) -> list[dict[str, str]]:
        """The tokens as they are now; the file is looked at once a second."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY or not self._looked:
            stamp = self._stamp_of()
            if stamp != self._stamp:
                self._read, self._stamp = self.all(), stamp
            self._looked = now
        return self._read

    def _stamp_of(self) -> tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def _write(self, known: Any) -> None:
        write_atomically(self.path, json.dumps(known, indent=1, ensure_ascii=False).encode())
        os.chmod(self.path, 0o600)
        self._looked = 0.0


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
