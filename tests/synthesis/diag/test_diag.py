"""DIAG on a tiny pipeline of the real classes; its random weights paint noise."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image
from patchcore_dual.errors import SettingsError
from patchcore_dual.synthesis.diag.diag import Diag, DiagParameters, _largest_error
from patchcore_dual.synthesis.diag.geometry import crop_view, whole_view
from patchcore_dual.synthesis.diag.pipeline import load_pipeline
from patchcore_dual.synthesis.diag.prompts import Prompt, preset_prompts
from patchcore_dual.synthesis.generator import TargetMask, UnusableDefectError
from synthesis.tiny_sdxl import make_tiny_sdxl

GEOMETRIES = ("crop", "thesis")
SCRATCHES, MARKS = preset_prompts("ksdd2")
TINY = {"size": 128}
QUICK = {"size": 128, "steps": 3}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return make_tiny_sdxl(tmp_path_factory.mktemp("diag") / "tiny-sdxl")


@pytest.fixture(scope="session")
def pipeline(folder):
    return load_pipeline(str(folder), device="cpu")


@pytest.fixture(scope="module")
def normal(prepared: Manifest) -> NDArray[np.uint8]:
    """A good commutator look-alike, 64x96."""
    sample = prepared.part("train", "negative").samples[0]
    return read_image(prepared.image_path(sample))


@pytest.fixture(scope="module")
def asked() -> TargetMask:
    """Neither in the middle nor square, so that a shift or a swap of axes would show."""
    pixels = np.zeros((96, 64), np.bool_)
    pixels[50:64, 30:48] = True
    pixels[56:64, 40:48] = False
    return TargetMask(pixels)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_thesis_settings_reach_the_real_pipeline(
    pipeline, normal, asked, geometry, monkeypatch
) -> None:
    calls = []
    real = type(pipeline).__call__

    def recorded(self, **arguments):
        calls.append(arguments)
        return real(self, **arguments)

    monkeypatch.setattr(type(pipeline), "__call__", recorded)
    steps = []
    diag = Diag(
        pipeline,
        SCRATCHES,
        DiagParameters(geometry=geometry, **TINY),
        progress=lambda stage, done, total: steps.append((stage, done, total)),
    )
    defect = diag.generate(normal, asked, 7)
    (call,) = calls
    assert call["prompt"] == "copper metal scratches"
    assert call["negative_prompt"] == "smooth, plain, black, dark, shadow"
    assert (call["num_inference_steps"], call["guidance_scale"], call["strength"]) == (30, 20, 0.99)
    assert call["padding_mask_crop"] == (2 if geometry == "thesis" else None)
    assert call["image"].size == call["mask_image"].size == (128, 128)
    assert (call["width"], call["height"]) == (128, 128)
    assert set(np.unique(np.asarray(call["mask_image"]))) == {0, 255}
    assert call["generator"].initial_seed() == 7
    assert pipeline.watermark is None
    # 29 of 30 steps: the scheduler was set up and entered at strength 0.99.
    assert steps == [("diffusion", n + 1, 29) for n in range(29)]
    assert defect.provenance == {
        "generator": "diag",
        "seed": 7,
        "prompt": SCRATCHES.positive,
        "negative_prompt": SCRATCHES.negative,
        "pipeline": "tiny-sdxl",
        "precision": "float32",
        "geometry": geometry,
        "box": [0, 0, 64, 96] if geometry == "thesis" else list(crop_box(asked)),
        "size": 128,
        "paste": True,
        "num_inference_steps": 30,
        "guidance_scale": 20.0,
        "strength": 0.99,
        "padding_mask_crop": call["padding_mask_crop"],
        "width": 128,
        "height": 128,
    }


def crop_box(asked: TargetMask) -> tuple[int, int, int, int]:
    box = crop_view(asked.pixels, 128).box
    return box.x, box.y, box.width, box.height


def test_the_defaults_are_the_thesis_s_but_for_the_geometry() -> None:
    assert DiagParameters() == DiagParameters(30, 20.0, 0.99, 1024, "crop", 2, True)


def test_the_same_seed_gives_the_same_bytes(pipeline, normal, asked) -> None:
    parameters = DiagParameters(**QUICK)

    def paint(prompt: Prompt, seed: int) -> NDArray[np.uint8]:
        return Diag(pipeline, prompt, parameters).generate(normal, asked, seed).image

    before = normal.copy()
    first = paint(SCRATCHES, 1)
    assert np.array_equal(paint(SCRATCHES, 1), first)
    for other in (
        paint(SCRATCHES, 2),
        paint(MARKS, 1),
        paint(Prompt(SCRATCHES.positive, "bright"), 1),
        paint(Prompt(SCRATCHES.positive), 1),
    ):
        assert not np.array_equal(other, first)
    assert np.array_equal(normal, before)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_pasting_leaves_every_pixel_outside_the_mask_alone(
    pipeline, normal, asked, geometry
) -> None:
    outside = ~asked.pixels
    pasted = Diag(pipeline, SCRATCHES, DiagParameters(geometry=geometry, **QUICK))
    defect = pasted.generate(normal, asked, 3)
    assert np.array_equal(defect.image[outside], normal[outside])
    whole = Diag(pipeline, SCRATCHES, DiagParameters(geometry=geometry, paste=False, **QUICK))
    other = whole.generate(normal, asked, 3)
    assert not np.array_equal(other.image[outside], normal[outside])
    assert np.array_equal(other.image[asked.pixels], defect.image[asked.pixels])
    for made in (defect, other):
        assert made.image.shape == normal.shape
        assert made.image.dtype == np.uint8
        assert made.mask.any()
        assert not made.mask[outside].any()
    x, y, width, height = crop_box(asked)
    beyond = np.ones(outside.shape, np.bool_)
    beyond[y : y + height, x : x + width] = False
    assert np.array_equal(other.image[beyond], normal[beyond]) == (geometry == "crop")


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_mask_is_what_was_painted_and_not_what_the_vae_did(
    pipeline, normal, asked, geometry, monkeypatch
) -> None:
    """The model's output is the image through its VAE, with one strip painted into it."""
    look = crop_view if geometry == "crop" else whole_view
    view = look(asked.pixels, 128)
    strip = np.zeros_like(asked.pixels)
    strip[51:55, 33:45] = True
    diag = Diag(pipeline, SCRATCHES, DiagParameters(geometry=geometry, **TINY))
    painted_strips = [np.zeros_like(strip), strip]

    def paint(image, mask, arguments, seed):
        rebuilt = diag._rebuild(image, mask, arguments["padding_mask_crop"]).copy()
        shown = np.asarray(image)
        opposite = np.where(shown < 128, 255, 0).astype(np.uint8)
        where = view.show_mask(painted_strips[seed])
        rebuilt[where] = opposite[where]
        return rebuilt

    monkeypatch.setattr(diag, "_paint", paint)
    with pytest.raises(UnusableDefectError, match="nothing changed"):
        diag.generate(normal, asked, 0)
    found = diag.generate(normal, asked, 1).mask
    assert (found & strip).sum() > 0.5 * strip.sum()
    assert not found[56:].any()


def test_the_largest_error_reaches_two_pixels_around() -> None:
    before = np.full((9, 9, 3), 100, np.uint8)
    rebuilt = before.copy()
    rebuilt[4, 4] = (100, 70, 110)
    expected = np.zeros((9, 9), np.uint8)
    expected[2:7, 2:7] = 30
    assert np.array_equal(_largest_error(before, rebuilt), expected)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_error_is_measured_on_the_pixels_the_pipeline_replaces(
    pipeline, normal, asked, geometry
) -> None:
    """The thesis's geometry cuts inside the pipeline, and leaves the rest of the square alone."""
    view = (crop_view if geometry == "crop" else whole_view)(asked.pixels, 128)
    diag = Diag(pipeline, SCRATCHES, DiagParameters(geometry=geometry, **TINY))
    shown, where = view.show(normal), view.show_mask(asked.pixels)
    mask = Image.fromarray(where.astype(np.uint8) * np.uint8(255))
    rebuilt = diag._rebuild(Image.fromarray(shown), mask, 2 if geometry == "thesis" else None)
    assert not np.array_equal(rebuilt[where], shown[where])
    assert np.array_equal(rebuilt[~where], shown[~where]) == (geometry == "thesis")


def test_a_thin_mask_reaches_the_model_in_whole_cells(pipeline, normal, monkeypatch) -> None:
    pixels = np.zeros((96, 64), np.bool_)
    pixels[45, 5:60] = True
    given = []
    diag = Diag(pipeline, SCRATCHES, DiagParameters(**QUICK))
    real = diag._paint

    def recorded(image, mask, arguments, seed):
        given.append(np.asarray(mask))
        return real(image, mask, arguments, seed)

    monkeypatch.setattr(diag, "_paint", recorded)
    image = diag.generate(normal, TargetMask(pixels), 5).image
    height, width = given[0].shape
    cells = given[0].reshape(height // 8, 8, width // 8, 8)
    assert (cells.min(axis=(1, 3)) == cells.max(axis=(1, 3))).all()
    assert np.array_equal(image[~pixels], normal[~pixels])


def test_the_prompt_s_kind_is_the_generator_s(pipeline) -> None:
    assert Diag(pipeline, Prompt("dots", kind="spot")).kind == "spot"
    assert Diag(pipeline, SCRATCHES).kind is None
    assert Diag.name == "diag"
    assert not Diag.needs_donor


def test_a_prompt_that_would_be_cut_off_is_refused(pipeline) -> None:
    Diag(pipeline, Prompt("copper " * 75))
    for prompt in (Prompt("copper " * 76), Prompt("copper", "dark " * 76)):
        with pytest.raises(SettingsError, match="is 76 tokens long and the model reads 75"):
            Diag(pipeline, prompt)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strength": 0}, "strength 0"),
        ({"strength": 1.5}, "strength 1.5"),
        ({"steps": 0}, "0 steps"),
        ({"steps": 10, "strength": 0.05}, "10 steps at strength 0.05 leave no step"),
        ({"guidance": -1}, "guidance -1"),
        ({"size": 1000}, "multiple of 32"),
        ({"size": 0}, "multiple of 32"),
        ({"geometry": "square"}, "geometry 'square': use crop or thesis"),
        ({"padding_mask_crop": -1}, "padding_mask_crop -1"),
    ],
)
def test_parameters_that_are_not_allowed(wrong, message) -> None:
    with pytest.raises(SettingsError, match=message):
        DiagParameters(**wrong)


def broken(folder, network: str, layer: str, weight: float, bias: float):
    """A pipeline of its own, with one layer overwritten."""
    pipeline = load_pipeline(str(folder), device="cpu")
    module = getattr(pipeline, network).get_submodule(layer)
    torch.nn.init.constant_(module.weight, weight)
    torch.nn.init.constant_(module.bias, bias)
    return Diag(pipeline, SCRATCHES, DiagParameters(**QUICK))


@pytest.mark.parametrize(("network", "layer"), [("unet", "conv_out"), ("vae", "decoder.conv_out")])
def test_numbers_that_overflow_stop_the_run(folder, normal, asked, network, layer) -> None:
    with pytest.raises(SettingsError, match=r"overflowed.*full precision"):
        broken(folder, network, layer, float("nan"), 0).generate(normal, asked, 0)


def test_an_all_black_output_is_no_defect(folder, normal, asked) -> None:
    with pytest.raises(UnusableDefectError, match=r"nothing but black.*full precision"):
        broken(folder, "vae", "decoder.conv_out", 0, -10).generate(normal, asked, 0)


def test_half_precision_upcasts_the_vae_and_gives_it_back(folder, normal, asked) -> None:
    pipeline = load_pipeline(str(folder), device="cpu").to(torch.float16)
    seen = []
    real = pipeline.vae.decode

    def decode(latents, **options):
        seen.append((pipeline.vae.dtype, latents.dtype))
        return real(latents, **options)

    pipeline.vae.decode = decode
    defect = Diag(pipeline, SCRATCHES, DiagParameters(**QUICK)).generate(normal, asked, 0)
    assert seen == [(torch.float32, torch.float32)] * 2  # the painting and the reconstruction
    assert pipeline.vae.dtype == torch.float16
    assert defect.provenance["precision"] == "float16"


def test_memory_that_runs_out_names_what_helps(folder, normal, asked) -> None:
    pipeline = load_pipeline(str(folder), device="cpu")
    diag = Diag(pipeline, SCRATCHES, DiagParameters(**QUICK))

    def exhausted(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    pipeline.unet.forward = exhausted
    with pytest.raises(SettingsError, match=r"does not fit into memory.*offload model"):
        diag.generate(normal, asked, 0)


def test_other_failures_are_not_taken_for_memory(folder, normal, asked) -> None:
    pipeline = load_pipeline(str(folder), device="cpu")
    diag = Diag(pipeline, SCRATCHES, DiagParameters(**QUICK))

    def failing(*args, **options):
        raise RuntimeError("shapes do not match")

    pipeline.unet.forward = failing
    with pytest.raises(RuntimeError, match="shapes do not match"):
        diag.generate(normal, asked, 0)
