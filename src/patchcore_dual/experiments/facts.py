"""`facts_of`: how the figures of a page were made."""

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.experiments.protocols import groups_of
from patchcore_dual.experiments.reproduce import FIGURES, Plan
from patchcore_dual.experiments.synthetic_source import display_name


def facts_of(
    plan: Plan, manifest: Manifest, detector: PatchCoreDual | None = None
) -> dict[str, object]:
    """How figures were made, as name and value, for a page.

    Args:
        plan: which protocol or figure, and on which splits.
        manifest: the prepared data set.
        detector: gives the backbone; None for a figure that shows images only.
    """
    splits = {
        "official": "the prepared one; the seed of fitting varies",
        "group": "by group, another one for each seed",
    }
    real, size = manifest.real(), manifest.size()
    facts: dict[str, object] = {
        "Data set": manifest.folder.resolve().name,
        "Images": len(real),
        "Defective": len(real.part(label="positive")),
        "Groups": len(set(groups_of(real).values())),
        "Split": splits[plan.splits],
        "Seeds": 1 if plan.target in FIGURES else plan.seeds,
    }
    if detector is not None:
        facts["Backbone"] = detector.embedder.spec.backbone
        facts["Weights (sha256)"] = detector.embedder.spec.weights_sha256[:12]
    facts["Image size"] = f"{size[0]}x{size[1]}" if size else "native"
    if plan.target == "few-shot":
        facts["Draws of each count"] = plan.draws
    own = list(manifest.synthetic())
    if plan.target in ("table1", "table2", "figure5"):
        own = [s for s in own if s.origin == plan.generator]
        source = "those of the prepared set where it has enough, else made" if own else "made"
        facts["Synthetic defects"] = f"{display_name(plan.generator)}, {source} for each split"
    if plan.target in ("table1", "table2", *FIGURES) and any(s.used_test_mask for s in own):
        facts["Caution"] = (
            "masks of test defects were used; figures with these images are optimistic"
        )
    return facts
