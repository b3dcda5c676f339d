"""Attribute studies: photographs again, and how often the intervals hold the truth.

    python benchmarks/study.py photographs PREPARED OUT [N_GOOD]
    python benchmarks/study.py coverage

The first makes a study of test parts: of all defective ones and of N_GOOD good ones, each is
photographed three times, as a camera would that is not fixed: shifted by up to 2 pixels, 3 %
brighter or darker, with noise of 2 grey levels. It writes OUT/parts.csv for `study`.

The second simulates studies of parts whose trials are dependent, and counts how often the 95 %
intervals hold the truth: that of a share of trials, by parts as in `study` and as if trials were
independent; and that of kappa with the reference, as in `study` and as the value with 1.96
standard errors.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.evaluation.metrics import proportion_interval
from patchcore_dual.evaluation.study.agreement import cohen_kappa, kappa_of_pairs, parts_interval

TRIALS, SHIFT, GAIN, NOISE = 3, 2, 0.03, 2.0
N_STUDIES, N_KAPPA_STUDIES = 20_000, 1_000


def photograph(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same part once more: uint8 `[H, W, 3]`."""
    down, right = generator.integers(-SHIFT, SHIFT + 1, 2)
    padded = np.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "edge")
    height, width = image.shape[:2]
    moved = padded[SHIFT + down :, SHIFT + right :][:height, :width]
    noise = generator.normal(0, NOISE, moved.shape)
    gain = generator.uniform(1 - GAIN, 1 + GAIN)
    return np.clip(np.rint(gain * moved + noise), 0, 255).astype(np.uint8)


def photographs(prepared: Path, out: Path, n_good: int) -> None:
    """Write the photographs and `parts.csv`."""
    generator = np.random.default_rng(0)
    manifest = Manifest.load(prepared)
    good = list(manifest.part("test", "negative").samples)
    chosen = [good[i] for i in sorted(generator.permutation(len(good))[:n_good])]
    samples = [*chosen, *manifest.part("test", "positive").samples]
    out.mkdir(parents=True)
    with (out / "parts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "part", "reference", "trial"])
        for sample in samples:
            image = read_image(manifest.image_path(sample))
            part = Path(sample.image).stem
            for trial in range(1, TRIALS + 1):
                name = f"{part}-{trial}.png"
                write_png(out / name, photograph(image, generator))
                reference = "defect" if sample.is_defective else "good"
                writer.writerow([name, part, reference, trial])


def coverage() -> None:
    """Print a row for each number of parts, true share and dependence of trials."""
    generator = np.random.default_rng(0)
    print("| parts | true share | correlation of trials | by parts | as if independent |")
    print("|---|---|---|---|---|")
    for n_parts in (16, 25, 50):
        for share in (0.02, 0.05, 0.2, 0.5):
            for correlation in (0.0, 0.3, 0.7, 1.0):
                hits = simulated(generator, n_parts, share, correlation)
                counts, times = np.unique(hits, return_counts=True)
                held = np.zeros(2)
                for hit, n in zip(counts, times, strict=True):
                    n_trials = n_parts * TRIALS
                    for i, (low, high) in enumerate(
                        (
                            parts_interval(hit / n_trials, n_parts),
                            proportion_interval(hit, n_trials),
                        )
                    ):
                        held[i] += n * (low <= share <= high)
                ours, naive = (f"{100 * h / N_STUDIES:.1f} %" for h in held)
                print(f"| {n_parts} | {share} | {correlation} | {ours} | {naive} |")


def kappa_coverage() -> None:
    """The same of kappa, for 25 defective and 25 good parts, both judged wrongly as often."""
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1], 25)[:, None]
    print("| parts | wrong verdicts | correlation of trials | by parts | ± 1.96 standard errors |")
    print("|---|---|---|---|---|")
    for share in (0.02, 0.05, 0.2):
        true = cohen_kappa(np.array([[1 - share, share], [share, 1 - share]]))
        for correlation in (0.0, 0.3, 0.7, 1.0):
            held = np.zeros(2)
            for _ in range(N_KAPPA_STUDIES):
                counts = wrong_trials(generator, (len(truth),), share, correlation)
                said = np.where(np.arange(TRIALS) < counts[:, None], 1 - truth, truth)
                kappa = kappa_of_pairs(said, np.broadcast_to(truth, said.shape))
                held[0] += kappa.low <= true <= kappa.high
                held[1] += abs(true - kappa.value) <= 1.96 * kappa.standard_error
            ours, usual = (f"{100 * h / N_KAPPA_STUDIES:.1f} %" for h in held)
            print(f"| {len(truth)} | {share} | {correlation} | {ours} | {usual} |")


def simulated(
    generator: np.random.Generator, n_parts: int, share: float, correlation: float
) -> np.ndarray:
    """Number of trials that count in each study, int `[N_STUDIES]`."""
    return wrong_trials(generator, (N_STUDIES, n_parts), share, correlation).sum(1)


def wrong_trials(
    generator: np.random.Generator, shape: tuple[int, ...], share: float, correlation: float
) -> np.ndarray:
    """Of each part, the number of trials that count, int of a shape: beta-binomial."""
    if correlation == 0:
        return generator.binomial(TRIALS, share, shape)
    if correlation == 1:
        return TRIALS * generator.binomial(1, share, shape)
    strength = 1 / correlation - 1
    own = generator.beta(share * strength, (1 - share) * strength, shape)
    return generator.binomial(TRIALS, own)


if __name__ == "__main__":
    if sys.argv[1:2] == ["coverage"]:
        coverage()
        print()
        kappa_coverage()
    else:
        _, prepared, out, *rest = sys.argv[1:]
        photographs(Path(prepared), Path(out), int(rest[0]) if rest else 27)
