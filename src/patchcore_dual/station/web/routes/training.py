"""The training images that a person should look at, and the synthetic defects to review."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from patchcore_dual.data.reading import read
from patchcore_dual.errors import DataError
from patchcore_dual.station.serving import synthetic
from patchcore_dual.station.serving.explanations import png
from patchcore_dual.station.web.errors import Refusal
from patchcore_dual.station.web.routes.common import (
    ModelName,
    TheStation,
    errors,
    example,
    picture,
)
from patchcore_dual.station.web.schemas import JudgementIn
from patchcore_dual.station.web.security import Reader, Teacher

router = APIRouter(tags=["training images"])
_KEY = "314436e8ac223c79"
Key = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=[_KEY])]
Run = Annotated[str, Path(pattern=r"^[\w.-]{1,100}$", examples=["poisson"])]
Image = Annotated[str, Path(pattern=r"^\d{4,9}$", examples=["0007"])]
Number = Annotated[int, Path(ge=0, lt=10**9, examples=[7], description="Of the image: 7 or 0007.")]
_FOUND = {
    "image": "train/negative/3.png",
    "reason": "good, near the threshold",
    "score": 1.4,
    "without": 1.3,
    "is_in_model": True,
    "is_at_hand": True,
    "link": f"/v1/models/bracket/training-images/{_KEY}.png",
}
_SYNTHETIC = {
    "run": "poisson",
    "image": "0007",
    "is_rejected": False,
    "link": "/v1/models/bracket/synthetic/poisson/0007.png",
}


@router.get(
    "/v1/models/{name}/training-images",
    responses={
        200: example({"items": [_FOUND], "synthetic": [_SYNTHETIC]}, "The images."),
        **errors(404, 409, 422),
    },
    dependencies=[Reader],
    summary="Training images to look at",
)
async def training_images(request: Request, station: TheStation, name: ModelName) -> dict[str, Any]:
    """Those that decide the thresholds, look mislabelled, or hold defects that are not found."""
    served = station.model(name)
    base = f"/v1/models/{name}"
    loop = asyncio.get_running_loop()
    items = await loop.run_in_executor(
        request.app.state.editors, station.lessons.training_images, served
    )
    made = await asyncio.to_thread(synthetic.synthetic_images, served.folder)
    return {
        "items": [{**one, "link": f"{base}/training-images/{one.pop('key')}.png"} for one in items],
        "synthetic": [
            {**one, "image": stem, "link": f"{base}/synthetic/{one['run']}/{stem}.png"}
            for one in made
            if (stem := one["image"].removesuffix(".png"))
        ],
    }


@router.get(
    "/v1/models/{name}/training-images/{key}.png",
    response_class=Response,
    responses={200: picture("The image."), **errors(404, 409, 422)},
    dependencies=[Reader],
    summary="A training image",
)
async def training_picture(
    request: Request, station: TheStation, name: ModelName, key: Key
) -> Response:
    """A training image that `training-images` links to."""
    served = station.model(name)
    content = await asyncio.get_running_loop().run_in_executor(
        request.app.state.editors, station.lessons.training_picture, served, key
    )
    if content is None:
        raise Refusal(404, "this training image is not at hand.")
    return Response(content, media_type="image/png")


@router.get(
    "/v1/models/{name}/synthetic/{run}/{image}.png",
    response_class=Response,
    responses={200: picture("The image."), **errors(404, 422)},
    dependencies=[Reader],
    summary="A synthetic defect",
)
def synthetic_picture(station: TheStation, name: ModelName, run: Run, image: Image) -> Response:
    """A synthetic image that `training-images` links to."""
    try:
        path = synthetic.image_path(station.model(name).folder, run, f"{image}.png")
    except DataError as error:
        raise Refusal(404, str(error)) from None
    return Response(png(read(path).pixels), media_type="image/png")


@router.post(
    "/v1/models/{name}/synthetic/{run}/{number:int}",
    responses={
        200: example({"run": "poisson", "image": "0007", "is_rejected": True}, "As it is now."),
        **errors(404, 408, 413, 422),
    },
    dependencies=[Teacher],
    summary="Accept or reject a synthetic defect",
)
def judge(
    station: TheStation, name: ModelName, run: Run, number: Number, said: JudgementIn
) -> dict[str, Any]:
    """Leave a synthetic image out of the next fit, or take it again."""
    folder, image = station.model(name).folder, f"{number:04}"
    try:
        synthetic.image_path(folder, run, f"{image}.png")
    except DataError as error:
        raise Refusal(404, str(error)) from None
    synthetic.judge(folder, run, f"{image}.png", said.is_rejected)
    return {"run": run, "image": image, "is_rejected": said.is_rejected}
