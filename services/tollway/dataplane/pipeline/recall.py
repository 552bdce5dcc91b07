"""Stored responses: what a request goes on from is read before it is served, and its answer is kept after.

A request that goes on from a response that is not stored in its project ends here. An answer that cannot be kept is
still given: the log says so, and going on from it will say that it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable

import msgspec
from msgspec import Raw

from tollway.core.dialects import openai_responses
from tollway.core.errors import Code, TollwayError
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.memory import Kept, Memory, decode_kept, encode_kept
from tollway.dataplane.pipeline.exchange import Exchange, Services
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.runtime import log
from tollway.runtime.seal import SealError

_log = log.get(__name__)
PREFIX = "resp_"
MAX_REFERENCES = 1000
_NAME = re.compile(r"resp_[0-9a-f]{32}")


class _Item(msgspec.Struct):
    id: object = None


_ITEM = msgspec.json.Decoder(_Item)


def recall(exchange: Exchange) -> Awaitable[None] | None:
    """Gives a request for a response its memory; other requests have none."""
    if exchange.endpoint.operation is not Operation.RESPONSES:
        return None
    storage = openai_responses.read_storage(exchange.head)
    name = PREFIX + exchange.id.replace("-", "")
    exchange.memory = Memory(name, store=storage.store, previous_response_id=storage.previous_response_id)
    named = [item for _, item in openai_responses.references(exchange.head)]
    if storage.previous_response_id is None and not named:
        return None
    return _load(exchange, exchange.memory, named)


async def _load(exchange: Exchange, memory: Memory, named: list[str]) -> None:
    project, previous = exchange.principal.project.id, memory.previous_response_id
    if previous is not None:
        last = await find(exchange.services, project, previous, "previous_response_id")
        names = last.ancestors
        chain: list[Kept] = []
        for name, kept in zip(names, await find_all(exchange.services, project, names), strict=True):
            if kept is None:
                raise not_found(name, "previous_response_id")
            chain.append(kept)
        memory.earlier = [item for kept in (*chain, last) for item in kept.items()]
        memory.ancestors = (*names, previous)
    if named:
        memory.known = await _named_items(exchange.services, project, named)


async def _named_items(services: Services, project: str, wanted: list[str]) -> dict[str, Raw]:
    """The stored items with these ids; those that are not there are missing."""
    if len(wanted) > MAX_REFERENCES:
        raise TollwayError(
            Code.INVALID_REQUEST, f"A request may name at most {MAX_REFERENCES} stored items.", param="input"
        )
    try:
        owners = await services.responses.owners(project, wanted)
    except StoreUnavailable as error:
        raise unavailable() from error
    names = tuple(dict.fromkeys(owner for owner in owners if owner is not None))
    found: dict[str, Raw] = {}
    for kept in await find_all(services, project, names):
        for item in kept.items() if kept is not None else ():
            found[_id_of(item)] = item
    return {name: found[name] for name in wanted if name in found}


def _id_of(item: Raw) -> str:
    """The id of an item; empty when it has none."""
    given = _ITEM.decode(item).id
    return given if isinstance(given, str) else ""


async def keep(exchange: Exchange) -> None:
    """Stores the finished answer, when the client wants that."""
    memory = exchange.memory
    if memory is None or not memory.store or memory.response is None:
        return
    services, project = exchange.services, exchange.principal.project.id
    given = openai_responses.input_items(exchange.head, memory.known)
    kept = Kept(
        ancestors=memory.ancestors,
        input=tuple(map(bytes, given)),
        output=tuple(map(bytes, memory.output)),
        response=memory.response,
    )
    sealed = services.sealer.seal(encode_kept(kept), _place(project, memory.response_id))
    settings = services.settings
    try:
        stored = await services.responses.put(
            project,
            memory.response_id,
            sealed,
            ancestors=memory.ancestors,
            items=[name for item in kept.items() if (name := _id_of(item))],
            seconds=settings.responses_seconds,
            quota=settings.responses_bytes,
        )
    except StoreUnavailable as error:
        _log.warning("a response could not be stored", request_id=exchange.id, reason=str(error))
        return
    if not stored:
        _log.warning("a response is larger than its project's quota", request_id=exchange.id, bytes=len(sealed))


def is_name(text: str) -> bool:
    """Whether it is an id that the gateway gives to responses."""
    return _NAME.fullmatch(text) is not None


async def find_all(
    services: Services, project: str, names: tuple[str, ...], param: str | None = None
) -> list[Kept | None]:
    """Stored responses of a project. Raises TollwayError for what is no id, or while the store cannot be reached."""
    if not names:
        return []
    if not all(map(is_name, names)):
        raise not_found(next(name for name in names if not is_name(name)), param)
    try:
        found = await services.responses.get(project, names)
    except StoreUnavailable as error:
        raise unavailable() from error
    return [_open(services, project, name, sealed) for name, sealed in zip(names, found, strict=True)]


async def find(services: Services, project: str, name: str, param: str | None = None) -> Kept:
    """One stored response of a project. Raises TollwayError(response_not_found) naming `param`."""
    (kept,) = await find_all(services, project, (name,), param)
    if kept is None:
        raise not_found(name, param)
    return kept


def _open(services: Services, project: str, name: str, sealed: bytes | None) -> Kept | None:
    if sealed is None:
        return None
    try:
        return decode_kept(services.sealer.open(sealed, _place(project, name)))
    except SealError:
        _log.error("a stored response is not authentic", project=project, response=name[:80])
        return None


def _place(project: str, name: str) -> bytes:
    return f"response|{project}|{name}".encode()


def not_found(name: str, param: str | None = None) -> TollwayError:
    """The response is not stored in the key's project."""
    message = f"The response '{name[:80]}' is not stored here: it never was, has expired, or is another project's."
    return TollwayError(Code.RESPONSE_NOT_FOUND, message, param=param)


def unavailable() -> TollwayError:
    """The store cannot be reached."""
    return TollwayError(Code.OVERLOADED, "Stored responses cannot be read at the moment.", retry_after_seconds=2)
