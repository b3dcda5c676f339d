"""The registry of fusion rules by name."""

from patchcore_dual.errors import SettingsError
from patchcore_dual.scoring.fusion.calibrated import Calibrated
from patchcore_dual.scoring.fusion.contrast import Contrast
from patchcore_dual.scoring.fusion.patchcore import PatchCore, PatchCoreWeighted
from patchcore_dual.scoring.fusion.ratio import Ratio
from patchcore_dual.scoring.fusion.rule import Rule
from patchcore_dual.scoring.fusion.thesis import Thesis

RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        Calibrated,
        Ratio,
        Contrast,
        Thesis,
        PatchCore,
        PatchCoreWeighted,
    )
}


def rule_for(name: str, has_defects: bool) -> type[Rule]:
    """Return the rule of that name, or `PatchCore` if it needs a defect bank and there is none.

    Args:
        name: one of `RULES`.
        has_defects: whether there is a defect bank.

    Raises:
        SettingsError: if there is no rule of that name.

    >>> rule_for("ratio", has_defects=True).name, rule_for("ratio", has_defects=False).name
    ('ratio', 'patchcore')
    """
    if name not in RULES:
        raise SettingsError(f"no scoring rule {name!r}; there are: {', '.join(RULES)}.")
    return RULES[name] if has_defects or not RULES[name].needs_defects else PatchCore
