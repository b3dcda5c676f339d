"""Reading an image from a request: as a field of a form, or as the body itself; in memory alone."""

from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from patchcore_dual.station.settings import Limits
from patchcore_dual.station.web.errors import Refusal

FIELD = "image"
_MOST_FIELDS = 10


class _InMemory(MultiPartParser):
    """Keeps every part in memory: the request is no larger than allowed, and no file is made."""

    spool_max_size = 2**40


async def read_image(request: Request, limits: Limits) -> tuple[bytes, str]:
    """The bytes of the image in a request, and the name that its sender gave.

    Raises:
        Refusal: 413 for a larger image, 400 for a form without one image.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return await _body(request, limits.max_bytes), ""
    try:
        parser = _InMemory(
            request.headers,
            _bounded(request, limits.max_bytes + 2**16),
            max_files=1,
            max_fields=_MOST_FIELDS,
            max_part_size=2**16,
        )
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"the form cannot be read: {error.message}") from None
    except (KeyError, ValueError, UnicodeError, LookupError):
        raise Refusal(
            400, "the form cannot be read: its boundary or a header is damaged."
        ) from None
    try:
        upload = form.get(FIELD)
        if not isinstance(upload, UploadFile):
            raise Refusal(400, f"the form has no file in a field called {FIELD!r}.")
        return await upload.read(), upload.filename or ""
    finally:
        await form.close()


async def _body(request: Request, limit: int) -> bytes:
    content = b"".join([chunk async for chunk in _bounded(request, limit)])
    if not content:
        raise Refusal(
            400, f"the request is empty. Send the image as its body, or as the field {FIELD!r}."
        )
    return content


async def _bounded(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise Refusal(413, f"the image is too large; up to {limit / 2**20:.1f} MiB are taken.")
        yield chunk
