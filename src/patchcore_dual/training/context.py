"""`FitContext`: the embedder, settings, checkpoint and limits that all steps of a fit share."""

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

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
from patchcore_dual.utils.prefetch import prefetch
from patchcore_dual.utils.progress import Progress, silent
from patchcore_dual.utils.spread import Spread

Result = TypeVar("Result")

# Features of the training images wait on disk between the steps that need them, so that most
# images go through the network once: at most so many bytes, and this share of the free space.
CACHED_BYTES = 16 * 2**30
CACHED_SHARE_OF_DISK = 0.25
# Other workers embed images where this process would take so many seconds, by the first few:
# they take some to start.
WORTH_SPREADING = 10.0
_TIMED = 3


@dataclass(frozen=True)
class FitContext:
    """What all steps of one fit share.

    Attributes:
        embedder: as the banks see images; it keeps the features of each.
        settings: of the detector.
        normal_channels, defect_channels: those of a patch feature that each bank keeps; None for
            all.
        checkpoint: keeps what is finished, and holds what an interrupted run finished.
        memory: limit of the process; what does not fit is mapped from files of the checkpoint.
        progress: gets the stage and how far it is.
        cached_bytes: how many bytes of features are kept between steps.
        light: the light variants of good images that are fitted on beside them.
        spread: has workers that embed images and choose the coresets of parts; None for none.
    """

    embedder: CachedEmbedder
    settings: Settings
    normal_channels: np.ndarray | None
    defect_channels: np.ndarray | None
    checkpoint: FitCheckpoint
    memory: Memory = UNLIMITED
    progress: Progress = silent
    cached_bytes: int = 0
    light: LightPlan = field(default_factory=LightPlan)
    spread: Spread | None = None
    _kept: set[str] = field(default_factory=set)  # the images whose features came from workers
    _arrived: dict[str, np.ndarray] = field(default_factory=dict)  # features of the present one

    def embed(self, image: np.ndarray) -> np.ndarray:
        """The patch features float32 `[h, w, d]` of an image uint8 `[H, W, 3]`."""
        return self.embedder(image[None])[0]

    def embed_in(self, training_set: Manifest, sample: Sample) -> EmbedImage:
        """`embed` for one training image; the features outside its region of interest are NaN."""
        region = training_set.region_of(sample)
        return lambda image: restricted(self.embed(image), image.shape, region)

    def features(self, training_set: Manifest, sample: Sample) -> np.ndarray:
        """The patch features float32 `[h, w, d]` of a training image, likewise."""
        if sample.image in self._arrived:
            return self._arrived[sample.image]
        return self.embed_in(training_set, sample)(training_set.read_image(sample))

    def each(
        self,
        function: Callable[[Sample], Result],
        training_set: Manifest,
        samples: Sequence[Sample],
    ) -> Iterator[Result]:
        """`function` of each image, in order, while the next images are embedded.

        Where there are other workers, they do that, unless there is little of it to do.
        """
        missing = [sample for sample in samples if sample.image not in self._kept]
        if self.spread is not None and len(missing) > _TIMED:
            few, samples = samples[:_TIMED], samples[_TIMED:]
            seconds = []
            for sample in few:
                started = time.perf_counter()
                result = function(sample)
                seconds.append(time.perf_counter() - started)
                yield result
            if min(seconds) * len(missing) >= WORTH_SPREADING:
                yield from self._spread_out(self.spread, function, training_set, samples)
                return
        yield from prefetch(function, samples, 1)

    def _spread_out(
        self,
        spread: Spread,
        function: Callable[[Sample], Result],
        training_set: Manifest,
        samples: Sequence[Sample],
    ) -> Iterator[Result]:
        """`each`, with features that other workers compute."""
        missing = [sample for sample in samples if sample.image not in self._kept]
        handed_over: deque[tuple[str, tuple[int, ...]]] = deque()  # keys and shapes

        def images() -> Iterator[np.ndarray]:
            for sample in missing:
                image = training_set.read_image(sample)
                handed_over.append((self.embedder.key_of(image), image.shape))
                yield image

        make = partial(_embed_one, self.embedder.embedder)
        names = {sample.image for sample in missing}
        with closing(spread.in_order(make, images(), here=make())) as embedded:
            for sample in samples:
                if sample.image in names:
                    features = next(embedded)
                    key, shape = handed_over.popleft()
                    if self.embedder.keep(key, features):
                        self._kept.add(sample.image)
                    region = training_set.region_of(sample)
                    self._arrived[sample.image] = restricted(features, shape, region)
                yield function(sample)
                self._arrived.clear()

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
    spread: Spread | None = None,
) -> Iterator[FitContext]:
    """Open the context of one fit.

    Args:
        training_set: the images that are fitted on.
        embedder: as the banks see images, a projection included.
        folder: of the checkpoint, which stays afterwards; a temporary one by default.
        memory: limit of the process, which needs a folder.
        spread: see `FitContext`.
    """
    with ExitStack() as stack:
        # On several threads, products are rounded by how many there are: projected features and
        # probes, and so the model, would be those of a machine. Nothing takes longer on one.
        stack.enter_context(threadpool_limits(1, user_api="blas"))
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
            limit = int(CACHED_SHARE_OF_DISK * free)
            if spread is None:
                limit = min(CACHED_BYTES, limit)
            embedder = CachedEmbedder(embedder, limit, features)
        yield FitContext(
            embedder,
            settings,
            *bank_channels(embedder.spec, settings),
            checkpoint,
            memory,
            progress,
            limit,
            spread=spread,
        )


def _embed_one(embedder: Embedder) -> EmbedImage:
    """What a worker does with an image."""
    return lambda image: embedder(image[None])[0]


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
