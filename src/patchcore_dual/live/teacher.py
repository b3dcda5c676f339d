"""`Teacher`: teaches the model of one detector, shows what that changes, and refuses what costs."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.features import EmbedImage
from patchcore_dual.live.images import FOLDER, CalibrationImages
from patchcore_dual.live.lessons import Lesson
from patchcore_dual.live.narrowing import narrow
from patchcore_dual.live.pictures import TrainingPictures
from patchcore_dual.live.preview import MAX_LOSS, Preview, preview
from patchcore_dual.live.removal import remove
from patchcore_dual.live.teaching import Teaching, teach
from patchcore_dual.model import Edit, Model, Version, save_model
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of teaching.

    Attributes:
        teaching: the models before and after.
        preview: what it changes.
        is_accepted: whether the detector has the model after; otherwise it was refused, or only
            shown.
    """

    teaching: Teaching
    preview: Preview
    is_accepted: bool

    def edit(self, by: str = "", why: str = "") -> Edit:
        """What the ledger says of it, for `commit`."""
        effects = {
            **self.preview.effects(),
            "normal patches added": self.preview.gained_normal,
            "defect patches added": self.preview.gained_defect,
        }
        action = "teach" if self.teaching.taught else "remove"
        if self.teaching.is_narrowed:
            action = "region"
        return Edit(action, self.teaching.changed, by, why, effects)

    def __str__(self) -> str:
        """What it changes, and why it is refused, if it is."""
        reasons = () if self.is_accepted else self.preview.refusals
        return "\n".join([str(self.preview), *reasons])


class Teacher:
    """Teaches the model of one detector; holds its calibration images from lesson to lesson.

    The detector holds the teacher and not the other way round, so that one that is no longer used
    gives its memory back at once.
    """

    def __init__(self, folder: Path | None) -> None:
        """`folder`: the model's; None for a model that is not saved."""
        self._folder = folder
        self._images: CalibrationImages | None = None
        self._pictures: TrainingPictures | None = None

    def teach(
        self,
        model: Model,
        embed: EmbedImage,
        lessons: Sequence[Lesson] = (),
        *,
        removed: Collection[str] = (),
        region: np.ndarray | None = None,
        prepared: Path | str | None = None,
        inspected: Iterable[Path] | None = None,
        max_loss: float = MAX_LOSS,
        dry_run: bool = False,
        force: bool = False,
        progress: Progress = silent,
    ) -> Outcome:
        """Teach a model, unless that costs too much.

        Args:
            embed: an image of the model's size to its patch features, as of `CalibrationImages`.
            lessons: images, and what they show.
            removed: training images to take out of the model, as of `live.remove`.
            region: bool `[H, W]`, outside of which nothing is to be inspected any more, as of
                `live.narrow`; one of the three.
            prepared: the folder that the calibration images lie in, if they are not kept with the
                model and the folder of the fit is elsewhere now.
            inspected: files that were inspected lately, whose verdicts are compared.
            max_loss: of recall on known defects, or on kinds that were left out, beyond which the
                teaching is refused; so it is where the promised false-alarm rate breaks.
            dry_run: only show what would change.
            force: accept it whatever it costs.
            progress: gets the stage and how far it is.

        Raises:
            DataError, SettingsError: as `live.teach`.
            ModelError: as `CalibrationImages`.
        """
        if [bool(lessons), bool(removed), region is not None].count(True) != 1:
            raise SettingsError("give images to teach, some to remove, or a region, one of them.")
        images = self.images(model, embed, prepared, progress)
        if region is not None:
            teaching = narrow(model, region, images, progress)
        elif lessons:
            teaching = teach(model, lessons, embed, images, progress)
        else:
            teaching = remove(model, removed, images, progress)
        shown = preview(
            teaching, embed, images, inspected=inspected, max_loss=max_loss, progress=progress
        )
        is_accepted = not dry_run and (force or not shown.refusals)
        if is_accepted:
            teaching.keep(images)
            self._pictures = None  # there are more now
        return Outcome(teaching, shown, is_accepted)

    def save(self, model: Model, folder: Path, *, overwrite: bool = False) -> Version | None:
        """As `save_model`; what is kept of the calibration images goes along.

        Only there lie the pixels of images that were taught.
        """
        version = save_model(model, folder, overwrite=overwrite)
        here = self._images.kept_in if self._images else self._kept_in
        if here is not None and here.is_dir() and here.resolve() != (folder / FOLDER).resolve():
            (folder / FOLDER).mkdir(exist_ok=True)
            for path in here.iterdir():
                write_atomically(folder / FOLDER / path.name, path.read_bytes())
        return version

    @property
    def _kept_in(self) -> Path | None:
        return self._folder / FOLDER if self._folder else None

    def pictures(self, model: Model) -> TrainingPictures:
        """What shows the patches that an inspection names."""
        if self._pictures is None:
            self._pictures = TrainingPictures(
                self._images.kept_in if self._images else self._kept_in,
                partial(_prepared, model),
                model.size,
                model.spec.stride,
            )
        return self._pictures

    def images(
        self,
        model: Model,
        embed: EmbedImage,
        prepared: Path | str | None = None,
        progress: Progress = silent,
    ) -> CalibrationImages:
        """The calibration images, made ready where they are not."""
        if self._images is None:
            self._images = CalibrationImages(
                model, embed, self._folder, prepared=prepared, progress=progress
            )
        return self._images


def _prepared(model: Model) -> Path | None:
    """The folder that a model was fitted on; its calibration set is not held for that."""
    try:
        calibration = model.read_calibration()
    except ModelError:  # a version that was pruned since
        return None
    return Path(calibration.prepared) if calibration else None
