"""`FitContext`: the embedder, settings, checkpoint and limits that all steps of a fit share."""

import hashlib
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from patchcore_dual._version import __version__
from patchcore_dual.data.light import LightPlan
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.features import CachedEmbedder, Embedder, EmbedImage, graph_of, unwrapped
from patchcore_dual.features.inspected import restricted
from patchcore_dual.model import bank_channels
from patchcore_dual.settings import Settings
from patchcore_dual.training.checkpoint import FitCheckpoint
from patchcore_dual.utils.files import file_sha256
from patchcore_dual.utils.memory import UNLIMITED, Memory
from patchcore_dual.utils.progress import Progress, silent

# Features of the training images wait on disk between the steps that need them, so that most
# images go through the network once: at most so many bytes, and this share of the free space.
CACHED_BYTES = 16 * 2**30
CACHED_SHARE_OF_DISK = 0.25


@dataclass(frozen=True)
class FitContext:
    """What all steps of one fit share.

    Attributes:
        embed: one image to its patch features.
        settings: of the detector.
        normal_channels, defect_channels: those of a patch feature that each bank keeps; None for
            all.
        checkpoint: keeps what is finished, and holds what an interrupted run finished.
        memory: limit of the process; what does not fit is mapped from files of the checkpoint.
        progress: gets the stage and how far it is.
        cached_bytes: how many bytes of features are kept between steps.
        light: the light variants of good images that are fitted on beside them.
    """

    embed: EmbedImage
    settings: Settings
    normal_channels: np.ndarray | None
    defect_channels: np.ndarray | None
    checkpoint: FitCheckpoint
    memory: Memory = UNLIMITED
    progress: Progress = silent
    cached_bytes: int = 0
    light: LightPlan = field(default_factory=LightPlan)

    def embed_in(self, training_set: Manifest, sample: Sample) -> EmbedImage:
        """`embed` for one training image; the features outside its region of interest are NaN."""
        region = training_set.region_of(sample)
        return lambda image: restricted(self.embed(image), image.shape, region)

    def features(self, training_set: Manifest, sample: Sample) -> np.ndarray:
        """The patch features float32 `[h, w, d]` of a training image, likewise."""
        return self.embed_in(training_set, sample)(training_set.read_image(sample))

    def without(self, images: Collection[str]) -> "FitContext":
        """The context of a fit without some of the images; its checkpoint lies in this one's."""
        folder = self.checkpoint.folder / "without"
        return replace(self, checkpoint=FitCheckpoint(folder, {"without": list(images)}))

    def in_light(self, plan: LightPlan) -> "FitContext":
        """The context of a fit with light variants; its checkpoint lies in this one's."""
        checkpoint = FitCheckpoint(self.checkpoint.folder / f"light-{plan.each}", asdict(plan))

        def progress(stage: str, done: int, total: int) -> None:
            self.progress(f"with {plan.each} in other light each: {stage}", done, total)

        return replace(self, light=plan, checkpoint=checkpoint, progress=progress)


@contextmanager
def fit_context(
    training_set: Manifest,
    embedder: Embedder,
    settings: Settings,
    *,
    folder: Path | None = None,
    memory: Memory = UNLIMITED,
    progress: Progress = silent,
) -> Iterator[FitContext]:
    """Open the context of one fit.

    Args:
        training_set: the images that are fitted on.
        embedder: as the banks see images, a projection included.
        folder: of the checkpoint, which stays afterwards; a temporary one by default.
        memory: limit of the process, which needs a folder.
    """
    with ExitStack() as stack:
        plan: dict[str, Any] = {}
        if folder is None:
            temporary = TemporaryDirectory(prefix="patchcore-dual-", ignore_cleanup_errors=True)
            folder, memory = Path(stack.enter_context(temporary)) / "fit", UNLIMITED
        else:
            plan = _plan(training_set, embedder, settings)
        checkpoint = FitCheckpoint(folder, plan)
        limit = 0
        if not isinstance(embedder, CachedEmbedder):
            features = folder / "features"
            shutil.rmtree(features, ignore_errors=True)
            features.mkdir()
            stack.callback(shutil.rmtree, features, ignore_errors=True)
            free = shutil.disk_usage(features).free
            limit = min(CACHED_BYTES, int(CACHED_SHARE_OF_DISK * free))
            embedder = CachedEmbedder(embedder, limit, features)
        yield FitContext(
            lambda image: embedder(image[None])[0],
            settings,
            *bank_channels(embedder.spec, settings),
            checkpoint,
            memory,
            progress,
            limit,
        )


def _regions(training_set: Manifest) -> Iterator[tuple[str, list[Any]]]:
    """Size and digest of the region of interest of each image; nothing where it has none."""

    def facts(region: np.ndarray | None) -> list[Any]:
        if region is None:
            return []
        return [*region.shape, hashlib.sha256(region.tobytes()).hexdigest()]

    common = facts(training_set.region)
    for sample in training_set:  # one region at a time: those of large images are large
        region = training_set.region_of(sample)
        yield sample.image, common if region is training_set.region else facts(region)


def _plan(training_set: Manifest, embedder: Embedder, settings: Settings) -> dict[str, Any]:
    """Everything that decides the normal banks and their evidence on training images."""
    real, graph = training_set.real(), graph_of(embedder)
    content = hashlib.sha256()
    for sample in real:
        content.update(bytes.fromhex(file_sha256(real.image_path(sample))))
    drawn = {name: facts for name, facts in _regions(training_set) if facts}
    return {
        **({"regions": drawn} if drawn else {}),
        "version": __version__,
        "engine": getattr(unwrapped(embedder), "engine", ""),
        "graph": hashlib.sha256(graph.weights).hexdigest() if graph else "",
        "embedder": asdict(embedder.spec),
        "settings": settings.model_dump(),
        "size": training_set.size(),
        "samples": [[s.image, s.label, s.group] for s in real],
        "content": content.hexdigest(),
    }
