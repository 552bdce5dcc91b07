"""`GET` and `DELETE /v1/responses/{id}`, `GET /v1/responses/{id}/input_items`: what a project's keys have stored.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.http.models import principal_of
from tollway.dataplane.pipeline.exchange import Services
from tollway.dataplane.pipeline.recall import find, find_all, is_name, not_found, unavailable
from tollway.dataplane.stores.ports import StoreUnavailable

MAX_ITEMS = 100
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


async def show(services: Services, headers: Mapping[str, str], name: str, query: Mapping[str, str]) -> bytes:
    """The response as it was answered."""
    if query.get("stream") == "true":
        message = "A stored response cannot be streamed again. Leave 'stream' out."
        raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param="stream")
    principal = await principal_of(services, headers)
    return (await find(services, principal.project.id, name)).response


async def forget(services: Services, headers: Mapping[str, str], name: str) -> dict[str, Any]:
    """Deletes it; what goes on from it can then no longer be continued."""
    principal = await principal_of(services, headers)
    if not is_name(name):
        raise not_found(name)
    try:
        removed = await services.responses.remove(principal.project.id, name)
    except StoreUnavailable as error:
        raise unavailable() from error
    if not removed:
        raise not_found(name)
    return {"id": name, "object": "response", "deleted": True}


async def show_items(services: Services, headers: Mapping[str, str], name: str, query: Mapping[str, str]) -> bytes:
    """What the response was asked with, earlier turns included, in pages: `limit`, `order`, `after`."""
    limit, newest_first = _limit(query), query.get("order", "desc") != "asc"
    project = (await principal_of(services, headers)).project.id
    last = await find(services, project, name)
    before = await find_all(services, project, last.ancestors)
    raw = [item for kept in before if kept is not None for item in kept.items()]
    raw += [Raw(item) for item in last.input]
    items = [_named(item, name, index) for index, item in enumerate(raw)]
    if newest_first:
        items.reverse()
    after = query.get("after")
    if after is not None:
        names = [item_id for item_id, _ in items]
        items = items[names.index(after) + 1 :] if after in names else []
    page = items[:limit]
    body = {
        "object": "list",
        "data": [item for _, item in page],
        "first_id": page[0][0] if page else None,
        "last_id": page[-1][0] if page else None,
        "has_more": len(items) > limit,
    }
    return msgspec.json.encode(body)


def _named(item: Raw, response: str, index: int) -> tuple[str, Raw]:
    """An item as it is listed, and its id: one that came without gets one, and a text is listed as a part."""
    fields = _FIELDS.decode(item)
    given = msgspec.json.decode(fields["id"]) if "id" in fields else None
    name = given if isinstance(given, str) and given else f"msg_tw{response.removeprefix('resp_')}_in{index}"
    content = fields.get("content")
    if name == given and (content is None or not bytes(content).startswith(b'"')):
        return name, item
    listed: dict[str, Any] = {"type": "message", **fields, "id": name}
    if content is not None and bytes(content).startswith(b'"'):
        said = bytes(fields.get("role", Raw(b""))) == b'"assistant"'
        part = {"type": "output_text", "annotations": []} if said else {"type": "input_text"}
        listed["content"] = [part | {"text": content}]
    return name, Raw(msgspec.json.encode(listed))


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", "20")
    if not text.isdecimal() or not 1 <= int(text[:5]) <= MAX_ITEMS:
        raise TollwayError(Code.INVALID_REQUEST, f"'limit' must be a number between 1 and {MAX_ITEMS}.", param="limit")
    return int(text)
