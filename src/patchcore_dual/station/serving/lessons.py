"""`Lessons`: every edit of the models that a station serves, as on the command line."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec

from patchcore_dual.station.log.records import plain
from patchcore_dual.station.serving import descriptions, edits, teaching
from patchcore_dual.station.serving.editor import Editor
from patchcore_dual.station.serving.served_model import ServedModel

P = ParamSpec("P")
Logged = Sequence[tuple[str, Path]]
_MOST_DESCRIBED = 64


class Lessons:
    """Edits models in a process of its own, one edit after the other.

    The served model takes what changed before the edit is answered, so that whoever made it meets
    it in the next inspection. All methods wait, and raise what the command line would print.
    """

    def __init__(self) -> None:
        self._editor = Editor()
        self._described: dict[tuple[Path, str], dict[str, Any]] = {}  # by folder and fingerprint
        self._lock = threading.Lock()

    def teach(self, served: ServedModel, asked: teaching.Asked) -> dict[str, Any]:
        """See `teaching.teach`."""
        return self._taken(served, self._run(teaching.teach, served.folder, asked))

    def set_thresholds(self, served: ServedModel, **asked: Any) -> dict[str, Any]:
        """See `edits.thresholds`, for what can be asked."""
        return self._taken(served, self._run(edits.thresholds, served.folder, **asked))

    def undo(self, served: ServedModel, to: int | None, by: str, why: str) -> dict[str, Any]:
        """See `edits.undone`."""
        return self._taken(served, self._run(edits.undone, served.folder, to, by, why))

    def tag(
        self, served: ServedModel, name: str, number: int | None, by: str, why: str
    ) -> dict[str, Any]:
        """See `edits.tagged`."""
        return self._run(edits.tagged, served.folder, name, number, by, why)

    def describe(self, served: ServedModel) -> dict[str, Any]:
        """See `descriptions.described`; computed once for each version.

        Where the model cannot be taught it is computed anew: what that takes may be back.
        """
        served.refresh()
        place = served.folder, served.fingerprint
        with self._lock:
            known = self._described.get(place)
        if known is None:
            known = self._run(descriptions.described, served.folder)
            if known["can_be_taught"]:
                with self._lock:
                    if len(self._described) >= _MOST_DESCRIBED:
                        self._described.clear()
                    self._described[served.folder, known["fingerprint"]] = known
        return known

    def compare(
        self, served: ServedModel, first: str, second: str, logged: Logged
    ) -> dict[str, Any]:
        """See `descriptions.compared`."""
        return self._run(descriptions.compared, served.folder, first, second, logged)

    def training_images(self, served: ServedModel) -> list[dict[str, Any]]:
        """See `descriptions.training_images`."""
        return self._run(descriptions.training_images, served.folder)

    def training_picture(self, served: ServedModel, key: str) -> bytes | None:
        """See `descriptions.training_picture`."""
        return self._run(descriptions.training_picture, served.folder, key)

    def close(self) -> None:
        """End the process of edits; a model is then as it was, or changed."""
        self._editor.close()

    def _run(self, work: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Have an edit made; numbers that are not finite, which JSON has not, become None."""
        return plain(self._editor.run(work, *args, **kwargs))

    @staticmethod
    def _taken(served: ServedModel, done: dict[str, Any]) -> dict[str, Any]:
        served.refresh()
        return done
