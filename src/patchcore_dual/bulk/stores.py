"""Images in object stores: listing them and reading them, by URL.

`s3://`, `gs://` and `abfs://` are read by pyarrow, with the credentials that their own tools use,
`http(s)://` by Python, and all others by fsspec.
"""

import urllib.request
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from patchcore_dual.data.listing import IMAGE_SUFFIXES
from patchcore_dual.errors import DataError, ImageError
from patchcore_dual.utils.dependencies import require

_BY_ARROW = ("s3", "gs", "gcs", "abfs", "abfss")
_SECONDS = 60


def is_url(name: str) -> bool:
    """Whether a name is a URL, rather than a path.

    >>> is_url("s3://plant-7/line-2"), is_url("/data/a.png")
    (True, False)
    """
    scheme, colon, _ = name.partition("://")
    return bool(colon) and scheme.isalnum()


def images_at(url: str) -> Iterator[str]:
    """The URLs of the images at and below a URL, folder by folder, in the order of their names.

    A URL that ends as an image file does is that image, and so is every one by HTTP.

    Raises:
        DataError: the store cannot be reached, or holds nothing there.

    >>> import fsspec
    >>> fsspec.filesystem("memory").pipe(dict.fromkeys(["/plant/b.png", "/plant/a.png"], b""))
    >>> list(images_at("memory://plant"))
    ['memory://plant/a.png', 'memory://plant/b.png']
    """
    plain, mark, options = url.partition("?")
    if _is_image(plain) or url.startswith("http"):
        yield url
        return
    try:
        files, top = _opened(url)
        n_found = 0
        for folder, folders, names in files.walk(top):
            folders.sort()
            for name in sorted(names):
                if _is_image(name):
                    below = str(
                        PurePosixPath("/", folder, name).relative_to(PurePosixPath("/", top))
                    )
                    n_found += 1
                    yield f"{plain.rstrip('/')}/{below}{mark}{options}"
    except Exception as error:  # each store has errors of its own
        raise DataError(f"{url} cannot be listed: {_reason(error)}") from None
    if not n_found:
        raise DataError(f"{url} holds no images to inspect, or is not there.")


def read_bytes(url: str) -> bytes:
    """The content of a file in a store.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        if url.startswith(("http://", "https://")):
            with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
                content: bytes = answer.read()
            return content
        files, path = _opened(url)
        return bytes(files.cat_file(path))
    except Exception as error:  # each store has errors of its own
        raise ImageError(f"{url} cannot be read: {_reason(error)}") from None


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    plain, mark, options = url.partition("?")
    scheme, _, path = plain.partition("://")
    store = path.partition("/")[0]
    if scheme in _BY_ARROW:
        return _by_arrow(f"{scheme}://{store}{mark}{options}"), path.rstrip("/")
    require(f"reading {scheme}://", "fsspec")
    from fsspec.core import url_to_fs

    files, path = url_to_fs(url)
    return files, path.rstrip("/")


@lru_cache(maxsize=16)
def _by_arrow(url: str) -> Any:
    require("reading object stores", "pyarrow", "fsspec")
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import FileSystem

    return ArrowFSWrapper(FileSystem.from_uri(url)[0])


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "there is no such file."
    signs = ("denied", "credential", "403", "401", "forbidden", "unauthorized")
    if any(sign in text.lower() for sign in signs):
        return (
            f"{text}. Credentials are missing or do not allow it. Set them as for the tools of the "
            "store (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "GOOGLE_APPLICATION_CREDENTIALS), on every node."
        )
    return f"{text}."
