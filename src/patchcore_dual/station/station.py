"""`Station`: models, queue, log and images as one; the only way in for images and edits."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from patchcore_dual.errors import ImageError, PatchCoreDualError, StationError
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.station.log import (
    Decision,
    EditRecord,
    ImageStore,
    InspectionRecord,
    Log,
    Query,
    open_database,
)
from patchcore_dual.station.log.retention import Clock, named_images
from patchcore_dual.station.serving.detectors import Detectors, compute_without_torch
from patchcore_dual.station.serving.drift import worst
from patchcore_dual.station.serving.explanations import HeatMaps
from patchcore_dual.station.serving.image_limits import check_image
from patchcore_dual.station.serving.image_work import ImageWork
from patchcore_dual.station.serving.inspector import Inspector, TooSlow
from patchcore_dual.station.serving.lessons import Lessons
from patchcore_dual.station.serving.served_model import ServedModel
from patchcore_dual.station.settings import StationSettings

_logger = logging.getLogger(__name__)
Listener = Callable[[str, dict[str, Any]], None]
LOGGED_IMAGES = 50  # inspected last, whose verdicts are compared before and after an edit


class UnknownModel(StationError):
    """A model of a name that is not served."""


class TooManyBytes(ImageError):
    """An image file larger than is allowed."""


class Station:
    """An inspection station.

    >>> station = Station(StationSettings({"bracket": Path("model")}))  # doctest: +SKIP
    >>> station.inspect("bracket", Path("part.png").read_bytes()).verdict  # doctest: +SKIP
    'reject'

    Args:
        settings: what it is told.

    Attributes:
        settings: as given.
        models: what is served, by name.
        log, images: what is kept.
        inspector: the queue.
        lessons: edits of the models.
        heat_maps: those of the latest inspections.
        watch_state: gives what `state` says of watched folders; set by whoever watches them.
        listeners: are called with the kind and the plain values of each event, "inspection",
            "decision" and "edit", in the thread that caused it and after it is kept. What they
            raise is logged and goes no further.

    Raises:
        ModelError: for a model that cannot be served.
        StationError: where the log cannot be opened.
    """

    def __init__(self, settings: StationSettings) -> None:
        compute_without_torch()
        self.settings = settings
        self.started = time.monotonic()
        detectors = Detectors()
        self.models = {
            name: ServedModel(name, folder, detectors, settings.data / "drift" / f"{name}.json")
            for name, folder in settings.models.items()
        }
        try:
            settings.data.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StationError(
                f"{settings.data} cannot be made: {error.strerror}. Name another one with --data."
            ) from None
        self.images = ImageStore(settings.data / "images")
        self.log = Log(open_database(settings.database_url), settings.data / "spool")
        limits = settings.limits
        self.inspector = Inspector(limits.queue, limits.max_seconds)
        self.lessons = Lessons()
        self.heat_maps = HeatMaps()
        self.watch_state: Callable[[], dict[str, Any]] = lambda: {"folders": [], "outlets": []}
        self.listeners: list[Listener] = []
        self.is_stopping = threading.Event()
        self._clock = Clock()

    def model(self, name: str) -> ServedModel:
        """The model of a name. Raises UnknownModel."""
        try:
            return self.models[name]
        except KeyError:
            served = ", ".join(sorted(self.models))
            raise UnknownModel(f"no model is called {name!r}. Models: {served}.") from None

    def inspect(
        self,
        model_name: str,
        content: bytes,
        *,
        name: str = "",
        source: str = "api",
        id: str | None = None,
    ) -> InspectionRecord:
        """Inspect an image, keep it and the result, and tell the listeners.

        Args:
            model_name: which model.
            content: the bytes of the image file.
            name: what the sender calls it, for display.
            source: where it comes from ("api", "watch:FOLDER").
            id: of the record, from `Log.new_id`, for whoever has to know it before; inspected
                twice under one id, it is in the log once.

        Returns:
            What was found; by then it is on disk.

        Raises:
            UnknownModel: for a name that is not served.
            ImageError: for what is no image, or a larger one than allowed.
            QueueFull, TooSlow: where too many images wait.
            UnavailableError, DataError: where it cannot be kept. Then nothing was inspected, as
                far as the log goes.
        """
        served, limits = self.model(model_name), self.settings.limits
        if len(content) > limits.max_bytes:
            raise TooManyBytes(
                f"the image has {len(content) / 2**20:.1f} MiB; at most "
                f"{limits.max_bytes / 2**20:g} are taken."
            )
        check_image(content, limits.max_pixels)
        work = ImageWork(served, content)
        deadline = time.monotonic() + limits.max_seconds
        future = self.inspector.submit(work)
        future.add_done_callback(lambda _: work.read.set())
        # The file is written while the worker inspects, but not before it is known for an image.
        work.read.wait(limits.max_seconds)
        image = self.images.put(content) if work.is_decoded else None
        done = self._result(future, deadline)
        begun = time.monotonic()
        image = image or self.images.put(content)
        record = done.record(id or self.log.new_id(), name=name, source=source, image=image)
        self.log.add(record)
        self.heat_maps.keep(record.id, done.inspection)
        keep = round(1000 * (time.monotonic() - begun), 2)
        steps = {**record.milliseconds, "keep": keep}
        self.tell("inspection", {**record.to_json(), "milliseconds": steps})
        return record

    def inspect_again(self, record: InspectionRecord) -> Inspection:
        """Inspect a logged image by the version of the model that judged it then.

        Raises:
            FileNotFoundError: where the image was removed.
            ModelError: where that version was.
            QueueFull, TooSlow: as `inspect`.
        """
        content = self.images.read(record.image)
        detector = self.model(record.model).of_fingerprint(record.fingerprint)
        future = self.inspector.submit(lambda: detector.inspect(content, record.name))
        return self._result(future, time.monotonic() + self.settings.limits.max_seconds)

    def decide(self, id: str, decision: Decision | None) -> InspectionRecord:
        """Write down what a person decided on an inspection; None takes it back."""
        record = self.log.decide(id, decision) if decision else self.log.undecide(id)
        self.tell("decision", record.to_json())
        return record

    def add_edit(self, edit: EditRecord) -> None:
        """Write down an edit of a model."""
        self.log.add_edit(edit)
        self.tell("edit", edit.to_json())

    def recent_images(self, model: str, count: int = LOGGED_IMAGES) -> list[tuple[str, Any]]:
        """Ids and files of the images that a model inspected last, as far as they are kept."""
        page = self.log.list(Query(model=model), count)
        paths = [(record.id, self.images.path(record.image)) for record in page.items]
        return [(id, path) for id, path in paths if path.is_file()]

    def apply_retention(self) -> None:
        """Remove images that are older, or take more room, than the settings allow.

        What a model's ledger, an edit or an open review names stays.
        """
        settings = self.settings
        if settings.keep_days is None and settings.keep_bytes is None:
            return
        if not self._clock.is_believed():
            _logger.warning("The clock has jumped forward: no image is removed for a day.")
            return
        folders = list(settings.models.values())
        try:
            removed = self.images.apply_retention(
                settings.keep_days, settings.keep_bytes, lambda: named_images(self.log, folders)
            )
        except (PatchCoreDualError, OSError) as error:
            _logger.warning("No image was removed: %s", error)
            return
        except Exception:  # the next time it may work
            _logger.exception("No image was removed.")
            return
        if removed.count:
            _logger.info("%d images were removed, %d bytes.", removed.count, removed.bytes)

    def tell(self, kind: str, values: dict[str, Any]) -> None:
        """Call the listeners."""
        for listener in list(self.listeners):
            try:
                listener(kind, values)
            except Exception:  # an outlet's fault is no reason to refuse an image
                _logger.exception("A listener failed at %s.", kind)

    @property
    def is_disk_full(self) -> bool:
        """Whether an image of the largest size that is taken cannot be kept."""
        return shutil.disk_usage(self.settings.data).free < self.settings.limits.max_bytes

    def state(self) -> dict[str, Any]:
        """How the station does, as plain values."""
        usage = shutil.disk_usage(self.settings.data)
        for served in self.models.values():  # edited elsewhere, perhaps, while no image came
            served.refresh(wait=False)
        drift = {name: served.in_use.drift.state() for name, served in self.models.items()}
        return {
            "models": [
                {
                    "name": name,
                    "version": served.version,
                    "fingerprint": served.fingerprint,
                    "problem": served.problem,
                    "drift": drift[name],
                }
                for name, served in self.models.items()
            ],
            "drift": worst(list(drift.values())),
            "watch": self.watch_state(),
            "queue": {"waiting": self.inspector.waiting, "limit": self.inspector.limit},
            "database": {"is_available": self.log.is_available},
            "disk": {"free": usage.free, "total": usage.total},
            "seconds_up": round(time.monotonic() - self.started, 1),
            "at": datetime.now(UTC).isoformat(),
        }

    def close(self) -> None:
        """Finish what waits, end edits and close the log."""
        self.is_stopping.set()
        self.inspector.close()
        self.lessons.close()
        for served in self.models.values():
            served.in_use.drift.save()
        self.log.close()

    def _result(self, future: "Future[Any]", deadline: float) -> Any:
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            future.cancel()
            raise TooSlow(
                f"the image was not inspected within {self.settings.limits.max_seconds:g} s. Send "
                "a smaller one, or send fewer at a time."
            ) from None
