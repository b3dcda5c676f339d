"""The usual names of mask files and of the folders that hold them."""

import re
import unicodedata
from collections.abc import Iterator

# Compared without case, spaces, hyphens and underscores.
# fmt: off
_FOLDERS = frozenset([
        "mask", "masks", "maske", "masken", "gt", "gts", "groundtruth", "groundtruths", "truth",
        "label", "labels", "annotation", "annotations", "annot", "annots", "anno", "seg", "segs",
        "segmentation", "segmentations", "segmentationclass", "segmentationobject",
        "segmentationmask", "segmentationmasks", "annotationmask", "annotationmasks", "gtmask",
        "gtmasks", "maskgt", "masksgt", "labelmask", "labelmasks", "defectmask", "defectmasks",
        "pixelmask", "pixelmasks", "maskimage", "maskimages", "labelimage", "labelimages",
        "masksmachine",
])
# fmt: on
_WORD = (
    r"(?:masks?|maske|gt|ground[ _-]?truth|labels?|label[ _-]?ids?|seg|segmentation|annotations?"
    r"|annot)"
)
_ENDING = re.compile(rf"^(?P<stem>.+?)[ _.-]+{_WORD}$")
_BEGINNING = re.compile(rf"^{_WORD}[ _.-]+(?P<stem>.+)$")
_NUMBER = re.compile(r"^(?P<stem>.+?)(?:[ _.-]+[0-9]{1,3}| ?\([0-9]{1,3}\))$")
_IMAGE_ENDING = re.compile(
    r"^(?P<stem>.+)\.(?:png|jpe?g|jpe|jfif|bmp|dib|tiff?|webp|gif|p[gpbn]m|jp2)_*$"
)


def name_key(name: str) -> str:
    """A name as it is compared: without case, in one of Unicode's ways to write an accent.

    >>> name_key("Dépôt") == name_key("de\u0301po\u0302t".upper())
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks.

    >>> [is_mask_folder(name) for name in ("masks", "Ground Truth", "GT", "scratch")]
    [True, True, True, False]
    """
    return re.sub(r"[ _.-]", "", name_key(name)) in _FOLDERS


def without_mask_word(name: str) -> str | None:
    """A file's stem, or a folder's name, without the word that makes it a mask's; None without one.

    >>> without_mask_word("0001_GT"), without_mask_word("mask-0001"), without_mask_word("a_mask_2")
    ('0001', '0001', 'a')
    >>> without_mask_word("0001") is None
    True
    """
    key = name_key(name)
    for candidate in (key, *_matched(_NUMBER, key)):
        for stem in (*_matched(_ENDING, candidate), *_matched(_BEGINNING, candidate)):
            return next(_matched(_IMAGE_ENDING, stem), stem)
    return None


def stems_of_image(stem: str) -> list[str]:
    """The stems, as `name_key` gives them, that the image of a mask can have; the likeliest first.

    >>> stems_of_image("0001_mask_2")
    ['0001_mask_2', '0001', '0001_mask']
    >>> stems_of_image("part_7")
    ['part_7', 'part']
    """
    key = name_key(stem)
    found = [key, *_matched(_IMAGE_ENDING, key)]
    if plain := without_mask_word(key):
        found += [plain, *_matched(_NUMBER, plain)]
    found += _matched(_NUMBER, key)
    return list(dict.fromkeys(found))


def _matched(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    if match := pattern.match(text):
        yield match["stem"]
