"""`patchcore-dual serve`: the inspection station."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from patchcore_dual.errors import SettingsError

if TYPE_CHECKING:
    from patchcore_dual.station.settings import (
        MqttSettings,
        StationSettings,
        Then,
        WatchedFolder,
        WebhookSettings,
    )


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Model folders that `fit` made; NAME=FOLDER serves one under another name than "
            "its folder's.",
            metavar="MODEL…",
        ),
    ],
    port: Annotated[int, typer.Option(help="Where it listens.")] = 8000,
    host: Annotated[
        str,
        typer.Option(
            help="The address it listens on. By default only this PC reaches it; 0.0.0.0 is for "
            "all, and then whoever asks needs a token (see `patchcore-dual token`)."
        ),
    ] = "127.0.0.1",
    data: Annotated[
        Path,
        typer.Option(
            help="Folder for the log, the images and the tokens.",
            metavar="FOLDER",
        ),
    ] = Path("station-data"),
    database: Annotated[
        str,
        typer.Option(
            help="Where the log is kept: postgresql://USER:PASSWORD@HOST/DATABASE, or "
            "sqlite:///FILE.",
            show_default="SQLite in --data",
            metavar="URL",
        ),
    ] = "",
    ask_token: Annotated[
        bool,
        typer.Option(
            "--ask-token", help="Ask for a token on this PC's own address too, as behind a proxy."
        ),
    ] = False,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder whose new images are inspected, as a camera writes them; MODEL=FOLDER "
            "where several models are served. May be given several times.",
            metavar="FOLDER",
            rich_help_panel="Watched folders",
        ),
    ] = None,
    then: Annotated[
        Literal["move", "mark"],
        typer.Option(
            help="What becomes of them: moved to inspected/, review/, rejected/, not-inspected/ or "
            "unreadable/ in the folder, or left where they are. The result lies beside "
            "each as JSON.",
            rich_help_panel="Watched folders",
        ),
    ] = "move",
    settle: Annotated[
        float,
        typer.Option(
            help="Seconds for which a file has to stay the same before it is taken for complete; "
            "0 where files are renamed into place.",
            rich_help_panel="Watched folders",
        ),
    ] = 1.0,
    webhook: Annotated[
        str,
        typer.Option(
            help="Address to which their results are posted.",
            metavar="URL",
            rich_help_panel="Watched folders",
        ),
    ] = "",
    webhook_secret: Annotated[
        Path | None,
        typer.Option(
            help="File of the secret that posts are signed with.",
            rich_help_panel="Watched folders",
        ),
    ] = None,
    webhook_ca: Annotated[
        Path | None,
        typer.Option(
            help="File of the certificates that the receiver's is checked with.",
            show_default="the system's",
            rich_help_panel="Watched folders",
        ),
    ] = None,
    mqtt: Annotated[
        str,
        typer.Option(
            help="Broker at which their results are published, as mqtt://USER@HOST/PREFIX; "
            "mqtts:// for TLS.",
            metavar="URL",
            rich_help_panel="Watched folders",
        ),
    ] = "",
    mqtt_password: Annotated[
        Path | None,
        typer.Option(help="File of the user's password.", rich_help_panel="Watched folders"),
    ] = None,
    mqtt_ca: Annotated[
        Path | None,
        typer.Option(
            help="File of the certificates that the broker's is checked with.",
            show_default="the system's",
            rich_help_panel="Watched folders",
        ),
    ] = None,
    mqtt_certificate: Annotated[
        Path | None,
        typer.Option(
            help="File of the station's own certificate.", rich_help_panel="Watched folders"
        ),
    ] = None,
    mqtt_key: Annotated[
        Path | None,
        typer.Option(help="File of its key.", rich_help_panel="Watched folders"),
    ] = None,
    keep_days: Annotated[
        float | None,
        typer.Option(
            help="Remove images after so many days. What a model was taught, and what is still to "
            "be reviewed, stays.",
            show_default="keep them",
        ),
    ] = None,
    keep_gib: Annotated[
        float | None,
        typer.Option(
            "--keep-gib",
            help="Remove the oldest images where all take more than so many GiB.",
            show_default="no limit",
        ),
    ] = None,
    queue: Annotated[
        int,
        typer.Option(
            help="Images that may wait for another; more are refused with 503.",
            rich_help_panel="Limits",
        ),
    ] = 8,
    max_mib: Annotated[
        float, typer.Option(help="Of one image file, in MiB.", rich_help_panel="Limits")
    ] = 32,
    max_megapixels: Annotated[
        float, typer.Option(help="Of one image.", rich_help_panel="Limits")
    ] = 100,
    max_seconds: Annotated[
        float,
        typer.Option(
            help="For a request to arrive, and for an image to be inspected.",
            rich_help_panel="Limits",
        ),
    ] = 30,
) -> None:
    """Inspect images that programs send, or that a camera writes into a folder.

    Open http://127.0.0.1:8000 for the page: verdicts as they come, a review of
    what was rejected, and teaching what was judged wrongly. Programs send an
    image to /v1/models/NAME/inspections; /openapi.json describes every route.

    Stop it with Ctrl-C: what is being inspected is finished, and nothing that
    was answered is lost, however the process ends.

    Examples:

      patchcore-dual serve models/bracket --watch camera/

      curl -T part.png -X POST http://127.0.0.1:8000/v1/models/bracket/inspections
    """
    from patchcore_dual.station.settings import Limits, StationSettings, parse_models
    from patchcore_dual.utils.dependencies import require

    require("the station", "fastapi", "uvicorn", "prometheus_client", "multipart", "sqlalchemy")
    if (webhook or mqtt) and not watch:
        raise SettingsError("--webhook and --mqtt send results of watched folders: add --watch.")
    served = parse_models(models)
    settings = StationSettings(
        served,
        data=data,
        database=database,
        host=host,
        port=port,
        ask_token=ask_token,
        limits=Limits(
            _whole("max-mib", max_mib, 2**20),
            _whole("max-megapixels", max_megapixels, 10**6),
            max_seconds,
            queue,
        ),
        keep_days=keep_days,
        keep_bytes=None if keep_gib is None else _whole("keep-gib", keep_gib, 2**30),
        watched=_watched(watch or [], list(served), then, settle),
        webhook=_webhook(webhook, webhook_secret, webhook_ca),
        mqtt=_mqtt(mqtt, mqtt_password, mqtt_ca, mqtt_certificate, mqtt_key),
    )
    _serve(settings)


def _whole(name: str, value: float, unit: int) -> int:
    """A number of units as bytes or pixels."""
    if not 1 / unit <= value < float("inf"):
        raise SettingsError(f"--{name} is {value:g}; give a number above 0.")
    return round(value * unit)


def _serve(settings: "StationSettings") -> None:
    from patchcore_dual.cli.console import console
    from patchcore_dual.station.station import Station
    from patchcore_dual.station.watch import watch_of
    from patchcore_dual.station.web.server import check_tokens, listen
    from patchcore_dual.station.web.server import serve as serve_station

    check_tokens(settings)
    # The server raises the signal that stopped it once more: it has to end in order then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with listen(settings) as listening:  # before models are loaded, which takes seconds
        station = Station(settings)
        try:
            watch = watch_of(station, settings)
            station.watch_state = watch.state
            port = listening.getsockname()[1]
            for line in _greeting(settings, port):
                console.print(line, markup=False, soft_wrap=True)
            watch.start()
            try:
                serve_station(station, listening)
            finally:
                watch.close()
        finally:
            station.close()


def _greeting(settings: "StationSettings", port: int) -> list[str]:
    """What is said when it is ready."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    lines = [
        f"Serving {', '.join(settings.models)} at http://{host}:{port}; Ctrl-C stops it.",
        f"Log, images and tokens: {settings.data}",
    ]
    if not settings.is_local:
        lines.append(
            "Tokens and images travel unencrypted. Put TLS in front: let the station listen on "
            "127.0.0.1 with --ask-token, and a proxy on the network, as "
            f"`caddy reverse-proxy --from station.example --to 127.0.0.1:{port}`."
        )
    return lines


def _watched(
    texts: list[str], models: list[str], then: "Then", settle: float
) -> "tuple[WatchedFolder, ...]":
    """The watched folders, as FOLDER of the only model or MODEL=FOLDER."""
    from patchcore_dual.station.settings import WatchedFolder

    watched = []
    for text in texts:
        model, equals, folder = text.partition("=")
        if not equals or Path(text).exists():
            if len(models) > 1:
                raise SettingsError(
                    f"which model is to inspect {text}? Say it, as --watch {models[0]}={text}."
                )
            model, folder = models[0], text
        watched.append(WatchedFolder(Path(folder), model, then, settle=settle))
    return tuple(watched)


def _webhook(url: str, secret: Path | None, authority: Path | None) -> "WebhookSettings | None":
    from patchcore_dual.station.settings import WebhookSettings

    if not url:
        if secret or authority:
            raise SettingsError("--webhook-secret and --webhook-ca need --webhook.")
        return None
    return WebhookSettings(url, secret, authority)


def _mqtt(url: str, *files: Path | None) -> "MqttSettings | None":
    from patchcore_dual.station.settings import MqttSettings

    if not url:
        if any(files):
            raise SettingsError("options of MQTT need --mqtt.")
        return None
    return MqttSettings(url, *files)
