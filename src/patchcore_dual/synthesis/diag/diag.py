"""DIAG: defects painted by a pretrained diffusion model, without training (thesis 2.1, 4.2).

Girella et al., "Leveraging Latent Diffusion Models for Training-Free In-Distribution Data
Augmentation for Surface Defect Detection" (2024).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchcore_dual.errors import SettingsError
from patchcore_dual.synthesis.diag.geometry import (
    SIZE_STEP,
    View,
    crop_view,
    whole_cells,
    whole_view,
)
from patchcore_dual.synthesis.diag.pipeline import explained_memory
from patchcore_dual.synthesis.diag.prompts import Prompt
from patchcore_dual.synthesis.generator import (
    Generator,
    SyntheticDefect,
    TargetMask,
    UnusableDefectError,
    changed_mask,
)
from patchcore_dual.utils.progress import Progress, silent

# Pixels by which a VAE's error may shift from one decoding to the next.
ERROR_REACH = 2

OVERFLOW = (
    "the diffusion model's numbers overflowed: its output is not an image. In half precision, "
    "use full precision instead, or a pipeline whose VAE has force_upcast set; in full precision, "
    "its weights are damaged: download it again."
)


@dataclass(frozen=True)
class DiagParameters:
    """How to paint; the defaults are the thesis's, except for the geometry (4.2.3).

    Attributes:
        steps: steps of the scheduler, of which the fraction `strength` is run.
        guidance: classifier-free guidance scale: how strictly the prompt is followed.
        strength: denoising strength; 1 ignores the original pixels under the mask, lower values
            preserve more of them.
        size: the model works on about size x size pixels.
        geometry: "crop" shows the model a crop around the mask and keeps its proportions;
            "thesis" squeezes the whole image to size x size and leaves cropping to the pipeline.
        padding_mask_crop: pixels that the pipeline leaves around the mask when it crops; only
            used with the geometry "thesis".
        paste: keep every pixel outside the target mask as it was; otherwise keep the model's
            whole output.

    Raises:
        SettingsError: for values that are out of range or do not fit together.
    """

    steps: int = 30
    guidance: float = 20.0
    strength: float = 0.99
    size: int = 1024
    geometry: Literal["crop", "thesis"] = "crop"
    padding_mask_crop: int = 2
    paste: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise SettingsError(f"strength {self.strength}: give a number above 0, up to 1.")
        if int(self.steps * self.strength) < 1:
            raise SettingsError(
                f"{self.steps} steps at strength {self.strength} leave no step to run: raise one."
            )
        if not self.guidance > 0:
            raise SettingsError(f"guidance {self.guidance}: give a number above 0.")
        if self.size < SIZE_STEP or self.size % SIZE_STEP:
            raise SettingsError(f"size {self.size}: give a multiple of {SIZE_STEP}.")
        if self.geometry not in ("crop", "thesis"):
            raise SettingsError(f"geometry {self.geometry!r}: use crop or thesis.")
        if self.padding_mask_crop < 0:
            raise SettingsError(f"padding_mask_crop {self.padding_mask_crop}: give 0 or more.")


class Diag(Generator):
    """Paints what one prompt describes into the target mask.

    Several generators may share a pipeline. On a GPU, the same seed gives the same bytes only on
    the same hardware.
    """

    name: ClassVar[str] = "diag"
    summary: ClassVar[str] = "Paints defects with a diffusion model, from a prompt (DIAG)."
    runs_on_cpu: ClassVar[bool] = False

    def __init__(
        self,
        pipeline: Any,
        prompt: Prompt,
        parameters: DiagParameters | None = None,
        progress: Progress = silent,
    ) -> None:
        """Use a loaded pipeline for one prompt.

        Args:
            pipeline: a diffusers pipeline from `load_pipeline`.
            prompt: what to paint; its kind becomes this generator's.
            parameters: how to paint; the defaults where None.
            progress: called after every diffusion step.

        Raises:
            SettingsError: where the prompt has more tokens than the model reads.
        """
        for text in (prompt.positive, prompt.negative):
            _check_length(text, pipeline.tokenizer)
        self.pipeline = pipeline
        self.prompt = prompt
        self.parameters = parameters or DiagParameters()
        self.progress = progress
        self.kind = prompt.kind or None

    def generate(self, normal: np.ndarray, mask: TargetMask, seed: int) -> SyntheticDefect:
        """Paint a defect on a normal image; see `Generator.generate`.

        With `paste=False`, pixels outside the mask change a little too.

        Raises:
            UnusableDefectError: where nothing differs by more than the model's own reconstruction
                error.
            SettingsError: where memory or half precision do not suffice.
        """
        in_thesis_geometry = self.parameters.geometry == "thesis"
        view = (whole_view if in_thesis_geometry else crop_view)(mask.pixels, self.parameters.size)
        shown = Image.fromarray(view.show(normal))
        target = view.show_mask(mask.pixels)
        if not in_thesis_geometry:
            target = whole_cells(target, self.pipeline.vae_scale_factor)
        shown_mask = Image.fromarray(target.astype(np.uint8) * np.uint8(255))
        padding = self.parameters.padding_mask_crop if in_thesis_geometry else None
        arguments: dict[str, Any] = {
            "num_inference_steps": self.parameters.steps,
            "guidance_scale": self.parameters.guidance,
            "strength": self.parameters.strength,
            "padding_mask_crop": padding,
            "width": view.width,
            "height": view.height,
        }
        with explained_memory():
            painted = self._paint(shown, shown_mask, arguments, seed)
            rebuilt = self._rebuild(shown, shown_mask, padding)
        if not painted[target].any():
            raise UnusableDefectError(
                "the diffusion model painted nothing but black. If it always does, half precision "
                "overflows: use full precision."
            )
        image = view.put_back(normal, painted)
        if self.parameters.paste:
            image = np.where(mask.pixels[..., None], image, normal)
        tolerance = _largest_error(normal, view.put_back(normal, rebuilt))
        return SyntheticDefect(
            image,
            changed_mask(normal, image, mask.pixels, tolerance),
            self._provenance(view, arguments, seed),
        )

    def _paint(
        self, image: Image.Image, mask: Image.Image, arguments: dict[str, Any], seed: int
    ) -> NDArray[np.uint8]:
        """The image with the model's painting: uint8 `[height, width, 3]`."""
        import torch

        def after_step(
            pipeline: Any, step: int, time: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            if not torch.isfinite(tensors["latents"]).all():
                raise SettingsError(OVERFLOW)
            self.progress("diffusion", step + 1, pipeline.num_timesteps)
            return tensors

        result = self.pipeline(
            prompt=self.prompt.positive,
            negative_prompt=self.prompt.negative or None,
            image=image,
            mask_image=mask,
            # On the CPU, so that the noise is the same wherever the model runs.
            generator=torch.Generator("cpu").manual_seed(seed),
            callback_on_step_end=after_step,
            **arguments,
        )
        return np.asarray(result.images[0])

    def _rebuild(
        self, image: Image.Image, mask: Image.Image, padding: int | None
    ) -> NDArray[np.uint8]:
        """The image after encoding and decoding, cropped and merged as the pipeline does it."""
        import torch

        pipeline, size = self.pipeline, {"width": image.width, "height": image.height}
        region = None
        if padding is not None:
            region = pipeline.mask_processor.get_crop_region(mask, **size, pad=padding)
        mode = "default" if region is None else "fill"
        pixels = pipeline.image_processor.preprocess(
            image, **size, crops_coords=region, resize_mode=mode
        )
        with torch.no_grad(), _upcast_where_asked(pipeline.vae):
            # pipeline.device is the CPU while weights are offloaded; this one is the actual device.
            pixels = pixels.to(pipeline._execution_device, pipeline.vae.dtype)
            latents = pipeline.vae.encode(pixels).latent_dist.mode()
            decoded = pipeline.vae.decode(latents).sample
        pipeline.maybe_free_model_hooks()
        if not torch.isfinite(decoded).all():
            raise SettingsError(OVERFLOW)
        rebuilt = pipeline.image_processor.postprocess(decoded.float(), output_type="pil")[0]
        if region is not None:
            rebuilt = pipeline.image_processor.apply_overlay(mask, image, rebuilt, region)
        return np.asarray(rebuilt)

    def _provenance(self, view: View, arguments: dict[str, Any], seed: int) -> dict[str, Any]:
        return {
            "generator": self.name,
            "seed": seed,
            "prompt": self.prompt.positive,
            "negative_prompt": self.prompt.negative,
            "pipeline": self.pipeline.name_or_path,
            "precision": str(self.pipeline.dtype).removeprefix("torch."),
            "geometry": self.parameters.geometry,
            "box": list(asdict(view.box).values()),
            "size": self.parameters.size,
            "paste": self.parameters.paste,
            **arguments,
        }


def _check_length(text: str, tokenizer: Any) -> None:
    count, limit = len(tokenizer(text).input_ids), tokenizer.model_max_length
    if count > limit:
        raise SettingsError(
            f"the prompt {text!r} is {count - 2} tokens long and the model reads {limit - 2}: "
            "shorten it."
        )


@contextmanager
def _upcast_where_asked(vae: Any) -> Iterator[None]:
    """Use full precision for a VAE whose configuration says that half precision overflows."""
    import torch

    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        vae.to(torch.float32)
    try:
        yield
    finally:
        if upcast:
            vae.to(torch.float16)


def _largest_error(before: NDArray[np.uint8], rebuilt: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 `[H, W]`: the largest reconstruction error around each pixel, in grey levels."""
    error = cv2.absdiff(before, rebuilt).max(axis=2)
    side = 2 * ERROR_REACH + 1
    return np.asarray(cv2.dilate(error, np.ones((side, side), np.uint8)))
