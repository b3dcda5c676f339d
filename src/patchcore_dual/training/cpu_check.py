"""Whether a model that was fitted on a GPU gives the same verdicts on a CPU."""

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import ModelError
from patchcore_dual.features import Embedder, as_set, on_cpu, unwrapped
from patchcore_dual.model import Model
from patchcore_dual.training.context import FitContext
from patchcore_dual.training.single_fit import score_of

SCORE_TOLERANCE = 1e-3  # of the range of all scores


def check_on_cpu(
    model: Model, context: FitContext, training_set: Manifest, embedder: Embedder
) -> None:
    """Score the training images on a CPU too, where the model was fitted on another device.

    Args:
        context: embeds images as they were when the model was fitted.
        embedder: that of the fit, without projection.

    Raises:
        ModelError: where a score differs by more than a thousandth of the range of all scores, so
            that a verdict could be another one.
    """
    on_line = on_cpu(unwrapped(embedder))
    if on_line is unwrapped(embedder):
        return
    embed = as_set(on_line, model.settings)
    real = training_set.real()
    scores = np.empty((2, len(real)))
    for i, sample in enumerate(real):
        context.progress("comparing with a CPU", i, len(real))
        image = training_set.read_image(sample)
        scores[:, i] = score_of(model, context.embed(image)), score_of(model, embed(image[None])[0])
    compare_scores(scores, [sample.image for sample in real])


def compare_scores(scores: np.ndarray, names: list[str]) -> None:
    """Raise ModelError unless both devices give each image the same score.

    >>> compare_scores(np.array([[0.0, 1.0, 5.0], [0.0, 1.001, 5.0]]), ["a.png", "b.png", "c.png"])

    Args:
        scores: `[2, n]`, of the images on the device of the fit and on a CPU.
        names: of the images.
    """
    differences = np.abs(scores[0] - scores[1])
    worst = int(differences.argmax())
    if differences[worst] > SCORE_TOLERANCE * np.ptp(scores[0]):
        there, here = scores[:, worst]
        raise ModelError(
            f"the score of {names[worst]} is {there:.4g} on the device of the fit, and {here:.4g} "
            "on a CPU. The model is not saved: fit with --device cpu."
        )
