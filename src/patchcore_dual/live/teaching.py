"""Teaching: the model that has learned some images, good or defective (thesis 5.3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.data.sample import Sample
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.features import EmbedImage
from patchcore_dual.features.defect_patches import covered_cells, defect_patches
from patchcore_dual.features.inspected import restricted
from patchcore_dual.live.growth import grow_defect_bank, grow_normal_bank
from patchcore_dual.live.images import CalibrationImages, ImageRow
from patchcore_dual.live.lessons import LearnedImage, Lesson, read_lesson, verdict_of
from patchcore_dual.live.recalibration import TrainingState, calibration_of, described, renew
from patchcore_dual.model import Model, TaughtImage, bank_channels
from patchcore_dual.scoring import RULES, gather_evidence
from patchcore_dual.scoring.appearance import look_of
from patchcore_dual.scoring.familiarity import FOREIGN
from patchcore_dual.utils.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Teaching:
    """A model before and after it was taught. Nothing is saved.

    Attributes:
        before, after: the models.
        taught: the images that were taught; none where images were removed or the region of
            interest was narrowed.
        removed: names of the images that were removed.
    """

    before: Model
    after: Model
    taught: tuple[LearnedImage, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[TaughtImage, ...]:
        """The images that were taught or removed, as the ledger names them."""
        known = self.before.calibration
        sha256 = known.sha256 if known is not None else {}
        normals = known.normals if known is not None else ()
        return (
            *(
                TaughtImage(one.name, one.sha256, "defect" if one.is_defect else "good", one.kind)
                for one in self.taught
            ),
            *(
                TaughtImage(name, sha256.get(name, ""), "good" if name in normals else "defect")
                for name in self.removed
            ),
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether less is inspected than before."""
        return self.after.roi is not self.before.roi

    @property
    def gained_normal(self) -> int:
        """Vectors that the normal bank has gained; negative where it lost some."""
        return len(self.after.normal_bank) - len(self.before.normal_bank)

    @property
    def gained_defect(self) -> int:
        """The same of the defect bank."""
        before, after = (
            0 if model.defect_bank is None else len(model.defect_bank)
            for model in (self.before, self.after)
        )
        return after - before

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the images that were taught, in sentences."""
        lines = []
        for one in self.taught:
            if self.before.is_foreign(one.evidence.normal):
                lines.append(f"{one.name} is {FOREIGN}. Is it the right part?")
            if one.note:
                lines.append(f"{one.name}: {one.note}.")
            verdict = verdict_of(self.before, one.evidence, one.output.score)
            if one.is_defect and verdict == "reject":
                lines.append(f"{one.name} was rejected already: the model finds this defect.")
            if not one.is_defect and verdict == "pass":
                lines.append(f"{one.name} passed already: it is no false alarm.")
            if one.is_proposed:
                lines.append(
                    f"{one.name}: no mask was given; the region that stands out most is taken for "
                    "the defect. Look at it, and give a mask where it is wrong."
                )
        return tuple(lines)

    @property
    def approximations(self) -> tuple[str, ...]:
        """What a fit with these images would do otherwise, in sentences."""
        lines = []
        if any(not one.is_defect for one in self.taught):
            lines.append(
                "A fit would also choose the normal banks anew, that of each fold too; here "
                "calibration images keep their distances to normal where the new patches are "
                "not nearer."
            )
        if self.is_narrowed:
            lines.append(
                "A fit with this region would choose the banks anew from what lies inside; here "
                "they lose what lies outside. Probe, fusion rule, guard and thresholds are renewed "
                "as by a fit."
            )
        elif self.removed:
            lines.append(
                "A fit would choose the banks anew, and deal the remaining images to folds anew; "
                "probe, fusion rule, guard and thresholds are renewed as by a fit."
            )
        elif self.gained_defect:
            assert self.after.defect_bank is not None
            lines.append(
                "A fit would deal the images to folds anew, and would choose the defect bank from "
                "all patches; here it has grown. Probe, fusion rule, guard and thresholds are "
                "renewed as by a fit."
            )
        return tuple(lines)

    def keep(self, images: CalibrationImages) -> None:
        """Keep the taught images, by which the model can be taught again; before it is saved."""
        for one in self.taught:
            height, width = one.image.shape[:2]
            row = ImageRow(
                one.label,
                one.kind,
                one.group,
                sha256=one.sha256,
                pixels=one.pixels,
                height=height,
                width=width,
            )
            images.add(one.name, row, one.image)


def teach(
    model: Model,
    lessons: Sequence[Lesson],
    embed: EmbedImage,
    images: CalibrationImages,
    progress: Progress = silent,
) -> Teaching:
    """Teach a model some images.

    Each image's patches enter the bank as far as they are new to it (`growth.py`), and the image
    enters the calibration set with its evidence from banks without it. Then the model is calibrated
    as fitting does (`recalibration.py`).

    Args:
        model: is left as it is.
        lessons: at least one; each image once.
        embed: one image uint8 `[H, W, 3]` of the model's size to its patch features, as of
            `CalibrationImages`.
        images: of this model.
        progress: gets the stage and how far it is.

    Raises:
        DataError: for an image that cannot be read or is known already, or a mask that cannot be.
        SettingsError: for a defect, where the model's scoring rule uses none.
    """
    settings = model.settings
    if not RULES[settings.scoring].uses_defects and any(one.is_defect for one in lessons):
        raise SettingsError(
            f"the model's scoring rule {settings.scoring} uses no defects. Fit one with "
            "--scoring calibrated to teach it defects."
        )
    kinds = {s.kind for s in images.samples(_known_defects(model))}
    if kinds and all(kinds) and any(one.is_defect and not one.kind for one in lessons):
        raise SettingsError(
            "the defects that the model knows are named by their kinds: "
            f"{', '.join(sorted(kinds))}. Say of which kind this one is with --kind, one of these "
            "or a new one."
        )
    taught = [read_lesson(lesson, model, embed, images) for lesson in lessons]
    _check_each_once(taught)
    state = TrainingState.of(model, images)
    for one in taught:
        state = _with_image(state, one, model, embed, images)
    features = {one.name: one.features for one in taught}

    def features_of(name: str) -> np.ndarray:
        return features[name] if name in features else images.features(name)

    trained_on = described(
        model.trained_on,
        state,
        {
            one.name: {
                "label": one.label,
                "kind": one.kind,
                "group": one.group,
                "mask_proposed": one.is_proposed,
            }
            for one in taught
        },
    )
    after = renew(model, state, features_of, trained_on=trained_on, progress=progress)
    return Teaching(model, after, tuple(taught))


def _known_defects(model: Model) -> tuple[str, ...]:
    """Names of the images that the defect bank comes from."""
    return model.defect_bank.sources if model.defect_bank is not None else ()


def _check_each_once(taught: Sequence[LearnedImage]) -> None:
    by_pixels: dict[str, LearnedImage] = {}
    names = [one.name for one in taught]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(f"several images are called {min(twice)}. Give each a name of its own.")
    for one in taught:
        other = by_pixels.setdefault(one.pixels, one)
        if other is not one:
            raise DataError(f"{one.name} and {other.name} are the same image. Teach it once.")


def _with_image(
    state: TrainingState,
    one: LearnedImage,
    model: Model,
    embed: EmbedImage,
    images: CalibrationImages,
) -> TrainingState:
    """The state with one more image in a bank and in the calibration set."""
    settings = model.settings
    sample = Sample(one.name, "", one.label, "train", kind=one.kind, group=one.group)
    relatives = {s.image for s in state.samples if one.group and s.group == one.group}
    folds = [state.fold_of[name] for name in relatives if name in state.fold_of]
    normal, others = one.evidence.normal, model.normal_bank.without(relatives)
    if relatives & set(model.normal_bank.sources) and len(others):
        normal = gather_evidence(one.features, others, None).normal
    state = replace(
        state,
        samples=(*state.samples, sample),
        fold_of={
            **state.fold_of,
            one.name: folds[0] if folds else state.next_fold(one.is_defect),
        },
        normal={**state.normal, one.name: normal},
        sizes={**state.sizes, one.name: (one.image.shape[0], one.image.shape[1])},
        sha256={**state.sha256, one.name: one.sha256},
    )
    if one.mask is None:
        if model.drift is not None:
            look = look_of(one.image, np.isfinite(one.features[..., 0]))
            state = replace(state, looks={**state.looks, one.name: look})
        radius = calibration_of(model).covering_radius
        gained = grow_normal_bank(state.normal_bank, one.name, one.features, radius, settings.seed)
        if gained is None:
            return state
        bank = MemoryBank.join([state.normal_bank, gained])
        return replace(state, normal_bank=bank, gained=(*state.gained, gained))

    def embed_inspected(image: np.ndarray) -> np.ndarray:
        return restricted(embed(image), image.shape, model.roi)

    choice, size = settings.patches, model.size
    vectors, cells = defect_patches(embed_inspected, one.image, one.mask, choice, size)
    own = np.zeros(len(vectors), np.int32)
    patches = MemoryBank(vectors, own, cells.astype(np.int32), (one.name,))
    _, channels = bank_channels(model.spec, settings)
    synthetic = frozenset(n for n, row in images.rows.items() if row.origin != "real")
    defects = grow_defect_bank(state.defects, patches, settings, channels, synthetic)
    on_defect = covered_cells(one.mask, *one.features.shape[:2]) & ~uninspected(one.features)
    return replace(state, defects=defects, cells={**state.cells, one.name: on_defect})
