from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lookalikes import surface
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.diag.prompt_proposals import measure, propose_prompts, to_yaml
from patchcore_dual.synthesis.diag.prompts import Prompt, read_prompts
from patchcore_dual.synthesis.real_defects import RealDefect

# On one line: YAML folds line breaks.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(
    lambda text: text == text.strip()
)


def defect(mask: NDArray[np.bool_], grey: int, kind: str = "", seed: int = 0) -> RealDefect:
    """A defect of one grey on a surface of about 128."""
    image = (surface(seed, mask.shape[1], mask.shape[0]) // 8 + 112).astype(np.uint8)
    image[mask] = grey
    return RealDefect("", image, mask, kind)


def line(thickness: int, pieces: int = 1) -> NDArray[np.bool_]:
    mask = np.zeros((200, 160), np.uint8)
    for piece in range(pieces):
        cv2.line(mask, (20, 30 + 40 * piece), (140, 50 + 40 * piece), 1, thickness)
    return mask.astype(np.bool_)


def disc(radius: int) -> NDArray[np.bool_]:
    mask = np.zeros((200, 160), np.uint8)
    cv2.circle(mask, (80, 100), radius, 1, -1)
    return mask.astype(np.bool_)


def propose(mask: NDArray[np.bool_], grey: int) -> Prompt:
    (prompt,) = propose_prompts([defect(mask, grey)], "a grey metal surface")
    return prompt


def test_measures_are_those_of_the_drawn_shape() -> None:
    mask = np.zeros((30, 40), np.bool_)
    mask[10:14, 5:25] = True
    mask[25, 25] = True
    measured = measure(defect(mask, 30))
    assert measured.elongation == pytest.approx(20 / 4)
    assert measured.size == pytest.approx(20 / 50)
    assert measured.breadth == pytest.approx(4 / 50)
    assert measured.pieces == 2
    assert measured.contrast == pytest.approx(30 - 127, abs=8)
    assert measured.unevenness < 0


def test_a_slanting_line_is_as_long_as_an_upright_one() -> None:
    upright = np.zeros((200, 160), np.uint8)
    cv2.line(upright, (80, 40), (80, 162), 1, 3)
    slanting = measure(defect(line(3), 30))
    assert slanting.elongation == pytest.approx(
        measure(defect(upright.astype(np.bool_), 30)).elongation, rel=0.15
    )


@pytest.mark.parametrize(
    ("mask", "grey", "words"),
    [
        (line(2), 30, "clear thin dark line-shaped mark on a grey metal surface"),
        (line(2), 230, "clear thin bright line-shaped mark on a grey metal surface"),
        (line(2), 118, "faint thin dark line-shaped mark on a grey metal surface"),
        (
            line(2, pieces=3),
            30,
            "several clear thin dark line-shaped marks on a grey metal surface",
        ),
        (line(20), 90, "broad dark streak on a grey metal surface"),
        (disc(3), 90, "tiny dark spot on a grey metal surface"),
        (disc(10), 170, "small bright spot on a grey metal surface"),
        (disc(40), 30, "clear large dark patch on a grey metal surface"),
    ],
)
def test_shapes_are_put_into_words(mask: NDArray[np.bool_], grey: int, words: str) -> None:
    assert propose(mask, grey).positive == words


def test_the_negative_prompt_keeps_the_tone_that_is_wanted() -> None:
    assert "dark" in propose(disc(10), 230).negative
    assert "dark" not in propose(disc(10), 30).negative


def test_a_texture_of_equal_brightness_is_uneven() -> None:
    mask = disc(40)
    rough = defect(mask, 128)
    noise = np.random.default_rng(0).integers(60, 200, (*mask.shape, 1), np.uint8)
    image = np.where(mask[..., None], noise, rough.image)
    (prompt,) = propose_prompts([RealDefect("", image, mask)])
    assert prompt == Prompt("faint large uneven patch on a surface", "smooth, plain")


def test_kinds_are_described_apart_by_the_median_of_their_defects() -> None:
    cracks = [defect(line(2), 30, "Crack", seed) for seed in range(4)]
    odd_one_out = defect(disc(40), 250, "Crack")
    stain = defect(disc(10), 170, "07")
    unknown = defect(np.zeros((20, 20), np.bool_), 0, "Fray")
    assert propose_prompts([*cracks, odd_one_out, stain, unknown]) == (
        Prompt("small bright spot on a surface", "smooth, plain, black, dark, shadow", "07"),
        Prompt(
            "clear thin dark line-shaped mark, crack, on a surface",
            "smooth, plain, bright, glare",
            "Crack",
        ),
    )


def test_nothing_to_describe() -> None:
    for defects in ([], [defect(np.zeros((9, 9), np.bool_), 0)]):
        with pytest.raises(DataError, match="no defect with a known mask"):
            propose_prompts(defects)


def test_a_mask_over_the_whole_image_has_no_contrast() -> None:
    assert measure(defect(np.ones((20, 30), np.bool_), 40)).contrast == 0


def test_the_defects_of_a_prepared_set(prepared: Manifest, tmp_path: Path) -> None:
    real = []
    for sample in prepared.part("train", "positive"):
        mask_path = prepared.mask_path(sample)
        assert mask_path is not None
        image = read_image(prepared.image_path(sample))
        real.append(RealDefect(sample.image, image, read_mask(mask_path), sample.kind))
    prompts = propose_prompts(real)
    assert "dark" in prompts[0].positive  # look-alikes are scratched in black
    path = tmp_path / "prompts.yaml"
    path.write_text(to_yaml(prompts), encoding="utf-8")
    assert read_prompts(path) == prompts


@given(st.lists(st.builds(Prompt, texts, st.just("") | texts, st.just("") | texts), min_size=1))
def test_any_prompt_is_read_back(tmp_path_factory, prompts: list[Prompt]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(to_yaml(prompts), encoding="utf-8", newline="\n")
    assert read_prompts(path) == tuple(prompts)
