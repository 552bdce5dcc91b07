"""The cache as the pipeline uses it, between `limit` and `reserve`.

    plan = cache.plan(endpoint, head, body, headers, project, route, memory)   # None: no caching for this call
    hit = await cache.find(plan)                     # a kept answer: give it, book a row without attempts, call nobody
    found = cache.enter(plan)                        # a Hit that came meanwhile, or a Member of the call to make
    if found.first:                                  # the first of a group makes the call, in a task of the group
        found.flight.run(tasks, call_and_relay())    # which calls flight.begin, write (events or the whole body), end
    try:
        begun = await found.begun()                  # None: to `enter` again, or if `dismissed` alone; or raises
        async for piece in found.pieces(): ...       # from the beginning, as it comes
    finally:
        found.leave()                                # the last to leave cancels the call
    cache.keep(plan, answer)                         # by the task of the call, when the answer is whole, before `end`

It never fails a request: a store that is away is a miss, after one short wait. It never makes a call itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import zstandard

from tollway.core.caching.complete import is_complete
from tollway.core.catalog import Project
from tollway.core.dialects.head import Head
from tollway.dataplane.cache.breaker import Breaker
from tollway.dataplane.cache.counts import Counts, Levels
from tollway.dataplane.cache.entry import Answer, Hit, open_bytes, open_sealed, seal, seal_bytes
from tollway.dataplane.cache.flight import Flights, Member
from tollway.dataplane.cache.meaning import Embedder, Known, Places, known_of, merged, pack, unpack, vector_of
from tollway.dataplane.cache.memory import AnswerMemory
from tollway.dataplane.cache.plan import DEFAULT_LIMITS, CacheLimits, Meaning, Plan, Planner
from tollway.dataplane.cache.redis_answers import RedisAnswers
from tollway.dataplane.config.holder import Route
from tollway.dataplane.endpoints.memory import Memory
from tollway.dataplane.endpoints.port import Endpoint
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.seal import Sealer, SealError
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
STORE_TASK = "cache-store"
ASIDE_BYTES = 64 << 10
"""Larger answers are checked, packed and sealed beside the event loop."""
MAX_PLACE_BYTES = 1 << 20
WRITERS = 4
"""How many answers are put into the store at a time."""


class Cache:
    """The cache of one process. Everything but `find` is at once."""

    def __init__(
        self,
        store: RedisAnswers,
        fleet_keys: Sequence[bytes],
        clock: Clock,
        tasks: Tasks,
        limits: CacheLimits = DEFAULT_LIMITS,
        embedder: Embedder | None = None,
    ) -> None:
        """`fleet_keys` as for the process's other sealed values; without `embedder`, nothing is found by meaning.

        `store` has a connection of its own with a short time limit: a request waits for it once in an outage.
        """
        self._store = store
        self._sealer = Sealer(fleet_keys)
        self._clock = clock
        self._tasks = tasks
        self._limits = limits
        self._embedder = embedder
        self._planner = Planner(fleet_keys, limits, by_meaning=embedder is not None)
        self._memory = AnswerMemory(limits.memory_bytes)
        self._flights = Flights(limits.answer_bytes)
        self._places = Places(clock.monotonic, limits.meaning_bytes)
        self._reading = Breaker(clock.monotonic)
        self._writing = Breaker(clock.monotonic)
        self._writers = asyncio.Semaphore(WRITERS)
        self._pending = 0
        self.counts = Counts()

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
        """As `Planner.plan`."""
        if not project.caching.enabled:
            return None
        return self._planner.plan(endpoint, head, body, headers, project, route, memory, guards)

    def levels(self) -> Levels:
        """What is held at this moment."""
        held = self._memory.held_bytes + self._places.held_bytes
        return Levels(len(self._memory), held, len(self._flights))

    # -- finding --------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Gives the connections to the store back."""
        await self._store.close()

    async def find(self, plan: Plan) -> Hit | None:
        """A kept answer that is young enough: from memory, from the store, or of a question that means the same."""
        if not plan.read:
            return None
        hit = self._at_hand(plan)
        if hit is None:
            hit = self._young(await self._fetch(plan, plan.key), plan)
            if hit is not None:
                self._count("store", hit)
        if hit is None and plan.meaning is not None:
            hit = await self._similar(plan, plan.meaning)
            if hit is not None:
                self._count("similar", hit)
        return hit

    def enter(self, plan: Plan) -> Hit | Member:
        """An answer that came since `find`, or the place of one more in the call for it. The member must `leave`."""
        if plan.read:
            hit = self._at_hand(plan)
            if hit is not None:
                return hit
        member = self._flights.join(plan.shared_key, alone=not plan.read)
        self.counts.results["miss" if member.first else "shared"] += 1
        return member

    def _at_hand(self, plan: Plan) -> Hit | None:
        hit = self._young(self._memory.get(plan.key, self._clock.now_ms()), plan)
        if hit is not None:
            self._count("memory", hit)
        return hit

    def _count(self, result: str, hit: Hit) -> None:
        self.counts.results[result] += 1
        self.counts.saved_nano += hit.answer.cost_nano

    def _young(self, answer: Answer | None, plan: Plan, *, similar: bool = False) -> Hit | None:
        """The answer as a hit, unless it is older than the request accepts. Clocks of replicas differ a little."""
        if answer is None:
            return None
        age_ms = max(0, self._clock.now_ms() - answer.stored_ms)
        if age_ms > 1000 * min(plan.seconds, answer.seconds):
            return None
        return Hit(answer, age_ms // 1000, similar)

    async def _read(self, plan: Plan, name: str) -> bytes | None:
        """A value of the store; None when it is not there or the store is away."""
        if not self._reading.allows():
            return None
        try:
            found = await self._store.get(plan.partition, name)
        except StoreUnavailable as error:
            self.counts.errors += 1
            if self._reading.failed():
                _log.warning("the cache's store does not answer", reason=str(error))
            return None
        self._reading.worked()
        return found

    async def _fetch(self, plan: Plan, key: bytes) -> Answer | None:
        """The answer of a key from the store; what is found is at hand from now on."""
        sealed = await self._read(plan, key.hex())
        if sealed is None:
            return None
        try:
            limit = self._limits.answer_bytes
            if len(sealed) > ASIDE_BYTES:
                answer = await asyncio.to_thread(open_sealed, self._sealer, key, sealed, limit)
            else:
                answer = open_sealed(self._sealer, key, sealed, limit)
        except SealError:
            self.counts.errors += 1
            _log.error("a kept answer is not authentic", partition=plan.partition.name)
            return None
        self._memory.put(key, answer)
        return answer

    # -- keeping --------------------------------------------------------------------------------------------------

    def keep(self, plan: Plan, answer: Answer, *, capped: bool = False) -> None:
        """Keeps an answer that its client was given with status 200 and without an error, if it is whole.

        Not to be called for the answer of another model than the one that was asked, as after a fallback. `capped`: the
        gateway bounded its length, so that it is not kept where it came to that bound.
        """
        if not plan.write:
            return
        lost = self.counts.lost
        if len(answer.body) > self._limits.answer_bytes:
            lost["large"] += 1
            return
        if self._pending + answer.size > self._limits.pending_bytes:
            lost["busy"] += 1
            return
        answer = msgspec.structs.replace(answer, stored_ms=self._clock.now_ms(), seconds=plan.seconds)
        small = answer.size <= ASIDE_BYTES
        if small and not self._accept(plan, answer, _whole(plan, answer, capped)):
            return
        self._pending += answer.size
        self._tasks.spawn(self._keep(plan, answer, capped, accepted=small), STORE_TASK)

    def _accept(self, plan: Plan, answer: Answer, whole: bool) -> bool:
        if not whole:
            self.counts.lost["incomplete"] += 1
            return False
        self._memory.put(plan.key, answer)
        return True

    async def _keep(self, plan: Plan, answer: Answer, capped: bool, *, accepted: bool) -> None:
        try:
            if not accepted and not self._accept(plan, answer, await asyncio.to_thread(_whole, plan, answer, capped)):
                return
            if accepted:
                sealed = seal(self._sealer, plan.key, answer)
            else:
                sealed = await asyncio.to_thread(seal, self._sealer, plan.key, answer)
            if await self._write(plan, plan.name, sealed, plan.seconds) and plan.meaning is not None:
                await self._learn(plan, plan.meaning, answer)
        finally:
            self._pending -= answer.size

    async def _write(self, plan: Plan, name: str, sealed: bytes, seconds: int) -> bool:
        """Puts a value into the store; False when it is not kept there."""
        counts = self.counts
        async with self._writers:
            if not self._writing.allows():
                counts.lost["store"] += 1
                return False
            try:
                stored, evicted = await self._store.put(
                    plan.partition, name, sealed, seconds=seconds, quota=self._limits.partition_bytes
                )
            except StoreUnavailable as error:
                counts.errors += 1
                counts.lost["store"] += 1
                if self._writing.failed():
                    _log.warning("answers cannot be kept", reason=str(error))
                return False
        self._writing.worked()
        counts.evicted += evicted
        if not stored:
            counts.lost["quota"] += 1
            return False
        counts.stored += 1
        counts.stored_bytes += len(sealed)
        return True

    # -- by meaning -----------------------------------------------------------------------------------------------

    async def _similar(self, plan: Plan, meaning: Meaning) -> Hit | None:
        """The answer to the question that is nearest to this one, and near enough."""
        assert self._embedder is not None  # or there was no plan for it
        await self._read_place(plan, meaning.place)
        now_ms = self._clock.now_ms()
        known = [
            each for each in self._places.known(meaning.place) if each.marks == meaning.marks and each.until_ms > now_ms
        ]
        vector = await vector_of(self._embedder, meaning.text) if known else None
        if vector is None:
            return None
        nearest = sorted(((each.near(vector), each.key) for each in known), reverse=True)
        for likeness, key in nearest:
            if likeness < meaning.threshold:
                break
            answer = self._memory.get(key, now_ms) or await self._fetch(plan, key)
            hit = self._young(answer, plan, similar=True)
            if hit is not None:
                return hit
        return None

    async def _read_place(self, plan: Plan, place: bytes) -> None:
        """Learns what other processes know of a place, unless that was done a moment ago."""
        if self._places.is_fresh(place):
            return
        sealed = await self._read(plan, _name(place))
        known: tuple[Known, ...] = ()
        if sealed is not None:
            try:
                known = unpack(open_bytes(self._sealer, _seal_place(place), sealed, MAX_PLACE_BYTES))
            except (SealError, zstandard.ZstdError, msgspec.DecodeError):
                self.counts.errors += 1
                _log.error("what is known of similar questions is not authentic", partition=plan.partition.name)
        mine = self._places.known(place)
        self._places.learn(place, merged(known, mine, self._clock.now_ms()), read=True)

    async def _learn(self, plan: Plan, meaning: Meaning, answer: Answer) -> None:
        """Remembers the question of an answer that was kept, here and for other processes."""
        assert self._embedder is not None
        vector = await vector_of(self._embedder, meaning.text)
        if vector is None:
            return
        await self._read_place(plan, meaning.place)
        now_ms = self._clock.now_ms()
        until_ms = answer.stored_ms + answer.seconds * 1000
        new = known_of(meaning, vector, plan.key, until_ms)
        known = merged(self._places.known(meaning.place), (new,), now_ms)
        self._places.learn(meaning.place, known)
        sealed = seal_bytes(self._sealer, _seal_place(meaning.place), pack(known))
        seconds = (max(each.until_ms for each in known) - now_ms + 999) // 1000 if known else 0
        if seconds > 0:
            await self._write(plan, _name(meaning.place), sealed, seconds)


def _whole(plan: Plan, answer: Answer, capped: bool) -> bool:
    return is_complete(plan.operation, answer.body, stream=plan.stream, choices=plan.choices, capped=capped)


def _name(place: bytes) -> str:
    return f"near:{place.hex()}"


def _seal_place(place: bytes) -> bytes:
    return b"cache|near|" + place
