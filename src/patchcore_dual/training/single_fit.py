"""The model of given normal banks: the defect bank, cross-fitting, rule and thresholds."""

from functools import partial

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.features import Embedder, graph_of, network_of
from patchcore_dual.model import CalibrationSet, Model, describe_training_set
from patchcore_dual.scoring import AdaptiveSearch, choose_exact_share, gather_evidence, rule_for
from patchcore_dual.scoring.familiarity import greatest_distance
from patchcore_dual.training.context import FitContext
from patchcore_dual.training.cross_fitting import cross_fit, out_of_fold_images
from patchcore_dual.training.defect_bank import build_defect_bank
from patchcore_dual.training.normal_banks import NormalBanks


def fit_model(
    context: FitContext,
    training_set: Manifest,
    banks: NormalBanks,
    pseudo_masks: dict[str, np.ndarray],
    *,
    embedder: Embedder,
) -> Model:
    """The model of given normal banks and pseudo masks: steps 3 to 5 of `fit`."""
    settings = context.settings
    defects = build_defect_bank(context, training_set, pseudo_masks)
    rule_class = rule_for(settings.scoring, defects is not None)
    calibration, probe = cross_fit(
        context, training_set, banks, defects, pseudo_masks=pseudo_masks, rule=rule_class
    )
    rule = calibration.fit_rule(rule_class)
    thresholds = calibration.thresholds(rule, settings.false_alarm_rate, settings.review_rate)
    search = AdaptiveSearch()
    alike = defects is None or banks.whole.has_channels_of(defects.bank)
    if settings.search == "approximate" and alike and not banks.whole.is_small:
        images = out_of_fold_images(context, training_set, banks, defects)
        search = choose_exact_share(rule, thresholds.image.value, images, probe)
    return Model(
        settings=settings,
        spec=embedder.spec,
        network=network_of(embedder),
        graph=graph_of(embedder),
        size=training_set.size(),
        normal_bank=banks.whole,
        defect_bank=defects.bank if defects else None,
        probe=probe,
        rule=rule,
        thresholds=thresholds,
        adaptive_search=search,
        roi=training_set.region,
        trained_on={
            **describe_training_set(training_set),
            "greatest_distance": greatest_distance(calibration.evidence),
        },
        read_calibration=partial(_given, calibration),
    )


def score_of(model: Model, features: np.ndarray) -> float:
    """The image score of features float32 `[h, w, d]` under a model."""
    banks, rule = (model.normal_bank, model.defect_bank), model.rule
    return float(rule(gather_evidence(features, *banks, model.probe, rule.weighted)).score)


def _given(calibration: CalibrationSet) -> CalibrationSet:
    """A function of a module, so that a fitted model can be pickled."""
    return calibration
