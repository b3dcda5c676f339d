"""The settings of a detector, all of which the model on disk records."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from patchcore_dual.errors import SettingsError

Rate = Annotated[float, Field(gt=0, le=1)]


class Settings(BaseModel):
    """What `fit` is told. The defaults are the thesis's unless the method page says otherwise.

    Attributes:
        backbone: name of the network; its `levels` give strides 2^(level + 1).
        defect_levels: levels for the defect bank alone; None for the same (5.3.2).
        scoring: name of the fusion rule.
        patches: which patches of a defective image enter the defect bank.
        bank_vectors: banks keep full features, or their 128-dimensional projections.
        normal_rate, defect_rate: coreset rates, above a floor of 500 vectors.
        false_alarm_rate: share of good images that may be rejected.
        search: exact, or approximate: exact only where the score is decided, as long as that keeps
            the scores of training images within a thousandth (`scoring/adaptive_search.py`).
        seed: of the projection, the coreset's first vector and the folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "efficientnet_lite0"
    levels: tuple[int, ...] = (2, 3)
    defect_levels: tuple[int, ...] | None = None
    scoring: str = "calibrated"
    patches: Literal["mask", "box", "crop"] = "mask"
    bank_vectors: Literal["full", "projected"] = "full"
    normal_rate: Rate = 0.01
    defect_rate: Rate = 0.1
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.01
    search: Literal["exact", "approximate"] = "exact"
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _projections_mix_levels(self) -> Self:
        if self.defect_levels is not None and self.bank_vectors == "projected":
            raise ValueError("defect_levels needs bank_vectors full: projections mix the levels")
        return self

    @classmethod
    def of(cls, **values: Any) -> "Settings":
        """Settings from plain values; SettingsError names the one that is not allowed."""
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
