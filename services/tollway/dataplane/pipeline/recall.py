"""Stored responses: what a request goes on from is read before it is served, and its answer is kept after.

A request that goes on from a response that is not stored in its project ends here. An answer that cannot be kept is
still given: the log says so, and going on from it will say that it is not there.
"""

from __future__ import annotations

from collections.abc import Awaitable

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


def recall(exchange: Exchange) -> Awaitable[None] | None:
    """Gives a request for a response its memory; other requests have none."""
    if exchange.endpoint.operation is not Operation.RESPONSES:
        return None
    storage = openai_responses.read_storage(exchange.head)
    name = PREFIX + exchange.id.replace("-", "")
    memory = Memory(name, store=storage.store, previous_response_id=storage.previous_response_id)
    exchange.memory = memory
    return None if storage.previous_response_id is None else _load(exchange, memory, storage.previous_response_id)


async def _load(exchange: Exchange, memory: Memory, previous: str) -> None:
    project = exchange.principal.project.id
    last = await find(exchange.services, project, previous, "previous_response_id")
    names = last.ancestors
    before = await find_all(exchange.services, project, names)
    for name, kept in zip(names, before, strict=True):
        if kept is None:
            raise not_found(name, "previous_response_id")
    chain = [kept for kept in before if kept is not None] + [last]
    earlier: list[Raw] = []
    for kept in chain:
        earlier.extend(kept.items())
    memory.earlier = earlier
    memory.ancestors = (*names, previous)


async def keep(exchange: Exchange) -> None:
    """Stores the finished answer, when the client wants that."""
    memory = exchange.memory
    if memory is None or not memory.store or memory.response is None:
        return
    services, project = exchange.services, exchange.principal.project.id
    kept = Kept(
        ancestors=memory.ancestors,
        input=tuple(bytes(item) for item in openai_responses.input_items(exchange.head)),
        output=tuple(bytes(item) for item in memory.output),
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
            seconds=settings.responses_seconds,
            quota=settings.responses_bytes,
        )
    except StoreUnavailable as error:
        _log.warning("a response could not be stored", request_id=exchange.id, reason=str(error))
        return
    if not stored:
        _log.warning("a response is larger than its project's quota", request_id=exchange.id, bytes=len(sealed))


async def find_all(services: Services, project: str, names: tuple[str, ...]) -> list[Kept | None]:
    """Stored responses of a project. Raises TollwayError while the store cannot be reached."""
    if not names:
        return []
    try:
        found = await services.responses.get(project, names)
    except StoreUnavailable as error:
        raise unavailable() from error
    return [_open(services, project, name, sealed) for name, sealed in zip(names, found, strict=True)]


async def find(services: Services, project: str, name: str, param: str | None = None) -> Kept:
    """One stored response of a project. Raises TollwayError(response_not_found) naming `param`."""
    (kept,) = await find_all(services, project, (name,))
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
