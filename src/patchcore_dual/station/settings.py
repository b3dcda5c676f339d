"""`StationSettings`: what an inspection station is told when it starts."""

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from patchcore_dual.data.listing import printable
from patchcore_dual.errors import SettingsError

Then = Literal["move", "mark"]
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""The names that a model can be served under, as a regular expression."""


@dataclass(frozen=True)
class WatchedFolder:
    """A folder whose image files are inspected as they appear.

    Attributes:
        folder: where images appear; folders below are watched too. It may be absent for a time, as
            a network share is.
        model: name of the model that inspects them.
        then: "move" puts an image into `inspected/`, `review/`, `rejected/` or `not-inspected/` in
            the folder, by its verdict, and a file that cannot be read into `unreadable/`; "mark"
            leaves all where they are. Either way a JSON file beside the image has the result.
        every: seconds between two looks.
        settle: seconds for which a file's size and times have to stay the same before it is
            taken for complete. 0 is for writers that rename complete files into place.
        patience: seconds for which a file that does not decode has to stay the same before it is
            given up, since its writer may only be slow.
        max_bytes: a larger file is not read.

    >>> WatchedFolder(Path("/srv/camera"), "bracket").source
    'watch:/srv/camera'
    >>> WatchedFolder(Path("/srv/camera"), "bracket", settle=-1)
    Traceback (most recent call last):
    patchcore_dual.errors.SettingsError: settle is -1 seconds; give 0 or more.
    """

    folder: Path
    model: str
    then: Then = "move"
    every: float = 0.5
    settle: float = 1.0
    patience: float = 10.0
    max_bytes: int = 32 * 2**20

    def __post_init__(self) -> None:
        for name in ("settle", "patience"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"{name} is {getattr(self, name):g} seconds; give 0 or more.")
        if self.every <= 0:
            raise SettingsError(f"every is {self.every:g} seconds; give more than 0.")

    @property
    def source(self) -> str:
        """What the log calls the source of its images."""
        return f"watch:{printable(self.folder)}"


@dataclass(frozen=True)
class WebhookSettings:
    """Where results of watched folders are posted.

    Attributes:
        url: an http:// or https:// address.
        secret: file of the secret that messages are signed with; None signs none.
        authority: file of certificates (PEM) that the receiver's is checked with; None takes the
            system's.
    """

    url: str
    secret: Path | None = None
    authority: Path | None = None


@dataclass(frozen=True)
class MqttSettings:
    """The broker at which results of watched folders are published.

    Attributes:
        url: mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// for TLS.
        password: file of the user's password.
        authority: file of certificates (PEM) that the broker's is checked with; None takes the
            system's.
        certificate, key: files (PEM) by which the station shows who it is.
    """

    url: str
    password: Path | None = None
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Limits:
    """What one sender may ask of the station.

    Attributes:
        max_bytes: of one image file.
        max_pixels: of one image.
        max_seconds: for a request to arrive, and for an image to wait and be inspected.
        queue: images that may wait while one is inspected.
    """

    max_bytes: int = 32 * 2**20
    max_pixels: int = 100_000_000
    max_seconds: float = 30.0
    queue: int = 8

    def __post_init__(self) -> None:
        given = {
            "--max-mib": self.max_bytes / 2**20,
            "--max-megapixels": self.max_pixels / 1e6,
            "--max-seconds": self.max_seconds,
            "--queue": self.queue,
        }
        _check_positive(given)


@dataclass(frozen=True)
class StationSettings:
    """All that a station is told.

    Attributes:
        models: the folder of each model, by the name that it is served under.
        data: where the station keeps its log, its images and its tokens.
        database: URL of the log's database, as SQLAlchemy reads it; "" for SQLite in `data`.
        host, port: where it listens.
        ask_token: whether a token is needed on a loopback address too, as behind a proxy.
        limits: for one sender.
        keep_days: images older than this are removed; None keeps them for ever.
        keep_bytes: the most that all images may take; None for no limit.
        watched: folders whose new images are inspected.
        webhook, mqtt: where their results go, besides a file beside each image.

    Raises:
        SettingsError: for a name, address or limit that cannot be.

    >>> settings = StationSettings({"bracket": Path("models/bracket")})
    >>> settings.database_url, settings.needs_token
    ('sqlite:///station-data/station.db', False)
    """

    models: Mapping[str, Path]
    data: Path = Path("station-data")
    database: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    ask_token: bool = False
    limits: Limits = field(default_factory=Limits)
    keep_days: float | None = None
    keep_bytes: int | None = None
    watched: tuple[WatchedFolder, ...] = ()
    webhook: WebhookSettings | None = None
    mqtt: MqttSettings | None = None

    def __post_init__(self) -> None:
        if not self.models:
            raise SettingsError("there is no model to serve. Give at least one model folder.")
        for name in self.models:
            if not re.fullmatch(MODEL_NAME, name):
                raise SettingsError(
                    f"{name!r} cannot be a model's name: give up to 64 letters, digits, - _ or ., "
                    "of which the first is a letter or a digit, as bracket=FOLDER."
                )
        for watched in self.watched:
            if watched.model not in self.models:
                raise SettingsError(
                    f"{watched.folder} is to be inspected by {watched.model!r}, which is not "
                    f"served. Models: {', '.join(sorted(self.models))}."
                )
        if not 0 <= self.port < 2**16:
            raise SettingsError(f"the port is {self.port}; give a number from 1 to 65535.")
        keep_gib = None if self.keep_bytes is None else self.keep_bytes / 2**30
        _check_positive({"--keep-days": self.keep_days, "--keep-gib": keep_gib})

    @property
    def database_url(self) -> str:
        """Where the log is kept."""
        return self.database or f"sqlite:///{self.data / 'station.db'}"

    @property
    def is_local(self) -> bool:
        """Whether only programs on the same PC can reach it."""
        return is_loopback(self.host)

    @property
    def needs_token(self) -> bool:
        """Whether whoever asks has to show a token."""
        return self.ask_token or not self.is_local


def is_loopback(host: str) -> bool:
    """Whether a name or an address is of this PC alone.

    >>> [is_loopback(host) for host in ("LOCALHOST", "127.0.0.2", "::1", "localhost.example")]
    [True, True, True, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_positive(given: Mapping[str, float | None]) -> None:
    """Raise SettingsError for an option that is not above 0; None is for one that is not given."""
    for option, value in given.items():
        if value is not None and not 0 < value < math.inf:
            raise SettingsError(f"{option} is {value:g}; give a number above 0.")


def parse_models(texts: Iterable[str]) -> dict[str, Path]:
    """The folders of the models by name, from `NAME=FOLDER` or `FOLDER`, which is its name then.

    >>> parse_models(["bracket=models/b7", "models/gear"])
    {'bracket': PosixPath('models/b7'), 'gear': PosixPath('models/gear')}
    """
    models: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or Path(text).exists():
            name, folder = Path(text).resolve().name, text
        if name in models:
            raise SettingsError(
                f"two models are called {name}: {models[name]} and {folder}. Name one of them, as "
                f"{name}-2={folder}."
            )
        models[name] = Path(folder)
    return models
