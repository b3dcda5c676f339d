"""`Watch`: all watched folders of a station, and the outlets of their results."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from patchcore_dual.station.serving.synthetic import prepared_folder
from patchcore_dual.station.settings import StationSettings, WatchedFolder
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.file_inspection import Station
from patchcore_dual.station.watch.folder import check_apart, check_clear
from patchcore_dual.station.watch.outlets import Delivery, Mqtt, Outlet, OutletQueue, Webhook
from patchcore_dual.station.watch.watcher import Watcher


class Watch:
    """Inspects what appears in folders, and sends the results on.

    Args:
        station: inspects and logs.
        folders: what is watched; none may lie in another.
        outlets: receivers of every result, each with a queue of its own.
        data: the station's own folder, where `watch.db` remembers what was done. It has to be on a
            local disk, on which SQLite can rely.
        queue_limit: see `OutletQueue`.

    Raises:
        StationError: for folders in one another, or a `watch.db` that cannot be used.
    """

    def __init__(
        self,
        station: Station,
        folders: Sequence[WatchedFolder],
        outlets: Sequence[Outlet],
        data: Path,
        queue_limit: int = 100_000,
    ) -> None:
        check_apart(folders)
        self._database = WatchDatabase(data / "watch.db")
        queue = OutletQueue(self._database, [outlet.name for outlet in outlets], queue_limit)
        self._deliveries = [Delivery(outlet, queue) for outlet in outlets]
        self._watchers = [Watcher(station, one, self._database, queue) for one in folders]

    def start(self) -> None:
        """Begin; called once."""
        for delivery in self._deliveries:
            delivery.start()
        for watcher in self._watchers:
            watcher.start()

    def close(self) -> None:
        """End after the files that are being inspected; what is queued stays on disk."""
        for watcher in self._watchers:
            watcher.close()
        for delivery in self._deliveries:
            delivery.close()
        self._database.close()

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """How it goes: `folders` and `outlets`, see `Watcher.state` and `Delivery.state`."""
        return {
            "folders": [watcher.state() for watcher in self._watchers],
            "outlets": [delivery.state() for delivery in self._deliveries],
        }


def watch_of(station: Station, settings: StationSettings) -> Watch:
    """What a station is told to watch, not begun yet.

    Raises:
        StationError: for an address or a file that cannot be used, for a watched folder in which
            a model, its training images or the station's own files lie, and as `Watch`.
        MissingDependencyError: without paho-mqtt, where results are to go by MQTT.
    """
    kept = {"the station's own files": settings.data}
    for name, folder in settings.models.items():
        kept[f"the files of the model {name}"] = folder
        if (prepared := prepared_folder(folder)) is not None:
            kept[f"the training images of the model {name}"] = prepared
    check_clear(settings.watched, kept)
    outlets: list[Outlet] = []
    if (hook := settings.webhook) is not None:
        outlets.append(Webhook(hook.url, hook.secret, hook.authority))
    if (broker := settings.mqtt) is not None:
        outlets.append(
            Mqtt(
                broker.url,
                broker.password,
                authority=broker.authority,
                certificate=broker.certificate,
                key=broker.key,
            )
        )
    most = settings.limits.max_bytes
    folders = [replace(one, max_bytes=most) for one in settings.watched]
    return Watch(station, folders, outlets, settings.data)
