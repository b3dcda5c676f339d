"""Parts that move: what it costs to ignore it, and what alignment gives back.

    python benchmarks/alignment.py methods PREPARED...
    python benchmarks/alignment.py verdicts results.jsonl SOURCE PREPARED [--runs still,none,...]
    python benchmarks/alignment.py table results.jsonl

`methods` compares ways to estimate motion on good training images alone: each image is moved by a
known random motion, and the estimate has to change by just that motion. `verdicts` takes the split,
groups and size of PREPARED, moves the photographs in SOURCE that it was prepared from (by up to 24
pixels of the prepared size each way and 3 degrees, masks alike; copies of one image by the same
motion), prepares and fits them with each kind of alignment, and inspects the test photographs. What
comes in at the borders of a moved photograph mirrors it, so that nothing there gives the motion
away. `still` are the photographs as they are, `still-rigid` the same aligned.
"""

import argparse
import csv
import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from patchcore_dual.data.alignment import MAX_TURN, Aligner, frame_of
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.masks import read_prepared_mask
from patchcore_dual.data.prepare.aligning import AlignmentRule
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError
from patchcore_dual.evaluation.metrics import auroc
from patchcore_dual.utils.motion import Motion

PIXELS, DEGREES = 24.0, 3.0
RUNS = ("still", "still-rigid", "none", "translation", "rigid")
Row = dict[str, Any]


def moved(image: np.ndarray, motion: Motion) -> np.ndarray:
    """An image in which the part has moved; what comes in at the borders mirrors it."""
    height, width = image.shape[:2]
    matrix = motion.matrix(height, width)
    how = cv2.INTER_NEAREST if image.dtype == np.bool_ else cv2.INTER_CUBIC
    values = image.astype(np.uint8)
    border = cv2.BORDER_REFLECT_101
    return np.asarray(
        cv2.warpAffine(values, matrix, (width, height), flags=how, borderMode=border)
    ).astype(image.dtype)


def motion_of(image: np.ndarray, prepared_width: int) -> Motion:
    """A random motion that the pixels decide, so that copies of an image move alike."""
    rng = np.random.default_rng(zlib.crc32(image.tobytes()))
    x, y = rng.uniform(-PIXELS, PIXELS, 2) * image.shape[1] / prepared_width
    return Motion(float(x), float(y), float(rng.uniform(-DEGREES, DEGREES)))


def write_photographs(
    source: Path, prepared: Manifest, folder: Path, *, is_still: bool
) -> dict[str, Motion]:
    """The photographs as a plain folder, with the file that splits it; their motions by name."""
    size = prepared.size()
    assert size is not None
    motions, rows = {}, []
    for sample in prepared:
        image = read_image(source / sample.source)
        motion = Motion() if is_still else motion_of(image, size[0])
        name = f"{sample.kind or 'defect'}" if sample.is_defective else "good"
        name = f"{name}/{Path(sample.image).stem}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, image if is_still else moved(image, motion))
        if sample.is_defective and sample.mask_is_known:
            mask = read_prepared_mask(prepared.folder / sample.mask)
            mask = resize_mask(mask, image.shape[1], image.shape[0])
            path = folder / "masks" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, mask if is_still else moved(mask, motion))
        motions[name] = motion
        rows.append((name, sample.group, sample.split))
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "group", "split"), *rows])
    return motions


def measure(source: Path, prepared: Manifest, run: str, work: Path) -> Row:
    """Prepare, fit and inspect the photographs of one run."""
    is_still = run.startswith("still")
    mode: Any = run.removeprefix("still").strip("-") or "none"
    size = prepared.size()
    assert size is not None
    photographs = work / "photographs"
    write_photographs(source, prepared, photographs, is_still=is_still)
    split = SplitSettings(file=photographs / "split.csv")
    start = time.perf_counter()
    summary = prepare(
        "folder",
        photographs,
        work / "prepared",
        width=size[0],
        height=size[1],
        split=split,
        align=AlignmentRule(mode),
    )
    took = time.perf_counter() - start
    manifest = Manifest.load(work / "prepared")
    detector = PatchCoreDual().fit(manifest)
    with (photographs / "split.csv").open(encoding="utf-8") as file:
        test = [row["image"] for row in csv.DictReader(file) if row["split"] == "test"]
    scores, verdicts, motions = [], [], []
    start = time.perf_counter()
    for name in test:
        one = detector.inspect(photographs / name)
        scores.append(one.score)
        verdicts.append(one.verdict)
        motions.append([one.motion.x, one.motion.y, one.motion.turn] if one.motion else [])
    seconds = (time.perf_counter() - start) / len(test)
    is_defective = np.array([not name.startswith("good/") for name in test])
    counts = {
        side: {
            v: sum(one == v for one, d in zip(verdicts, is_defective, strict=True) if d == wanted)
            for v in ("pass", "review", "reject", "not inspected")
        }
        for side, wanted in (("good", False), ("defective", True))
    }
    return {
        "data": prepared.folder.name,
        "run": run,
        "auroc": float(auroc(np.array(scores), is_defective)),
        "counts": counts,
        "left_out": len(summary.skipped),
        "moves": summary.motion_line,
        "prepare_seconds": took,
        "inspect_seconds": seconds,
        "align_seconds": time_of_alignment(detector, [photographs / name for name in test[:20]]),
    }


def time_of_alignment(detector: PatchCoreDual, paths: list[Path]) -> float:
    """Seconds that aligning takes of inspecting an image, on average."""
    from patchcore_dual.data.inputs import read_input

    model = detector.model
    images = [read_input(path, model.size) for path in paths]
    start = time.perf_counter()
    for image in images:
        image.aligned(model.aligner)
    return (time.perf_counter() - start) / len(images)


def verdicts(results: Path, source: Path, folder: Path, runs: list[str]) -> None:
    """Append a row for each run."""
    prepared = Manifest.load(folder)
    for run in runs:
        with TemporaryDirectory() as work:
            try:
                row = measure(source, prepared, run, Path(work))
            except DataError as error:
                row = {"data": folder.name, "run": run, "error": str(error)}
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def table(results: Path) -> None:
    """The rows of a file as a Markdown table."""
    print("| data | photographs | AUROC | found | false alarms | not inspected | ms | aligning |")
    print("|---|---|---|---|---|---|---|---|")
    for line in results.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "error" in row:
            print(f"| {row['data']} | {row['run']} | {row['error']} |")
            continue
        good, defective = row["counts"]["good"], row["counts"]["defective"]
        print(
            f"| {row['data']} | {row['run']} | {row['auroc']:.4f} "
            f"| {defective['reject']} of {sum(defective.values())} "
            f"| {good['reject']} of {sum(good.values())} "
            f"| {good['not inspected']} + {defective['not inspected']} "
            f"| {1000 * row['inspect_seconds']:.0f} "
            f"| {row['align_seconds'] / row['inspect_seconds']:.0%} |"
        )


# How motion is estimated: by the product, by parts of it, and by what else OpenCV offers.


class Coarse(Aligner):
    """Template matching alone."""

    def _refined(self, frame: np.ndarray, start: Motion) -> Motion:
        return start


class Refined(Aligner):
    """ECC alone, from where the reference lies."""

    def _search(self, frame: np.ndarray) -> Motion:
        return Motion()


class Phase(Aligner):
    """Phase correlation at each angle, in place of template matching; then ECC."""

    def _search(self, frame: np.ndarray) -> Motion:
        window = cv2.createHanningWindow(frame.shape[::-1], cv2.CV_32F)
        tried = []
        for turn in np.linspace(-self.max_turn, self.max_turn, 11).tolist():
            turned = moved(self._gradients, Motion(turn=turn))
            (x, y), response = cv2.phaseCorrelate(turned, frame, window)
            tried.append(Motion(x, y, turn, response))
        return max(tried, key=lambda one: one.confidence)


class LogPolar(Aligner):
    """The turn by phase correlation of log-polar spectra, the shift by phase correlation."""

    def _search(self, frame: np.ndarray) -> Motion:
        height, width = frame.shape
        window = cv2.createHanningWindow((width, height), cv2.CV_32F)
        side = cv2.getOptimalDFTSize(max(frame.shape))

        def spectrum(image: np.ndarray) -> np.ndarray:
            square = np.zeros((side, side), np.float32)
            square[:height, :width] = image * window
            found = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(square)))).astype(np.float32)
            radius = side / 2
            return np.asarray(
                cv2.warpPolar(found, (256, 720), (side / 2, side / 2), radius, cv2.WARP_POLAR_LOG)
            )

        (_, rows), _ = cv2.phaseCorrelate(spectrum(self._gradients), spectrum(frame))
        turn = -(rows / 2 + 90) % 180 - 90  # spectra are the same after half a turn
        turned = moved(self._gradients, Motion(turn=turn))
        (x, y), _ = cv2.phaseCorrelate(turned, frame, window)
        return Motion(x, y, turn)


class Features(Aligner):
    """ORB features, matched both ways, and the rigid motion that most agree on (RANSAC)."""

    def find(self, image: np.ndarray, size: tuple[int, int] | None = None) -> Motion:
        self.__dict__["_image"] = frame_of(image)
        return super().find(image, size)

    def _search(self, frame: np.ndarray) -> Motion:
        orb = cv2.ORB_create(1000)
        ours, theirs = (
            orb.detectAndCompute(one, None) for one in (self.reference, self.__dict__["_image"])
        )
        if ours[1] is None or theirs[1] is None:
            return Motion()
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(ours[1], theirs[1])
        if len(pairs) < 4:
            return Motion()
        start = np.array([ours[0][p.queryIdx].pt for p in pairs])
        end = np.array([theirs[0][p.trainIdx].pt for p in pairs])
        matrix, _ = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=3)
        if matrix is None:
            return Motion()
        centre = (np.array(frame.shape[::-1]) - 1) / 2
        x, y = matrix @ [*centre, 1] - centre
        return Motion(float(x), float(y), float(np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))))


METHODS: dict[str, type[Aligner]] = {
    "template matching, then ECC": Aligner,
    "template matching alone": Coarse,
    "ECC alone": Refined,
    "phase correlation, then ECC": Phase,
    "log-polar phase correlation, then ECC": LogPolar,
    "ORB features, then ECC": Features,
}


def methods(folders: list[Path]) -> None:
    """How exact each method is, and how long it takes."""
    print("| data | method | error, px: median / 95 % | over 2 px | turn, ° | confidence | ms |")
    print("|---|---|---|---|---|---|---|")
    for folder in folders:
        images = list(_good_images(Manifest.load(folder)))
        for name, kind in METHODS.items():
            aligner = kind(frame_of(images[0]), "rigid", max_turn=MAX_TURN)
            errors, turns, likeness, took = [], [], [], 0.0
            for image in images[1:]:
                motion = motion_of(image, image.shape[1])
                start = time.perf_counter()
                before, after = (aligner.find(one) for one in (image, moved(image, motion)))
                took += (time.perf_counter() - start) / 2
                errors.append(_error(motion, before, after, *image.shape[:2]))
                turns.append(abs(after.turn - before.turn - motion.turn))
                likeness.append(after.confidence)
            share = np.mean(np.array(errors) > 2)
            print(
                f"| {folder.name} | {name} | {np.median(errors):.2f} / "
                f"{np.quantile(errors, 0.95):.2f} | {share:.0%} | {np.median(turns):.3f} "
                f"| {np.median(likeness):.2f} | {1000 * took / len(errors):.1f} |",
                flush=True,
            )


def _good_images(manifest: Manifest) -> Iterator[np.ndarray]:
    good = manifest.part("train", "negative").samples
    chosen: list[Sample] = [good[i] for i in np.linspace(0, len(good) - 1, 25).round().astype(int)]
    yield from map(manifest.read_image, chosen)


def _error(motion: Motion, before: Motion, after: Motion, height: int, width: int) -> float:
    """By how many pixels corners are apart: estimated before and then moved, or estimated after."""
    whole: Callable[[Motion], np.ndarray] = lambda m: np.vstack(  # noqa: E731
        [m.matrix(height, width), [0, 0, 1]]
    )
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    apart = (whole(motion) @ whole(before) - whole(after)) @ corners
    return float(np.hypot(*apart[:2]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("methods")
    one.add_argument("folders", nargs="+", type=Path)
    two = commands.add_parser("verdicts")
    for name in ("results", "source", "prepared"):
        two.add_argument(name, type=Path)
    two.add_argument("--runs", default=",".join(RUNS))
    three = commands.add_parser("table")
    three.add_argument("results", type=Path)
    given = parser.parse_args()
    if given.command == "methods":
        methods(given.folders)
    elif given.command == "verdicts":
        verdicts(given.results, given.source, given.prepared, given.runs.split(","))
    else:
        table(given.results)


if __name__ == "__main__":
    main()
