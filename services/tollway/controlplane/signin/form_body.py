"""The body of a form, as pages of ours have browsers send it; bytes that are none are refused, and are no defect."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from tollway.controlplane.call import ApiCode, ApiError

FORM = "application/x-www-form-urlencoded"


def bounded(request: web.Request, most: int) -> None:
    """Raises ApiError for a form that must not be read, by what its headers say; `most` is in bytes."""
    if request.content_length is None:
        raise ApiError(ApiCode.INVALID, "a form needs a length")
    if not 0 <= request.content_length <= most:
        raise ApiError(ApiCode.INVALID, f"a form can have at most {most >> 10} KiB")


async def read_form(request: web.Request) -> MultiDictProxy[Any]:
    """The fields, which the request keeps. Raises ApiError for bytes that are no form of a page of ours.

    Those come in one encoding, plain; parts that name encodings of their own are not even looked at.
    """
    charset = (request.charset or "utf-8").lower()
    if (
        request.content_type.startswith("multipart/")
        or charset not in ("utf-8", "utf8")
        or request.headers.get("Content-Encoding", "identity").lower() != "identity"
    ):
        raise ApiError(ApiCode.INVALID, f"a form must be sent as {FORM}, in UTF-8 and not compressed")
    try:
        return await request.post()
    except UnicodeDecodeError:
        raise ApiError(ApiCode.INVALID, "the form is not UTF-8") from None
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(ApiCode.INVALID, "the form is too large, or has too many fields") from None
