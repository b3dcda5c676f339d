"""The settings of a detector, all of which the model on disk records."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from patchcore_dual.errors import SettingsError

Rate = Annotated[float, Field(gt=0, le=1)]

# The rules of the thesis and of PatchCore count padding, as PatchCore's own code does, and embed an
# image at one resolution.
_PUBLISHED_RULES = frozenset({"ratio", "contrast", "thesis", "patchcore", "patchcore-weighted"})

RESOLUTIONS = (1, 2, 4)  # of `calibrated`, see `Settings.resolutions`


class Settings(BaseModel):
    """What decides a fitted model, beside its training images and weights.

    The defaults are the thesis's unless `docs/method.md` says otherwise.

    >>> Settings().scoring
    'calibrated'
    >>> Settings.of(normal_rate=2)
    Traceback (most recent call last):
    ...
    patchcore_dual.errors.SettingsError: setting normal_rate = 2: Input should be less than ...

    Attributes:
        backbone: name of the network.
        levels: of the network, increasing, 1 to 4. Level k has stride 2^(k+1); of a transformer it
            is what k quarters of its blocks give, and all levels have the stride of its patches.
        defect_levels: levels of the defect bank; None for the same (thesis 5.3.2).
        resolutions: the image is embedded at its size divided by each of these, powers of two from
            1 on, and all features of a place are concatenated. With several, a cell of the grid is
            twice as wide as with one. None follows the rule: 1, 2 and 4 for `calibrated`, 1 for the
            published ones.
        count_padding: whether the zeros around a feature map count in the 3×3 mean at its border.
            Counted, features at the border vary less; not counted, they keep more signal, which
            the position statistics of `calibrated` can use. None follows the rule: not counted for
            `calibrated`, counted for the published ones.
        scoring: name of the fusion rule.
        patches: which patches of a defective image enter the defect bank.
        bank_vectors: whether banks keep full features or their 128-dimensional projections.
        normal_rate, defect_rate: coreset rates, above a floor of 500 vectors.
        false_alarm_rate: share of normal images that may be rejected.
        review_rate: share of normal images that may be rejected or sent to review; None for five
            times `false_alarm_rate`, at most a half.
        search: exact, or approximate as long as image scores of training images stay within a
            thousandth (`scoring/adaptive_search.py`).
        robust: what the model is to be robust to beside: with light, good images in changed light
            are fitted on too, as many as help on held-out images.
        precision: of the network's arithmetic; int8 is faster on a CPU, of a ResNet about twice.
        tile: width and height of the tiles that the network sees of an image, one at a time; None
            embeds it in one pass. At half the resolution a tile covers four times the area.
        overlap: pixels by which tiles overlap at least, as the network sees them; None for 320,
            and at most half a tile.
        seed: of the random projection, the first vector of a coreset, and the folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "efficientnet_lite0"
    levels: tuple[int, ...] = (2, 3)
    defect_levels: tuple[int, ...] | None = None
    resolutions: tuple[int, ...] | None = None
    count_padding: bool | None = None
    scoring: str = "calibrated"
    patches: Literal["mask", "box", "crop"] = "mask"
    bank_vectors: Literal["full", "projected"] = "full"
    normal_rate: Rate = 0.01
    defect_rate: Rate = 0.1
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.01
    review_rate: Annotated[float, Field(gt=0, le=0.5)] | None = None
    search: Literal["exact", "approximate"] = "exact"
    robust: Literal["none", "light"] = "none"
    precision: Literal["float32", "int8"] = "float32"
    tile: tuple[PositiveInt, PositiveInt] | None = None
    overlap: Annotated[int, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def counts_padding(self) -> bool:
        """`count_padding` as set, or the default for the fusion rule."""
        if self.count_padding is None:
            return self.scoring in _PUBLISHED_RULES
        return self.count_padding

    @property
    def used_resolutions(self) -> tuple[int, ...]:
        """`resolutions` as set, or the default for the fusion rule."""
        if self.resolutions is None:
            return (1,) if self.scoring in _PUBLISHED_RULES else RESOLUTIONS
        return self.resolutions

    @field_validator("resolutions")
    @classmethod
    def _are_powers_of_two(cls, resolutions: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if resolutions is not None and (
            resolutions[:1] != (1,)
            or list(resolutions) != sorted(set(resolutions))
            or not set(resolutions) <= {1, 2, 4, 8}
        ):
            raise ValueError("resolutions are 1 and then some of 2, 4 and 8, increasing, as 1,2,4")
        return resolutions

    @model_validator(mode="after")
    def _projected_vectors_have_no_levels(self) -> Self:
        if self.defect_levels is not None and self.bank_vectors == "projected":
            raise ValueError("defect_levels needs bank_vectors full: projections mix the levels")
        return self

    @model_validator(mode="after")
    def _review_is_below_rejection(self) -> Self:
        if self.review_rate is not None and self.review_rate < self.false_alarm_rate:
            raise ValueError(
                f"review_rate {self.review_rate:g} is below false_alarm_rate "
                f"{self.false_alarm_rate:g}: what is rejected counts in it"
            )
        return self

    @model_validator(mode="after")
    def _tiles_overlap_in_part(self) -> Self:
        if self.tile is None and self.overlap is not None:
            raise ValueError(f"overlap {self.overlap} is that of tiles: set tile too")
        if self.tile is not None and self.search == "approximate":
            raise ValueError("with tiles search is exact: patches are not kept to be refined")
        if self.tile is not None and self.overlap is not None and self.overlap >= min(self.tile):
            width, height = self.tile
            raise ValueError(
                f"an overlap of {self.overlap} pixels leaves nothing of tiles of {width}x{height}: "
                f"set less than {min(self.tile)}, half a tile at most to be quick"
            )
        return self

    @classmethod
    def of(cls, **values: Any) -> "Settings":
        """Settings from plain values.

        Raises:
            SettingsError: naming the value that is not allowed.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            what = f"setting {name} = {first['input']!r}" if name else "settings"
            raise SettingsError(f"{what}: {first['msg']}.") from None


PRESETS: dict[str, dict[str, Any]] = {
    # The literal reading of the thesis: its score, its defect crops, its backbone and rates.
    "thesis": {"backbone": "resnet50", "scoring": "thesis", "patches": "crop"},
}
