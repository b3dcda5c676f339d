"""Small pictures of the photographs of a study, with the regions that the model found."""

import cv2

from patchcore_dual.data.reading import read_image
from patchcore_dual.errors import DataError
from patchcore_dual.evaluation.study.records import Record
from patchcore_dual.utils.pictures import jpeg_base64

_SIZE = (240, 240)


def trial_picture(record: Record) -> str:
    """The photograph with its regions framed, as a base64 JPEG; "" where it is not at hand.

    Frames are black in white, so that they can be seen on paper and on any surface.
    """
    if not record.image.is_file():
        return ""
    try:
        image = read_image(record.image)
    except DataError:
        return ""
    width = max(1, round(max(image.shape[:2]) / max(_SIZE)))
    picture = image.copy()
    for region in record.regions:
        corners = (region.x, region.y), (region.x + region.width, region.y + region.height)
        cv2.rectangle(picture, *corners, (255, 255, 255), 4 * width)
        cv2.rectangle(picture, *corners, (0, 0, 0), 2 * width)
    return jpeg_base64(picture, _SIZE, quality=78)
