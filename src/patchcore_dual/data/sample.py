"""`Sample`: one image of a prepared data set (thesis 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from patchcore_dual.errors import DataError

Label = Literal["positive", "negative"]
Split = Literal["train", "test"]

LIGHT = "light"  # the origin of a good image in another light, which lies in no file (`light.py`)


@dataclass(frozen=True)
class Sample:
    """One image of a prepared data set: a row of `manifest.csv`.

    Attributes:
        image: path of the image, relative to the data-set folder, with forward slashes.
        mask: path of its defect mask, likewise. Empty on a defective sample: the position of the
            defect is unknown.
        label: "positive" for a defective part, "negative" for a normal one.
        split: "train" or "test".
        kind: kind of defect ("crack"); empty for normal parts and where kinds are not known.
        group: the object in the image (a commutator, a tile). Samples of one group never lie on
            both sides of a split. A synthetic image belongs to the groups of both its parents,
            "kos01+kos17".
        origin: "real", or the name of the generator that made the image.
        source: the file that the image was prepared from, relative to the source folder.
        provenance: how a synthetic image was made, as a JSON object.
        extra: values of the columns that this program does not know, by column.

    Raises:
        DataError: a synthetic image is in the test split; only real images are tested.

    >>> sample = Sample("train/positive/7.png", "train/masks/7.png", "positive", "train", "crack")
    >>> sample.is_defective, sample.is_synthetic, sample.mask_is_known
    (True, False, True)
    >>> made = Sample(
    ...     "synthetic/0001.png", "synthetic/0001_mask.png", "positive", "train", "crack",
    ...     origin="poisson", provenance={"parents": ["train/negative/3.png", sample.image]},
    ... )
    >>> sorted(made.parents)
    ['train/negative/3.png', 'train/positive/7.png']
    """

    image: str
    mask: str
    label: Label
    split: Split
    kind: str = ""
    group: str = ""
    origin: str = "real"
    source: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.is_synthetic and self.split == "test":
            raise DataError(
                f"{self.image} was made by {self.origin} and is in the test split. Synthetic "
                "images are for training only: set its split to train, or remove its row."
            )

    @property
    def is_defective(self) -> bool:
        """Whether the part has a defect."""
        return self.label == "positive"

    @property
    def is_synthetic(self) -> bool:
        """Whether a generator made the image."""
        return self.origin != "real"

    @property
    def parents(self) -> frozenset[str]:
        """The images that a synthetic one was made from: a normal and possibly a defective one."""
        return frozenset(self.provenance.get("parents", ()))

    @property
    def used_test_mask(self) -> bool:
        """Whether it borrowed the mask of a test defect (`augment --allow-test-masks`)."""
        return bool(self.provenance.get("test_masks", False))

    @property
    def mask_is_known(self) -> bool:
        """Whether the sample has a mask file."""
        return bool(self.mask)
