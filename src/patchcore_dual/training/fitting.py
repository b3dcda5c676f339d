"""`fit`: from a prepared data set to a model, as one function."""

import logging
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.aligning import aligner_of
from patchcore_dual.data.prepare.sizes import check_size
from patchcore_dual.data.subsets import choose_defects, choose_synthetic, exclude_images
from patchcore_dual.errors import SettingsError
from patchcore_dual.features import Embedder, TiledEmbedder, as_set
from patchcore_dual.features.quantisation import (
    MOST_IMAGES,
    check_calibration,
    in_floats,
    quantised,
)
from patchcore_dual.model import Model, Version, check_writable, save_model
from patchcore_dual.settings import Settings
from patchcore_dual.training.context import FitContext, fit_context
from patchcore_dual.training.cpu_check import check_on_cpu
from patchcore_dual.training.first_steps import FirstSteps
from patchcore_dual.training.folds import check_training_set
from patchcore_dual.training.light_choice import LightChoice, check_light_choice, choose_light
from patchcore_dual.training.light_effect import measure_light
from patchcore_dual.training.normal_banks import NormalBanks
from patchcore_dual.training.precision import PrecisionCost, precision_cost
from patchcore_dual.training.regions import check_regions, within_region
from patchcore_dual.training.single_fit import score_of
from patchcore_dual.training.size_choice import SizeChoice
from patchcore_dual.training.size_trials import (
    check_smallest_defect,
    choose_size_by_trials,
    size_is_open,
    trials_of,
)
from patchcore_dual.training.synthetic_choice import (
    SyntheticGain,
    check_synthetic_choice,
    choose_synthetic_count,
)
from patchcore_dual.training.tiles import check_tiles
from patchcore_dual.utils.checkpoint import writing_explained
from patchcore_dual.utils.files import file_sha256
from patchcore_dual.utils.locking import locked
from patchcore_dual.utils.memory import UNLIMITED, Memory
from patchcore_dual.utils.progress import Progress, silent
from patchcore_dual.utils.spread import Spread

MISLABELLED_ROUNDS = 3  # fits after which images are set aside, at most

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """What `fit` gives.

    Attributes:
        model: the fitted model.
        synthetic: how many synthetic images help; None unless that was asked for.
        pseudo_masks: the places proposed in defective images without a mask, bool `[H, W]`, by
            name.
        former: the version of the model folder that was replaced; None where none was.
        size: how the size of the images was chosen; None where it was given.
        embedder: that of the model: in 8-bit integers, where the settings say so.
        precision: what 8-bit integers cost; None unless that was asked for.
        light: how many variants in other light were fitted on; None unless that was asked for.
    """

    model: Model
    embedder: Embedder
    synthetic: SyntheticGain | None = None
    pseudo_masks: dict[str, np.ndarray] = field(default_factory=dict)
    former: Version | None = None
    size: SizeChoice | None = None
    precision: PrecisionCost | None = None
    light: LightChoice | None = None


def fit(
    manifest: Manifest | Path | str,
    embedder: Embedder,
    settings: Settings | None = None,
    *,
    defects: int | None = None,
    exclude_kinds: Collection[str] = (),
    exclude: Collection[str] = (),
    keep_all: bool = False,
    synthetic: Literal["all", "none", "best"] | int = "all",
    size: tuple[int, int] | Literal["auto"] | None = "auto",
    smallest_defect: float | None = None,
    roi: np.ndarray | None = None,
    normal_banks: NormalBanks | None = None,
    compare_precision: bool = False,
    model_folder: Path | None = None,
    overwrite: bool = False,
    memory: Memory = UNLIMITED,
    progress: Progress = silent,
    spread: Spread | None = None,
) -> Fit:
    """Fit a model on the training images of a prepared data set (thesis 4.3).

    1. Normal banks: greedy coresets of the patches of normal images, of all and without each fold.
    2. Pseudo masks, for defective images without a mask.
    3. The defect bank: a coreset of the patches on defects.
    4. Cross-fitting: out-of-fold evidence for every training image.
    5. The fusion rule and the thresholds, calibrated on that evidence.
    6. What small changes of light do to good images, measured on some of them.

    Where that evidence says that good images are probably mislabelled, they are set aside, and all
    of it is done again without them.

    Args:
        manifest: a prepared data set, or its folder. Test images are not read.
        embedder: gives the patch features.
        settings: the defaults of `Settings` where None.
        defects: fit on only so many defective images.
        exclude_kinds: kinds of defect to leave out.
        exclude: training images to leave out, named as in the manifest's `image` or `source`.
            Synthetic images made from them are left out too.
        keep_all: fit on good images that are probably mislabelled too. Otherwise they are set
            aside, as if they were in `exclude`; `trained_on["set_aside"]` of the model names them,
            each with its score under the model, and `trained_on["set_aside_sha256"]` has the hex
            digests of their files.
        synthetic: synthetic images to use: all, none, the first so many, or as many as help to
            find held-out defects.
        size: width and height that images are resized to; None takes them as they were prepared.
            "auto" chooses by cross-validation where `prepare` kept the size of the photographs, and
            takes the size that was given to `prepare` otherwise.
        smallest_defect: width of the smallest defect that is to be found, in pixels of the prepared
            images; size "auto" then starts from it in place of the widths of the masks.
        roi: the region of interest, bool `[H, W]`, True where images are inspected, as of
            `data.roi.read_roi`; drawn on the prepared images, or on the photographs. It narrows
            that of `prepare`. An image is inspected in its own alone, where the manifest's column
            `roi` names the file of one.
        normal_banks: what `normal_banks_of` gave for the same normal images, embedder and
            settings. Then no image is set aside, and for precision int8 the embedder has to be in
            integers already, as these banks are.
        compare_precision: with precision int8, fit in float32 too, and compare both on held-out
            training images.
        model_folder: where the model is saved. A second run after an interrupted one then resumes
            from a hidden folder beside it.
        overwrite: whether a model in `model_folder` may be replaced; it stays as a version.
        memory: the most memory that the process may take; counts only with a `model_folder`.
        progress: gets the stage and how far it is.
        spread: has workers that embed images and choose the coresets of parts. The model is the
            same with them.

    Raises:
        DataError: where there are too few normal images, an image to exclude is unknown, the region
            of interest has other proportions than the images or leaves out every defect, or
            another fit is running into `model_folder`.
        SettingsError: for settings that do not fit the data.
        ModelError: where `model_folder` cannot be written, or holds a model already; or where the
            scores of a fit on a GPU are others on a CPU.
        MissingDependencyError: for precision int8 without NNCF.
    """
    settings = settings or Settings()
    if not isinstance(manifest, Manifest):
        manifest = Manifest.load(manifest)
    manifest = within_region(manifest, roi)
    wanted = exclude_images(manifest, exclude)
    excluded = len(manifest.real()) - len(wanted.real())
    training_set = choose_defects(wanted, defects, exclude_kinds, settings.seed).part("train")
    if synthetic == "best":
        check_synthetic_choice(settings, training_set)
    else:
        training_set = choose_synthetic(training_set, synthetic)
    check_training_set(training_set)
    outside = check_regions(training_set, settings)
    if settings.robust == "light":
        check_light_choice(training_set)
    in_integers = settings.precision == "int8" and normal_banks is None
    if compare_precision and not in_integers:
        raise SettingsError("precisions are compared where one is chosen: add --precision int8.")
    if in_integers:
        check_calibration(embedder, len(training_set.real()))
        embedder = in_floats(embedder)  # that of an earlier fit is in integers already
    elif settings.precision == "int8" and embedder.spec.precision != "int8":
        raise SettingsError("these normal banks are of float32: fit with precision float32.")
    if smallest_defect is not None:
        check_smallest_defect(smallest_defect, size, training_set)
    if settings.tile is not None and size == "auto":
        size = None  # tiles are there to see images at their own size
    if size is not None and size != "auto":
        check_size(*size)
        training_set = training_set.at_size(*size)
    check_tiles(embedder, settings, training_set)
    size_choice = None
    with ExitStack() as stack:
        checkpoint = None
        if model_folder is not None:
            checkpoint = stack.enter_context(_unfinished(model_folder, overwrite))
        if size == "auto" and size_is_open(training_set) and normal_banks is None:
            size_choice = choose_size_by_trials(
                training_set,
                embedder,
                settings,
                checkpoint,
                smallest_defect=smallest_defect,
                keep_all=keep_all,
                memory=memory,
                progress=progress,
            )
            training_set = training_set.at_size(*size_choice.size)
            settings = settings.model_copy(update={"normal_rate": size_choice.normal_rate})
        floats = embedder
        if in_integers:
            embedder = _quantised(embedder, training_set, settings, progress)
        context = stack.enter_context(
            fit_context(
                training_set,
                as_set(embedder, settings),
                settings,
                folder=checkpoint,
                memory=memory,
                progress=progress,
                spread=spread,
            )
        )
        first = FirstSteps.of(context, training_set, embedder, normal_banks)
        aside: list[str] = []
        for _ in range(0 if keep_all or normal_banks else MISLABELLED_ROUNDS):
            found = first.likely_mislabelled()
            if not found:
                break
            aside += found
            _log.info(
                "Set aside as probably mislabelled: %s. Fitting again without %s.",
                ", ".join(found),
                "it" if len(found) == 1 else "them",
            )
            first = first.without(found)
        gain, chosen = None, first.training_set
        if synthetic == "best":
            gain = choose_synthetic_count(first.scores, chosen)
            chosen = choose_synthetic(chosen, gain.kept)
        light = None
        if settings.robust == "light":
            light, model, effects = choose_light(first, chosen)
        else:
            model = first.model(chosen)
            effects = measure_light(first.context, chosen, first.banks, model)
        facts = {
            "excluded_images": excluded,
            **_set_aside(model, context, training_set, aside),
            "light": {name: asdict(effect) for name, effect in effects.items()},
            **({"light_choice": asdict(light)} if light else {}),
        }
        if outside is not None:
            facts["defects_outside_region"] = len(outside)
        model = replace(
            model, trained_on={**model.trained_on, **facts}, aligner=aligner_of(training_set)
        )
        check_on_cpu(model, context, training_set, embedder)
        cost = None
        if compare_precision:  # before the model is saved, so that an interrupted run can resume
            kept = chosen.part("train")
            others = settings.model_copy(update={"precision": "float32"})
            other = fit(kept, floats, others, size=None, keep_all=True, progress=progress).model
            cost = precision_cost(other, model)
        former = None
        if model_folder is not None:
            former = save_model(model, model_folder, overwrite=overwrite, is_locked=True)
            context.checkpoint.remove()
            shutil.rmtree(trials_of(context.checkpoint.folder), ignore_errors=True)
    return Fit(model, embedder, gain, first.pseudo_masks, former, size_choice, cost, light)


def _quantised(
    embedder: Embedder, training_set: Manifest, settings: Settings, progress: Progress
) -> Embedder:
    """The embedder in 8-bit integers, by some of the training images, good and defective."""
    real = training_set.real()
    chosen = np.random.default_rng(settings.seed).permutation(len(real))[:MOST_IMAGES]
    samples = [real.samples[i] for i in sorted(chosen)]
    progress("quantising the network", 0, 1)
    images = [training_set.read_image(sample) for sample in samples]
    if isinstance(seen := as_set(embedder, settings), TiledEmbedder):
        images = [tile for image in images for tile in seen.tiles_of(image)]
        order = np.random.default_rng(settings.seed).permutation(len(images))[:MOST_IMAGES]
        images = [images[i] for i in sorted(order)]
    return quantised(embedder, images)


def _set_aside(
    model: Model, context: FitContext, training_set: Manifest, names: Sequence[str]
) -> dict[str, Any]:
    """What a model remembers of the images that were set aside: their scores and files."""
    if not names:
        return {"set_aside": {}}
    samples = {s.image: s for s in training_set}
    features = (context.features(training_set, samples[name]) for name in names)
    scores = (score_of(model, of_image) for of_image in features)
    files = (file_sha256(training_set.image_path(samples[name])) for name in names)
    return {
        "set_aside": dict(zip(names, scores, strict=True)),
        "set_aside_sha256": dict(zip(names, files, strict=True)),
    }


@contextmanager
def _unfinished(model_folder: Path, overwrite: bool) -> Iterator[Path]:
    """The folder of the checkpoint of a model's fit, which no other process can open meanwhile."""
    check_writable(model_folder, overwrite=overwrite)
    absolute = model_folder.absolute()
    with writing_explained(absolute.parent):
        absolute.parent.mkdir(parents=True, exist_ok=True)
    with locked(absolute, "fit", "Or give another --model."):
        check_writable(model_folder, overwrite=overwrite)  # another fit may just have ended
        yield absolute.with_name(f".{absolute.name}.unfinished")
