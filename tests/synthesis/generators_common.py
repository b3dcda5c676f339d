"""Good images with a real defect to borrow, as the tests of the CPU generators need them."""

import numpy as np
from numpy.typing import NDArray

from lookalikes import scratch, surface
from patchcore_dual.demo.surfaces import photograph
from patchcore_dual.synthesis.generator import TargetMask, UnusableDefectError
from patchcore_dual.synthesis.masks.parts import part_region
from patchcore_dual.synthesis.masks.placing import borrow_mask, draw_mask
from patchcore_dual.synthesis.real_defects import RealDefect


def grey_surface(seed: int, width: int = 96, height: int = 128) -> NDArray[np.uint8]:
    """A surface whose three channels are the same."""
    return np.repeat(surface(seed, width, height)[..., :1], 3, axis=2)


def grey_donor() -> RealDefect:
    """A grey surface with one dark scratch in its middle."""
    image = grey_surface(7)
    mask = scratch(image, (30, 60, 40, 5)) > 0
    return RealDefect("donor.png", image, mask, "scratch")


def metal_donor(kind: str = "crack", seed: int = 4) -> RealDefect:
    """A damaged part of the demo, in colour."""
    picture = photograph(kind, np.random.default_rng(seed))
    return RealDefect(f"{kind}.png", picture.image, picture.mask, kind)


def good_metal(seed: int = 11) -> NDArray[np.uint8]:
    return photograph("good", np.random.default_rng(seed)).image


def borrowed(donor: RealDefect, normal: NDArray[np.uint8], seed: int = 0) -> TargetMask:
    """The first borrowed mask that fits, from `seed` on."""
    rng = np.random.default_rng(seed)
    part = part_region(normal)
    for _ in range(20):
        try:
            return borrow_mask(donor, normal, part, rng)
        except UnusableDefectError:
            continue
    raise AssertionError("no place found in 20 tries")


def drawn(normal: NDArray[np.uint8], seed: int = 0) -> TargetMask:
    return draw_mask(normal, part_region(normal), np.random.default_rng(seed))
