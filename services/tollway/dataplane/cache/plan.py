"""What the cache may do for one request, and under which key: decided once, before anything waits.

Owns what makes two requests the same. A project's answers are its own unless it chose to share within its organisation:
whose they are is in the key, which nobody outside can compute, and no header or body of a client can change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from tollway.core.caching.complete import CACHEABLE
from tollway.core.caching.control import HEADER, USUAL, Control, read_control
from tollway.core.caching.guard import Marks, marks_of
from tollway.core.caching.key import Digest, add_body, behaviour_headers, definition, last_turn
from tollway.core.catalog import CacheScope, Caching, Project
from tollway.core.dialects.head import Head
from tollway.core.errors import Code, TollwayError
from tollway.core.operations import Operation
from tollway.dataplane.cache.redis_answers import Partition
from tollway.dataplane.config.holder import Route
from tollway.dataplane.endpoints.memory import Memory
from tollway.dataplane.endpoints.port import Endpoint

MEBIBYTE = 1 << 20
MAX_DEFINITIONS = 1024
_TIMEOUT = "x-tollway-timeout"
_EXACT, _SIMILAR = b"tollway-answer", b"tollway-meaning"


class CacheLimits(NamedTuple):
    """Bounds in bytes: one answer, one request, all answers of a partition in Redis, of a process in memory, those that
    wait to be stored, and what a process knows of questions by their meaning."""

    answer_bytes: int = MEBIBYTE
    request_bytes: int = MEBIBYTE
    partition_bytes: int = 64 * MEBIBYTE
    memory_bytes: int = 32 * MEBIBYTE
    pending_bytes: int = 16 * MEBIBYTE
    meaning_bytes: int = 8 * MEBIBYTE


DEFAULT_LIMITS = CacheLimits()


class Meaning(NamedTuple):
    """What a request that is not the same must agree with: `place` is everything but the last user message, `text`.

    `marks` are what of the text must be equal; `threshold` is how alike the rest must be.
    """

    place: bytes
    text: str
    marks: Marks
    threshold: float


class Plan(NamedTuple):
    """A request that the cache serves. `seconds`: how old an answer may be, and how long one is kept.

    `shared_key` is what calls under way are joined by; `meaning` None: only the very same request will do.
    """

    key: bytes
    partition: Partition
    operation: Operation
    stream: bool
    choices: int
    read: bool
    write: bool
    seconds: int
    shared_key: tuple[bytes, str]
    meaning: Meaning | None = None

    @property
    def name(self) -> str:
        """The key as text."""
        return self.key.hex()


class Planner:
    """Makes the plans of a process. Everyone with the same fleet keys makes the same keys."""

    def __init__(self, fleet_keys: Iterable[bytes], limits: CacheLimits, *, by_meaning: bool = False) -> None:
        """`by_meaning`: there is something that can tell whether texts are alike."""
        self._secret = blake2b(next(iter(fleet_keys)), digest_size=32, person=b"tollway-cache").digest()
        self._limits = limits
        self._by_meaning = by_meaning
        self._definitions: dict[str, tuple[Route, bytes]] = {}

    def plan(
        self,
        endpoint: Endpoint,
        head: Head,
        body: bytes,
        headers: Mapping[str, str],
        project: Project,
        route: Route,
        memory: Memory | None = None,
        guards: bytes = b"",
    ) -> Plan | None:
        """What the cache does for a request of a project that has caching; None: nothing, as far as it goes.

        `guards` names the version of everything else that changes requests or answers on their way. Raises
        TollwayError(invalid_request) for a wrong `x-tollway-cache`, whether or not the call could be cached.
        """
        caching = project.caching
        if not caching.enabled:
            return None
        control = _control(headers)
        if not (control.read or control.write) or not self._serves(endpoint, body, memory):
            return None
        partition = partition_of(project)
        common = (
            partition.organisation,
            partition.name,
            endpoint.path,
            endpoint.dialect,
            route.name,
            self._definition(route),
            project.dialect_policy.value,
            guards,
        )
        behaviour = behaviour_headers(headers)
        digest = self._digest(_EXACT, common, behaviour)
        in_fields = add_body(digest, body, head.fields)
        key = digest.end()
        meaning = None
        if self._by_meaning and in_fields and caching.similarity is not None:
            meaning = self._meaning(common, behaviour, head, endpoint.operation, caching.similarity)
        return Plan(
            key=key,
            partition=partition,
            operation=endpoint.operation,
            stream=head.stream,
            choices=max(1, head.n),
            read=control.read,
            write=control.write,
            seconds=_seconds(caching, control),
            shared_key=(key, headers.get(_TIMEOUT, "")),
            meaning=meaning,
        )

    def _serves(self, endpoint: Endpoint, body: bytes, memory: Memory | None) -> bool:
        """Whether such a call is cached: its answer is text, and depends on nothing that is stored, nor is stored."""
        if endpoint.operation not in CACHEABLE or len(body) > self._limits.request_bytes:
            return False
        if memory is None:
            return endpoint.operation is not Operation.RESPONSES
        return not (memory.store or memory.previous_response_id or memory.earlier or memory.known)

    def _digest(self, purpose: bytes, common: Iterable[bytes | str], behaviour: list[str]) -> Digest:
        digest = Digest(self._secret, purpose)
        digest.add_all(common)
        digest.add_all(behaviour)
        return digest

    def _definition(self, route: Route) -> bytes:
        """What the catalog says of the route, remembered for as long as it is the same one."""
        known = self._definitions.get(route.name)
        if known is not None and known[0] is route:
            return known[1]
        found = definition(route.model, ((each.provider, each.model) for each in route.candidates))
        if len(self._definitions) >= MAX_DEFINITIONS:
            self._definitions.clear()
        self._definitions[route.name] = (route, found)
        return found

    def _meaning(
        self, common: Iterable[bytes | str], behaviour: list[str], head: Head, operation: Operation, threshold: float
    ) -> Meaning | None:
        if operation not in (Operation.CHAT, Operation.MESSAGES, Operation.RESPONSES):
            return None
        turn = last_turn(head.fields)
        marks = marks_of(turn.text) if turn is not None else None
        if turn is None or marks is None:
            return None
        digest = self._digest(_SIMILAR, common, behaviour)
        turn.add_to(digest)
        return Meaning(digest.end(), turn.text, marks, threshold)


def partition_of(project: Project) -> Partition:
    """Whose answers a project is given and keeps."""
    shared = project.caching.scope is CacheScope.ORGANISATION
    return Partition(project.organisation, "shared" if shared else f"p:{project.id}")


def _control(headers: Mapping[str, str]) -> Control:
    found = [value for name, value in headers.items() if len(name) == len(HEADER) and name.lower() == HEADER]
    if not found:
        return USUAL
    if len(found) > 1:
        raise TollwayError(Code.INVALID_REQUEST, f"{HEADER} may be sent only once.", param=HEADER)
    return read_control(found[0])


def _seconds(caching: Caching, control: Control) -> int:
    most = max(1, caching.ttl_seconds)
    return most if control.seconds is None else min(control.seconds, most)
