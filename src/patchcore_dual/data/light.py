"""Small changes of an image's light: of the lamp, the exposure, the lens and the camera's colours.

A change is named by what happens to the picture. At strength 1 a gain or a shading is of 10 %, an
offset of 10 of 255 grey values, a gamma 0.8 or 1.25, a colour balance of 10 % between red and blue,
and a blur of sigma 1 pixel. In a manifest a *light variant* is a sample that lies in no file: its
image is that of another sample, changed when it is read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from patchcore_dual.data.sample import LIGHT, Sample
from patchcore_dual.errors import SettingsError

Floats = np.ndarray  # float32 `[H, W, 3]`, 0 to 255


def _gain(image: Floats, by: float) -> Floats:
    return image * np.float32(1 + by)


def _gamma(image: Floats, exponent: float) -> Floats:
    return np.float32(255) * (image / np.float32(255)) ** np.float32(exponent)


def _colour(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Red is made stronger and blue weaker, or the other way round."""
    by = 0.1 * strength * rng.choice([-1, 1])
    return image * np.array([1 + by, 1, 1 - by], np.float32)


def _blur(image: Floats, sigma: float) -> Floats:
    import cv2

    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0 else image


def _shading(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A gradient from one side to the other, or from the middle to the corners."""
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    is_radial, angle = rng.random() < 0.5, rng.uniform(0, 2 * np.pi)
    if is_radial:
        by = (x**2 + y**2 - 1) * np.float32(rng.choice([-1, 1]))
    else:
        by = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        by /= np.abs(by).max(initial=1e-6)
    return image * (1 + np.float32(0.1 * strength) * by)[..., None]


CHANGES: dict[str, Callable[[Floats, float, np.random.Generator], Floats]] = {
    "darker": lambda image, strength, rng: _gain(image, -0.1 * strength),
    "brighter": lambda image, strength, rng: _gain(image, 0.1 * strength),
    "offset-down": lambda image, strength, rng: image - np.float32(10 * strength),
    "offset-up": lambda image, strength, rng: image + np.float32(10 * strength),
    "gamma-0.8": lambda image, strength, rng: _gamma(image, 0.8**strength),
    "gamma-1.25": lambda image, strength, rng: _gamma(image, 1.25**strength),
    "colour": _colour,
    "blur": lambda image, strength, rng: _blur(image, strength),
    "shading": _shading,
}
"""By name, the changes; each takes float32 `[H, W, 3]`, a strength and a random generator."""

DESCRIPTIONS = {
    "darker": "light 10 % darker",
    "brighter": "light 10 % brighter",
    "offset-down": "10 grey values darker",
    "offset-up": "10 grey values brighter",
    "gamma-0.8": "gamma 0.8",
    "gamma-1.25": "gamma 1.25",
    "colour": "colours 10 % off",
    "blur": "blur of sigma 1",
    "shading": "light uneven by 10 %",
}


def change_light(
    image: np.ndarray, change: str, *, strength: float = 1.0, seed: int = 0
) -> np.ndarray:
    """The image in another light; the same seed gives the same pixels.

    Args:
        image: uint8 `[H, W, 3]`, left as it is.
        change: a name in `CHANGES`.
        strength: 0 changes nothing, 1 as much as the module says.
        seed: of the direction of a shading and of a colour balance.

    Returns:
        uint8 `[H, W, 3]`; what would be below 0 or above 255 is cut off, as by a camera.

    Raises:
        SettingsError: for an unknown change, or a strength below 0.

    >>> grey = np.full((4, 6, 3), 100, np.uint8)
    >>> int(change_light(grey, "darker")[0, 0, 0]), int(change_light(grey, "offset-up")[0, 0, 0])
    (90, 110)
    >>> bool((change_light(grey, "shading", strength=0) == grey).all())
    True
    """
    if change not in CHANGES:
        raise SettingsError(f"no change of light is called {change!r}; use {', '.join(CHANGES)}.")
    if not strength >= 0:
        raise SettingsError(f"the strength of a change of light is {strength:g}; give 0 or more.")
    changed = CHANGES[change](image.astype(np.float32), strength, np.random.default_rng(seed))
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def variant(sample: Sample, change: str) -> Sample:
    """A sample in another light: of the same group and region of interest, and made from it.

    >>> darker = variant(Sample("good/7.png", "", "negative", "train"), "darker")
    >>> darker.image, darker.group, sorted(darker.parents), is_variant(darker)
    ('good/7.png#darker', 'good/7.png', ['good/7.png'], True)
    """
    return Sample(
        f"{sample.image}#{change}",
        "",
        sample.label,
        sample.split,
        group=sample.group or sample.image,
        origin=LIGHT,
        source=sample.source,
        provenance={"parents": [sample.image]},
        extra=sample.extra,
    )


@dataclass(frozen=True)
class LightPlan:
    """Which light variants of good images a model is fitted on.

    Attributes:
        changes: their names.
        each: how many variants each good image has; none by default.

    >>> good = [Sample(f"{i}.png", "", "negative", "train") for i in range(2)]
    >>> plan = LightPlan(("darker", "blur", "shading"), each=2)
    >>> [one.image for one in plan.variants(good)]
    ['0.png#darker', '0.png#blur', '1.png#shading', '1.png#darker']
    """

    changes: tuple[str, ...] = ()
    each: int = 0

    def __bool__(self) -> bool:
        return min(self.each, len(self.changes)) > 0

    def variants(self, samples: Iterable[Sample]) -> list[Sample]:
        """The variants of some samples; the changes are dealt in turn."""
        n, each = len(self.changes), min(self.each, len(self.changes))
        return [
            variant(sample, self.changes[(i * each + k) % n])
            for i, sample in enumerate(samples)
            for k in range(each)
        ]


def is_variant(sample: Sample) -> bool:
    """Whether a sample is another one in another light."""
    return sample.origin == LIGHT


def without_change(name: str) -> str:
    """The name of the image that a variant was made from; the name itself where it names none.

    >>> without_change("7.png#darker"), without_change("part#3.png")
    ('7.png', 'part#3.png')
    """
    original, _, change = name.rpartition("#")
    return original if original and change in CHANGES else name


def with_variants(samples: Mapping[str, Sample], names: Iterable[str]) -> dict[str, Sample]:
    """The variants among some names, by name, as far as they are of these samples."""
    found = {}
    for name in names:
        original = without_change(name)
        if name not in samples and original in samples:
            found[name] = variant(samples[original], name.rpartition("#")[2])
    return found


def read_variant(image: np.ndarray, name: str) -> np.ndarray:
    """The pixels of a variant, from those of the image that it was made from.

    Args:
        image: uint8 `[H, W, 3]`.
        name: of the variant, by which a direction is drawn.
    """
    return change_light(image, name.rpartition("#")[2], seed=crc32(name.encode()))


def light_sentences(effects: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What was measured of a model, a change of light each; nothing where nothing was measured.

    Args:
        effects: by name of the change, "unchanged" among them, the median `rise` of the score of
            good images, and the share of good images `rejected`.

    >>> measured = {"unchanged": {"rise": 0, "rejected": 0.01},
    ...             "darker": {"rise": 0.31, "rejected": 0.042}}
    >>> light_sentences(measured)
    ['unchanged 1.0 %', 'light 10 % darker 4.2 % (scores +0.31)']
    """
    return [
        f"{DESCRIPTIONS.get(change, change)} {100 * one['rejected']:.1f} %"
        + ("" if change == "unchanged" else f" (scores {one['rise']:+.2f})")
        for change, one in effects.items()
    ]
