"""Narrowing the region of interest of a fitted model: what lies outside counts no more.

What a region leaves out leaves banks, calibration set and probe, as if the model had been fitted
with it. The other way round is not possible: of what was never inspected a model keeps nothing.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.inputs import Image, InputImage, read_input
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.data.roi import in_both, region_for, resize_region
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.features.inspected import inspected_cells
from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.live.recalibration import TrainingState, described, renew
from patchcore_dual.live.shrinking import without_defects, without_normals
from patchcore_dual.live.teaching import Teaching
from patchcore_dual.model import Model
from patchcore_dual.scoring import Nearest
from patchcore_dual.scoring.appearance import Look, look_of
from patchcore_dual.training.defect_bank import DefectPatches
from patchcore_dual.training.regions import check_patches, photographed_size
from patchcore_dual.utils.progress import Progress, silent

Cells = dict[str, np.ndarray]
"""bool `[h, w]` of images by name: the cells of their feature grids that are inspected."""


def narrow(
    model: Model, region: np.ndarray, images: CalibrationImages, progress: Progress = silent
) -> Teaching:
    """The model that inspects only what lies both in its region of interest and in another one.

    Vectors of the banks that come from cells outside leave, and out-of-fold distances are NaN
    there. The normal bank gains those patches inside that they alone covered; where one was the
    nearest to a patch of a calibration image, the distance is that to the bank's remaining vectors
    of other folds. An image whose defect lies wholly outside is no longer learned from as a defect.

    Args:
        model: is left as it is.
        region: bool `[H, W]`, True where parts are inspected, of the size or proportions of the
            model's images or of the photographs that they were prepared from, as of
            `data.roi.read_roi`. Where parts are aligned it lies on the part, as in the reference.
        images: of this model.
        progress: gets the stage and how far it is.

    Raises:
        DataError: the region has other proportions, or leaves out nothing, everything or every
            defect.
        SettingsError: patches `crop`, which does not know regions.
    """
    check_patches(model.settings)
    state = TrainingState.of(model, images)
    region = _at_size(model, region, images, state)
    inside = _inside(state, region)
    _check(model, state, region, inside)
    defects, lost = _defects_inside(state, inside)
    kept = [name for name in state.fold_of if name not in lost]
    looks = {name: _look_inside(name, state, inside[name], images) for name in state.looks}
    stays = _rows_inside(state.normal_bank, inside)
    state = replace(
        state,
        defects=defects,
        fold_of={name: state.fold_of[name] for name in kept},
        normal={name: _marked(state.normal[name], inside[name]) for name in kept},
        cells={name: state.cells[name] & inside[name] for name in kept if name in state.cells},
        looks={name: look for name, look in looks.items() if look is not None},
    )
    state = without_normals(model, state, stays, images, progress)
    outside = {"defects_outside_region": model.defects_outside + len(_real(state, lost))}
    trained_on = {**described(model.trained_on, state), **outside}
    narrowed = replace(model, roi=region)
    after = renew(narrowed, state, images.features, trained_on=trained_on, progress=progress)
    return Teaching(model, after)


def region_without(model: Model, image: Image, mask: np.ndarray) -> np.ndarray:
    """The region that is left where somebody marked on one image what is not to be inspected.

    Args:
        image: of any size, as it is inspected.
        mask: bool `[H, W]`, of the image's size, True where nothing is to be inspected.

    Returns:
        bool `[h, w]` of the model's size, on the part where parts are aligned.

    Raises:
        ImageError: for an image that cannot be read.
        DataError: for a mask of another size or without a mark, or an image that cannot be aligned.
    """
    given = _aligned(model, image)
    height, width = given.original.shape[:2]
    if mask.shape != (height, width):
        raise DataError(
            f"the mask is {mask.shape[1]}x{mask.shape[0]} and its image {width}x{height}. Draw it "
            "on the image itself."
        )
    if not mask.any():
        raise DataError("nothing is marked. Mark what is not to be inspected.")
    rows, columns = given.resized.shape[:2]
    return np.asarray(~resize_mask(given.aligned_mask(mask), columns, rows))


def region_on(model: Model, image: Image) -> np.ndarray:
    """Where a model inspects one image, bool `[H, W]` of the image's own size.

    Raises:
        ImageError: for an image that cannot be read.
        DataError: for one that cannot be aligned.
    """
    given = _aligned(model, image)
    height, width = given.original.shape[:2]
    if model.roi is None:
        return np.ones((height, width), dtype=bool)
    rows, columns = given.resized.shape[:2]
    outside = resize_mask(~resize_region(model.roi, columns, rows), width, height)
    return ~np.isnan(given.as_given(np.where(outside, np.float32(np.nan), np.float32(1))))


def _aligned(model: Model, image: Image) -> InputImage:
    given = read_input(image, model.size, bit_depth=model.bit_depth).aligned(model.aligner)
    if given.motion is not None and given.motion.reason:
        raise DataError(f"this image cannot be drawn on: {given.motion.reason}. Take another one.")
    return given


def _at_size(
    model: Model, region: np.ndarray, images: CalibrationImages, state: TrainingState
) -> np.ndarray:
    """What lies in both regions, bool `[h, w]`, at the size of the model's images."""
    height, width = next(iter(state.sizes.values()))
    sizes = [model.size or (width, height)]
    if (photographed := photographed_size(Manifest(images.folder, ()))) is not None:
        sizes.append(photographed)
    both = in_both(model.roi, region_for(region, sizes, what="the model's images are"))
    assert both is not None
    return both


def _inside(state: TrainingState, region: np.ndarray) -> Cells:
    """What is inspected of every image that is scored or in a bank, within a region."""
    inside = {
        name: _cells_of(region, *state.sizes[name], one.distance) & ~np.isnan(one.distance)
        for name, one in state.normal.items()
    }
    # Synthetic images, and defective ones that a rule does not score, are as large as all others.
    patches = state.defects.patches if state.defects else None
    unscored = [name for name in patches.sources if name not in inside] if patches else []
    alike = {(*state.sizes[one], *cells.shape) for one, cells in inside.items()}
    if unscored and len(alike) > 1:
        raise SettingsError(
            "the images that the model was fitted on have several sizes, and it does not keep that "
            f"of {unscored[0]}. Fit anew with `fit --ignore`."
        )
    some = next(iter(state.normal))
    cells = _cells_of(region, *state.sizes[some], state.normal[some].distance)
    return inside | dict.fromkeys(unscored, cells)


def _cells_of(region: np.ndarray, height: int, width: int, grid: np.ndarray) -> np.ndarray:
    """The cells of the grid `[h, w]` of an image that a region holds."""
    return inspected_cells(resize_region(region, width, height), *grid.shape)


def _check(model: Model, state: TrainingState, region: np.ndarray, inside: Cells) -> None:
    """DataError for a region that leaves out nothing, or all of an image."""
    if all(
        np.array_equal(inside[name], ~np.isnan(one.distance)) for name, one in state.normal.items()
    ):
        some = state.normals[0]
        width = state.sizes[some][1] / inside[some].shape[1]
        raise DataError(
            "nothing changes: this region leaves out no cell that the model inspects. It inspects "
            f"{model.inspected_share:.1%} of each image, in cells {width:.0f} pixels wide at "
            f"{region.shape[1]}x{region.shape[0]}, and leaves out those of which more than half is "
            "outside. A fitted model can only inspect less: to inspect more, go back with "
            "`patchcore-dual undo`, or fit anew."
        )
    blind = [name for name in state.normals if not inside[name].any()]
    if len(blind) == len(state.normals):
        raise DataError("this region leaves nothing to inspect: it holds half of no cell.")
    if blind:
        raise DataError(
            "some training images have a region of their own, of which this one leaves nothing: "
            f"{len(blind)}, as {blind[0]}. Fit anew with `fit --ignore`, without them."
        )


def _defects_inside(
    state: TrainingState, inside: Cells
) -> tuple[DefectPatches | None, frozenset[str]]:
    """The defects inside, and the images, also synthetic ones, of which none is left there."""
    if state.defects is None:
        return None, frozenset()
    bank, patches = state.defects.bank, state.defects.patches
    left = patches.select(_rows_inside(patches, inside)).sources
    hidden = {name for name, cells in state.cells.items() if not (cells & inside[name]).any()}
    lost = frozenset({*patches.sources} - {*left} | hidden)
    known = _real(state, patches.sources)
    if known and known <= lost:
        raise DataError(
            f"this region leaves out the defects of all {len(known)} defective training images, as "
            f"of {min(known)}. White is what --roi inspects and what --ignore leaves out: was the "
            "other one meant?"
        )
    if lost == {*patches.sources}:  # synthetic ones alone
        return None, lost
    stays = [
        _rows_inside(one, inside) & np.array([name not in lost for name in one.sources])[one.image]
        for one in (bank, patches)
    ]
    return without_defects(state.defects, *stays), lost


def _rows_inside(bank: MemoryBank, inside: Cells) -> np.ndarray:
    """bool `[n]`: which vectors of a bank come from a cell inside."""
    stays = np.zeros(len(bank), dtype=bool)
    ends = np.cumsum(np.bincount(bank.image, minlength=len(bank.sources)))
    of_sources = np.split(np.argsort(bank.image, kind="stable"), ends[:-1])
    for name, rows in zip(bank.sources, of_sources, strict=True):
        stays[rows] = inside[name][bank.cell[rows, 0], bank.cell[rows, 1]]
    return stays


def _marked(nearest: Nearest, inside: np.ndarray) -> Nearest:
    return replace(nearest, distance=np.where(inside, nearest.distance, np.float32(np.nan)))


def _real(state: TrainingState, names: Iterable[str]) -> set[str]:
    """Those of some training images that are photographs."""
    synthetic = {sample.image for sample in state.samples if sample.is_synthetic}
    return {name for name in names if name not in synthetic}


def _look_inside(
    name: str, state: TrainingState, inside: np.ndarray, images: CalibrationImages
) -> Look | None:
    """What the pixels inside alone say of an image; None where no picture of it is kept.

    The picture may be a JPEG, which is a little smoother than the image. What narrowing changes of
    its look is therefore added to that of the image.
    """
    picture, look = images.image(name), state.looks[name]
    if picture is None:
        return None
    was, now = (look_of(picture, c) for c in (~np.isnan(state.normal[name].distance), inside))
    values = look.values + (now.values - was.values)
    return Look(values.astype(np.float32), look.brightness + (now.brightness - was.brightness))
