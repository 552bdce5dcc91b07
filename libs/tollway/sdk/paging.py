"""Lists that come in pages: one iterator over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from tollway.sdk.codec import decode
from tollway.sdk.errors import InvalidAnswer
from tollway.sdk.transport import Transport

T = TypeVar("T")


def pages(
    transport: Transport, path: str, member: str, cls: type[T], query: Mapping[str, Any], limit: int | None
) -> Iterator[T]:
    """Objects of the list at `path`, asked for page by page as they are consumed; at most `limit` of them."""
    token, left = "", limit
    while left is None or left > 0:
        # 0 is the server's own page size.
        size = 0 if left is None else min(left, 1000)
        answer = transport.call("GET", path, query={**query, "page_size": size or None, "page_token": token})
        for item in typed_list(answer, member):
            yield typed(cls, item)
            if left is not None:
                left -= 1
                if left == 0:
                    return
        token = str(answer.get("next_page_token") or "")
        if not token:
            return


def typed_list(answer: Any, member: str) -> list[Any]:
    """The list `member` of an answer; an absent one is empty."""
    items = answer.get(member, []) if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise InvalidAnswer(f"the answer has no list {member!r}: is this the control plane's address?")
    return items


def typed(cls: type[T], answer: Any) -> T:
    """`answer` as `cls`."""
    try:
        return decode(cls, answer)
    except (ValueError, TypeError) as error:
        raise InvalidAnswer(f"the answer is not a {cls.__name__}: {error}") from error
