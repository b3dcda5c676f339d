"""`SyntheticSource`: synthetic training images, from the prepared set or made for it."""

import shutil
import tempfile
import weakref
from pathlib import Path

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.subsets import choose_synthetic
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.synthesis import CPU_GENERATORS, GENERATORS
from patchcore_dual.synthesis.runs.synthesise import synthesise
from patchcore_dual.utils.progress import Progress, silent

DIAG = "diag"  # needs a diffusion model, so its images cannot be made during a trial
DEFAULT = "poisson"


class SyntheticSource:
    """Synthetic training images of one split.

    Images that it has to make lie in a temporary folder, which is removed with this object.

    Args:
        seed: of the images that it makes.
        progress: called with the stage, the steps done and their number.
    """

    def __init__(self, seed: int, progress: Progress = silent) -> None:
        self._seed = seed
        self._progress = progress
        self._folder: Path | None = None
        self._made_from: tuple[str, Manifest] | None = None

    def __call__(self, manifest: Manifest, generator: str, count: int) -> tuple[Sample, ...]:
        """The first `count` images of a generator; the first 50 are among the first 100.

        They are the manifest's own where it has enough, else made from its real training images.
        Images that were made are removed when those of another generator or manifest are made.

        Raises:
            DataError: where the images are neither there nor can be made.
            SettingsError: for a generator that does not exist.
        """
        if own := own_images(manifest, generator, count):
            return own
        parents = manifest.real().part("train")
        kind = CPU_GENERATORS[generator]
        folder = self._folder_for(generator, parents)
        return synthesise(parents, [kind()], count, self._seed, folder, progress=self._progress)

    def _folder_for(self, generator: str, parents: Manifest) -> Path:
        """The folder of the images made so far, emptied for another generator or manifest."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="patchcore-dual-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        folder = self._folder / "images"
        if self._made_from != (generator, parents):
            shutil.rmtree(folder, ignore_errors=True)
            self._made_from = (generator, parents)
        return folder


def own_images(manifest: Manifest, generator: str, count: int) -> tuple[Sample, ...]:
    """The first `count` of the manifest's own images of a generator; none if they are to be made.

    Raises:
        DataError: where the images are neither there nor can be made.
        SettingsError: for a generator that does not exist.
    """
    own = manifest.where(s for s in manifest.synthetic() if s.origin == generator)
    if len(own) >= count:
        return choose_synthetic(own, count).samples
    if generator in CPU_GENERATORS:
        if not can_make(generator, manifest):
            raise DataError(
                f"{generator} takes surface from real defects, and no defective training image of "
                f"{manifest.folder} has a mask. Give another --generator."
            )
        return ()
    if not len(own) and generator not in GENERATORS:
        raise SettingsError(f"no generator {generator!r}; there are: {', '.join(GENERATORS)}.")
    raise DataError(
        f"{manifest.folder} has {len(own) or 'no'} images by {generator} to train on, and {count} "
        "are needed; they cannot be made during a trial. Run augment "
        f"{generator} first, or give another --generator. (Of splits by group only those count "
        "whose parents are all on the training side.)"
    )


def can_make(generator: str, manifest: Manifest) -> bool:
    """Whether a CPU generator can work from the training images: some need a defect to borrow."""
    defective = manifest.real().part("train", "positive")
    return not CPU_GENERATORS[generator].needs_donor or any(s.mask_is_known for s in defective)


def default_generator(manifest: Manifest) -> str:
    """DIAG where the prepared set has images of it, else a CPU generator that can make some."""
    if any(s.origin == DIAG for s in manifest):
        return DIAG
    return next(g for g in (DEFAULT, *CPU_GENERATORS) if can_make(g, manifest))


def display_name(generator: str) -> str:
    """The name of a generator as tables print it."""
    return "DIAG" if generator == DIAG else generator
