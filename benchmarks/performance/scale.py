"""`Scale`: how much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """How much is measured; the defaults are those of `make bench`."""

    width: int = 256  # of cases A and B
    height: int = 640
    split_seeds: int = 5
    coreset_limit_s: float | None = 60
    normal: int = 46_000
    defect: int = 5_000
    queries: int = 24
    bank_sizes: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 100_000, 200_000)
    image_counts: tuple[int, ...] = (50, 200, 500, 2_000)
    thesis_images: int = 2_085
    fit_limit_s: float = 900
    inspections: int = 10_000
    every_image: bool = False  # of the peers' slowest cases too, so that all have an AUROC
    only_inspecting: bool = False  # no fitting by the peers, no further splits, no bare search


FULL = Scale(
    coreset_limit_s=None,
    image_counts=(50, 100, 200, 500, 1_000, 2_000),
    fit_limit_s=7_200,
    every_image=True,
)
TINY = Scale(
    width=64,
    height=160,
    split_seeds=2,
    coreset_limit_s=2,
    normal=3_000,
    defect=300,
    queries=4,
    bank_sizes=(1_000, 3_000),
    image_counts=(20, 40),
    thesis_images=20,
    fit_limit_s=300,
    inspections=200,
)
