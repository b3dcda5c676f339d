"""`Trial`, and what it is made of: methods, and the condition that they are fitted under."""

from dataclasses import dataclass

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.experiments.pixel_pairs import TrialEvaluation
from patchcore_dual.features.defect_patches import PatchChoice


@dataclass(frozen=True)
class Method:
    """One way to fit a detector: a column of a table.

    >>> Method("Ratio with strokes", "ratio", generator="strokes", synthetic=100).patches
    'mask'

    Attributes:
        name: as tables print it; unique within a trial.
        scoring: name of the fusion rule.
        patches: which patches of defective images enter the defect bank.
        generator: name of the generator whose synthetic defects are trained on besides the real
            ones; empty for none.
        synthetic: number of synthetic images.
    """

    name: str
    scoring: str
    patches: PatchChoice = "mask"
    generator: str = ""
    synthetic: int = 0


@dataclass(frozen=True)
class Condition:
    """What distinguishes a trial from the other trials of its protocol on the same split.

    Rows of tables are made from these fields, never from a text made of them, so that a kind of
    defect may have any name.

    >>> Condition(defects=5, draw=1) == Condition(defects=5, draw=2)
    False

    Attributes:
        defects: number of real defective training images; None for all of them.
        draw: index of the random choice of that many.
        left_out_kind: the kind of defect that is left out of training, and the only kind among the
            test images; None where no kind is left out.
        generator: name of the generator of the synthetic training images; empty for none.
        synthetic: number of synthetic training images.
        varied_method: name of the method whose number of synthetic images is varied (Table 2).
    """

    defects: int | None = None
    draw: int = 0
    left_out_kind: str | None = None
    generator: str = ""
    synthetic: int = 0
    varied_method: str = ""


@dataclass(frozen=True)
class Trial:
    """Methods that are fitted on the same training images and evaluated on the same test images.

    Attributes:
        condition: distinguishes the trial from the others of its protocol.
        manifest: training and test images.
        methods: with names of their own.
        pixels: whether anomaly maps are evaluated too.
    """

    condition: Condition
    manifest: Manifest
    methods: tuple[Method, ...]
    pixels: bool = False


Evaluations = dict[Condition, dict[str, TrialEvaluation]]
"""What the trials of one split gave, by condition and name of the method."""
